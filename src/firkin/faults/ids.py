"""Faults of user namespaces, and of the ids and programs that fill them."""

from __future__ import annotations

from firkin.faults.fault import EVERYWHERE, ROOTLESS, Fault

_USERNS = "user-namespaces"
_WITHOUT = (
    "without root, `-v` of a directory, rootless podman and every rootless namespace need a user namespace"
)
_UNSHARE = "unshare --user --map-root-user --mount true"

USERNS_ABSENT = Fault(
    id="userns-absent",
    subject=_USERNS,
    severity="warning",
    title="the kernel has no user namespaces",
    why=f"{_WITHOUT}; machines without shared directories run as they are",
    fix=("sudo apt install linux-image-amd64  # a kernel with CONFIG_USER_NS=y, then reboot",),
    proof="ls /proc/self/ns/user",
    concerns=EVERYWHERE,
)
USERNS_LIMITED = Fault(
    id="userns-limited",
    subject=_USERNS,
    severity="warning",
    title="no more user or mount namespaces may be made",
    why=f"{_WITHOUT}; a container takes two of them, with keep-id three, and the kernel answers ENOSPC, "
    '"No space left on device", where the limit is reached',
    fix=("sudo sysctl -w {sysctl}=15000 && echo {sysctl}=15000 | sudo tee /etc/sysctl.d/90-userns.conf",),
    proof=_UNSHARE,
    concerns=EVERYWHERE,
)
USERNS_SYSCTL = Fault(
    id="userns-sysctl",
    subject=_USERNS,
    severity="warning",
    title="a sysctl keeps user namespaces from users without root",
    why=_WITHOUT,
    fix=(
        "sudo sysctl -w kernel.unprivileged_userns_clone=1 && "
        "echo kernel.unprivileged_userns_clone=1 | sudo tee /etc/sysctl.d/90-userns.conf",
    ),
    proof=_UNSHARE,
    concerns=EVERYWHERE,
)
USERNS_APPARMOR = Fault(
    id="userns-apparmor",
    subject=_USERNS,
    severity="warning",
    title="AppArmor takes the rights away that a user namespace gives",
    why=f"{_WITHOUT}; Ubuntu lets it be made and denies every mount in it",
    fix=(
        "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 && "
        "echo kernel.apparmor_restrict_unprivileged_userns=0 | sudo tee /etc/sysctl.d/90-userns.conf",
    ),
    proof=_UNSHARE,
    concerns=EVERYWHERE,
)
USERNS_SECCOMP = Fault(
    id="userns-seccomp",
    subject=_USERNS,
    severity="warning",
    title="a seccomp filter on this process denies namespaces",
    why=f"{_WITHOUT}; whoever started this shell filters its system calls, as containers and sandboxes do",
    fix=("docker run --security-opt seccomp=unconfined ...  # where the outer container is yours to start",),
    proof=_UNSHARE,
    concerns=EVERYWHERE,
)
USERNS_DENIED = Fault(
    id="userns-denied",
    subject=_USERNS,
    severity="warning",
    title="user namespaces are denied",
    why=f"{_WITHOUT}; a security module or the container around us says no",
    fix=("sudo dmesg | tail -n 20  # names the module that denied it",),
    proof=_UNSHARE,
    concerns=EVERYWHERE,
)
USERNS_POWERLESS = Fault(
    id="userns-powerless",
    subject=_USERNS,
    severity="warning",
    title="a user namespace can be made, but gives no rights",
    why=f"{_WITHOUT}, and in it the right to map ids and to mount",
    fix=("sudo dmesg | tail -n 20  # names the module that denied it",),
    proof=_UNSHARE,
    concerns=EVERYWHERE,
)

_SUBIDS = "subordinate-ids"
_MANY = "images hold files of many users; each needs an id of the host's that is given to nobody else"
_GIVE = (
    "sudo usermod --add-subuids {first}-{last} --add-subgids {first}-{last} {user} && podman system migrate"
)
_SHOW = "podman unshare cat /proc/self/uid_map"

SUBIDS_MISSING = Fault(
    id="subids-missing",
    subject=_SUBIDS,
    severity="error",
    title="this user has no subordinate ids",
    why=_MANY,
    fix=(_GIVE,),
    proof="getsubids {user} && getsubids -g {user}",
    concerns=ROOTLESS,
)
SUBIDS_MALFORMED = Fault(
    id="subids-malformed",
    subject=_SUBIDS,
    severity="error",
    title="a line of /etc/subuid or /etc/subgid is not NAME:FIRST:COUNT",
    why="shadow's programs skip the line or refuse the file, and the ranges after it are lost with it",
    fix=("sudo sed -i '{number}d' {path}  # after a look at it: sed -n {number}p {path}",),
    proof="getsubids {user}",
    concerns=ROOTLESS,
)
SUBIDS_SMALL = Fault(
    id="subids-small",
    subject=_SUBIDS,
    severity="warning",
    title="this user has fewer than 65,536 subordinate ids",
    why=f"{_MANY}; an image with an id beyond the range cannot be unpacked",
    fix=(_GIVE,),
    proof=_SHOW,
    concerns=ROOTLESS,
)
SUBIDS_OVERLAP = Fault(
    id="subids-overlap",
    subject=_SUBIDS,
    severity="warning",
    title="two users share subordinate ids",
    why="either can read and kill what the other's containers have",
    fix=("sudoedit {path}  # give each a range of its own, then: podman system reset",),
    proof="sort -t: -k2n {path}",
    concerns=ROOTLESS,
)
SUBIDS_ACCOUNTS = Fault(
    id="subids-accounts",
    subject=_SUBIDS,
    severity="error",
    title="subordinate ids cover a real account",
    why="whoever has the range may become that account",
    fix=("sudoedit {path}  # move the range above all accounts, such as to 100000:65536",),
    proof="getent passwd {account}; cat {path}",
    concerns=ROOTLESS,
)
SUBIDS_TWICE = Fault(
    id="subids-twice",
    subject=_SUBIDS,
    severity="note",
    title="a user has subordinate ids by name and by number",
    why="programs that look for one do not see the other, and map different ranges",
    fix=("sudoedit {path}  # keep the lines that begin with the name",),
    proof="grep -e ^{user}: -e ^{uid}: {path}",
    concerns=ROOTLESS,
)

_IDMAP = "idmap-programs"
_ONLY = "only root may map more than one id into a user namespace, and these programs do it for a user"

IDMAP_MISSING = Fault(
    id="idmap-missing",
    subject=_IDMAP,
    severity="error",
    title="newuidmap or newgidmap is not installed",
    why=_ONLY,
    fix=("sudo apt install uidmap",),
    proof="command -v newuidmap newgidmap",
    concerns=ROOTLESS,
)
IDMAP_POWERLESS = Fault(
    id="idmap-powerless",
    subject=_IDMAP,
    severity="error",
    title="newuidmap or newgidmap has neither the setuid bit nor the capability",
    why=f"{_ONLY}, by a right of the file that copying an image or a tar loses",
    fix=("sudo apt install --reinstall uidmap  # or: sudo chmod u+s {path}",),
    proof="stat -c %A {path}; getcap {path}",
    concerns=ROOTLESS,
)
IDMAP_NOSUID = Fault(
    id="idmap-nosuid",
    subject=_IDMAP,
    severity="error",
    title="newuidmap or newgidmap lies on a file system that is mounted nosuid",
    why=f"{_ONLY}, and nosuid takes their right away",
    fix=("sudo mount -o remount,suid {mount}",),
    proof="findmnt -no OPTIONS -T {path}",
    concerns=ROOTLESS,
)
NO_NEW_PRIVS = Fault(
    id="no-new-privs",
    subject=_IDMAP,
    severity="error",
    title="this process may gain no rights (no_new_privs)",
    why=f"{_ONLY}; with this flag, their setuid bits and capabilities count for nothing",
    fix=("systemctl --user edit SERVICE  # NoNewPrivileges=no; or start it from another shell",),
    proof="grep NoNewPrivs /proc/self/status",
    concerns=ROOTLESS,
)
