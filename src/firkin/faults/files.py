"""Faults of where things are kept: data, run directory, sockets, temporary files, mounts."""

from __future__ import annotations

from firkin.faults.fault import EVERYWHERE, ROOTLESS, Fault

_DATA = "storage"

DATA_UNWRITABLE = Fault(
    id="data-unwritable",
    subject=_DATA,
    severity="error",
    title="the data directory cannot be written",
    why="images and containers are kept there",
    fix=("sudo chown -R {user} {path} && chmod u+rwx {path}",),
    proof="test -w {path} && echo yes",
    concerns=("machines",),
)
DATA_NETWORK = Fault(
    id="data-network",
    subject=_DATA,
    severity="warning",
    title="images are kept on a network file system",
    why="locks and renames there are not what crash safety stands on, overlays refuse it, and it is slow",
    fix=("export XDG_DATA_HOME=/var/tmp/$USER-data  # a local disk; put it into ~/.profile",),
    proof="stat -fc %T {path}",
    concerns=EVERYWHERE,
)
DATA_FUSE = Fault(
    id="data-fuse",
    subject=_DATA,
    severity="warning",
    title="images are kept on a FUSE file system",
    why="it depends on its daemon for locks, sparse files and mapped memory, which disks of machines need",
    fix=("export XDG_DATA_HOME=/var/tmp/$USER-data  # a local disk; put it into ~/.profile",),
    proof="stat -fc %T {path}",
    concerns=EVERYWHERE,
)
DATA_IN_MEMORY = Fault(
    id="data-in-memory",
    subject=_DATA,
    severity="note",
    title="images are kept in memory (tmpfs)",
    why="every image and disk takes memory from the machines, and is gone after a reboot",
    fix=("export XDG_DATA_HOME=/var/tmp/$USER-data  # a disk; put it into ~/.profile",),
    proof="stat -fc %T {path}",
    concerns=EVERYWHERE,
)
DATA_NOEXEC = Fault(
    id="data-noexec",
    subject=_DATA,
    severity="warning",
    title="images are kept on a file system that is mounted noexec",
    why="rootless namespaces run programs from there; machines, with file systems of their own, do not care",
    fix=("sudo mount -o remount,exec {mount}",),
    proof="findmnt -no OPTIONS -T {path}",
    concerns=ROOTLESS,
)
DATA_SPACE = Fault(
    id="data-space",
    subject=_DATA,
    severity="warning",
    title="less than 1 GiB is left where images are kept",
    why="a pull or a disk that fills up fails with 'no space left on device'",
    fix=("firkin prune  # or free some space: firkin rmi, or XDG_DATA_HOME on another disk",),
    proof="df -h {path}",
    concerns=EVERYWHERE,
)
DATA_INODES = Fault(
    id="data-inodes",
    subject=_DATA,
    severity="warning",
    title="fewer than 10,000 inodes are left where images are kept",
    why="files cannot be made then, and the kernel says 'no space left on device' beside free space",
    fix=("firkin prune",),
    proof="df -i {path}",
    concerns=EVERYWHERE,
)

_PODMAN = "podman-storage"

STORAGE_CONF_MALFORMED = Fault(
    id="storage-conf-malformed",
    subject=_PODMAN,
    severity="error",
    title="storage.conf is not TOML",
    why="podman, buildah and skopeo refuse to start, or silently take their defaults",
    fix=("${{EDITOR:-vi}} {path}  # containers-storage.conf(5) has the format",),
    proof="podman info",
    concerns=("podman",),
)
STORAGE_VFS = Fault(
    id="storage-vfs",
    subject=_PODMAN,
    severity="warning",
    title="podman's storage uses the driver vfs",
    why="it copies the whole image for each layer and container: gigabytes and seconds",
    fix=(
        "mkdir -p ~/.config/containers && "
        "printf '[storage]\\ndriver = \"overlay\"\\n' > ~/.config/containers/storage.conf",
        "podman system reset  # the old driver's images go with it",
    ),
    proof="podman info -f '{{{{.Store.GraphDriverName}}}}'",
    concerns=("podman",),
)
STORAGE_MIXED = Fault(
    id="storage-mixed",
    subject=_PODMAN,
    severity="warning",
    title="podman's storage holds images of two drivers",
    why="only one driver's images are seen, the other's take space; the database overrules storage.conf",
    fix=("podman system reset  # all images and containers of it go; pull them again",),
    proof="ls {path}",
    concerns=("podman",),
)

_RUN = "run-directory"
_SOCKETS_LIVE = "sockets live there, and whoever else can write there can stand in for them"

RUNTIME_UNSET = Fault(
    id="runtime-unset",
    subject=_RUN,
    severity="note",
    title="XDG_RUNTIME_DIR is not set",
    why="firkin makes a private directory below the temporary one; podman then finds no socket and no login "
    "that other sessions made. It is unset after su, sudo and in cron",
    fix=("export XDG_RUNTIME_DIR=/run/user/$(id -u)", "sudo loginctl enable-linger {user}"),
    proof='test -d "$XDG_RUNTIME_DIR" && echo yes',
    concerns=EVERYWHERE,
)
RUNTIME_MISSING = Fault(
    id="runtime-missing",
    subject=_RUN,
    severity="error",
    title="the run directory that XDG_RUNTIME_DIR names is not there",
    why="it goes with the last session of its user, and takes the sockets of what still runs with it",
    fix=("sudo loginctl enable-linger {user}  # makes it now, and keeps it",),
    proof='test -d "$XDG_RUNTIME_DIR" && echo yes',
    concerns=EVERYWHERE,
)
RUNTIME_FOREIGN = Fault(
    id="runtime-foreign",
    subject=_RUN,
    severity="error",
    title="the run directory belongs to somebody else",
    why=f"{_SOCKETS_LIVE}. After su or sudo the variable is still the other user's",
    fix=("export XDG_RUNTIME_DIR=/run/user/$(id -u)",),
    proof='stat -c %U "$XDG_RUNTIME_DIR"',
    concerns=EVERYWHERE,
)
RUNTIME_OPEN = Fault(
    id="runtime-open",
    subject=_RUN,
    severity="warning",
    title="others may enter the run directory",
    why=_SOCKETS_LIVE,
    fix=("chmod 0700 {path}",),
    proof="stat -c %a {path}",
    concerns=EVERYWHERE,
)
RUNTIME_LINKED = Fault(
    id="runtime-linked",
    subject=_RUN,
    severity="note",
    title="the run directory is reached through a link",
    why="a socket behind a linked directory works; podman records the real path, and what was made by one "
    "name is not found by the other once the link moves",
    fix=("export XDG_RUNTIME_DIR={real}",),
    proof='readlink -f "$XDG_RUNTIME_DIR"',
    concerns=EVERYWHERE,
)
RUNTIME_LONG = Fault(
    id="runtime-long",
    subject=_RUN,
    severity="warning",
    title="the run directory's path is too long for sockets",
    why="a socket's path holds 107 bytes; firkin goes through a descriptor then, but other programs cannot "
    "reach its sockets, and podman's helpers hang or fail",
    fix=("export XDG_RUNTIME_DIR=/run/user/$(id -u)",),
    proof='echo -n "$XDG_RUNTIME_DIR" | wc -c',
    concerns=EVERYWHERE,
)

_LEFT = "sockets"

SOCKET_STALE = Fault(
    id="socket-stale",
    subject=_LEFT,
    severity="note",
    title="a socket is left whose server is gone",
    why="who connects is told 'connection refused'; firkin replaces its own, podman's stays",
    fix=("rm {path}",),
    proof="ss -xl | grep {path}",
    concerns=EVERYWHERE,
)
SOCKET_LINKED = Fault(
    id="socket-linked",
    subject=_LEFT,
    severity="warning",
    title="a link stands where a socket is to be made",
    why="bind(2) does not follow links: 'address already in use' on Linux, 'invalid argument' on macOS",
    fix=("rm {path}",),
    proof="ls -l {path}",
    concerns=EVERYWHERE,
)
PID_FILE_STALE = Fault(
    id="pid-file-stale",
    subject=_LEFT,
    severity="warning",
    title="a pid file names a process that is gone",
    why="podman joins the namespaces of the process that it names, and fails with 'cannot re-exec process'",
    fix=("podman system migrate || rm {path}",),
    proof="cat {path}",
    concerns=("podman",),
)

_TEMPORARY = "temporary-directory"

TEMPORARY_MISSING = Fault(
    id="temporary-missing",
    subject=_TEMPORARY,
    severity="error",
    title="the temporary directory is not there",
    why="images are unpacked through it, and where there is no XDG_RUNTIME_DIR, sockets live in it",
    fix=("unset TMPDIR  # or: mkdir -p {path}",),
    proof="test -w {path} && echo yes",
    concerns=EVERYWHERE,
)
TEMPORARY_UNWRITABLE = Fault(
    id="temporary-unwritable",
    subject=_TEMPORARY,
    severity="error",
    title="the temporary directory cannot be written",
    why="images are unpacked through it, and where there is no XDG_RUNTIME_DIR, sockets live in it",
    fix=("export TMPDIR=/var/tmp  # or: sudo chmod 1777 {path}",),
    proof="test -w {path} && echo yes",
    concerns=EVERYWHERE,
)
TEMPORARY_UNSTICKY = Fault(
    id="temporary-unsticky",
    subject=_TEMPORARY,
    severity="warning",
    title="everybody may remove everybody's files in the temporary directory",
    why="another user could put a directory of theirs in the place of ours",
    fix=("sudo chmod 1777 {path}",),
    proof="stat -c %a {path}",
    concerns=EVERYWHERE,
)
TEMPORARY_SPACE = Fault(
    id="temporary-space",
    subject=_TEMPORARY,
    severity="warning",
    title="less than 256 MiB are left in the temporary directory",
    why="podman keeps layers there while it pulls: 'no space left on device' beside a large disk",
    fix=("export TMPDIR=/var/tmp",),
    proof="df -h {path}",
    concerns=("podman",),
)

ROOT_NOT_SHARED = Fault(
    id="root-not-shared",
    subject="mounts",
    severity="note",
    title="/ is not a shared mount",
    why="mounts that are made later do not appear in rootless containers, and podman warns each time",
    fix=("sudo mount --make-rshared /",),
    proof="findmnt -no PROPAGATION /",
    concerns=ROOTLESS,
)
