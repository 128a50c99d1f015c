"""Faults of what the running kernel allows: control groups, sysctls, limits, the clock, nesting."""

from __future__ import annotations

from firkin.faults.fault import EVERYWHERE, ROOTLESS, Fault

_CGROUPS = "cgroups"
_LIMITS = "limits of rootless containers hold by control groups; a machine's memory and CPUs hold without"
_DELEGATE = (
    "sudo mkdir -p /etc/systemd/system/user@.service.d && "
    "printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' | "
    "sudo tee /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload"
)

CGROUPS_ABSENT = Fault(
    id="cgroups-absent",
    subject=_CGROUPS,
    severity="warning",
    title="no control groups are mounted",
    why=_LIMITS,
    fix=("sudo mount -t cgroup2 none /sys/fs/cgroup",),
    proof="stat -fc %T /sys/fs/cgroup",
    concerns=ROOTLESS,
)
CGROUPS_V1 = Fault(
    id="cgroups-v1",
    subject=_CGROUPS,
    severity="warning",
    title="control groups are version 1",
    why=f"{_LIMITS}; version 1 cannot be given to a user without root's help",
    fix=(
        "sudo sed -i 's/^GRUB_CMDLINE_LINUX=\"/&systemd.unified_cgroup_hierarchy=1 /' /etc/default/grub && "
        "sudo update-grub  # then reboot",
    ),
    proof="stat -fc %T /sys/fs/cgroup",
    concerns=ROOTLESS,
)
CGROUPS_HYBRID = Fault(
    id="cgroups-hybrid",
    subject=_CGROUPS,
    severity="warning",
    title="control groups are mixed: version 1, with version 2 beside it",
    why=f"{_LIMITS}; crun refuses to run here: 'cgroups in hybrid mode not supported'",
    fix=(
        "sudo sed -i 's/^GRUB_CMDLINE_LINUX=\"/&systemd.unified_cgroup_hierarchy=1 /' /etc/default/grub && "
        "sudo update-grub  # then reboot",
    ),
    proof="stat -fc %T /sys/fs/cgroup",
    concerns=ROOTLESS,
)
CGROUPS_UNDELEGATED = Fault(
    id="cgroups-undelegated",
    subject=_CGROUPS,
    severity="warning",
    title="no control group is delegated to this user",
    why=f"{_LIMITS}, and only in a group that is this user's",
    fix=("sudo loginctl enable-linger {user}  # then log in anew, by ssh or `machinectl shell`, not su",),
    proof="systemctl --user show -p ControlGroup --value -- -.slice",
    concerns=ROOTLESS,
)
CGROUPS_CONTROLLERS = Fault(
    id="cgroups-controllers",
    subject=_CGROUPS,
    severity="note",
    title="some limits will not hold",
    why=f"{_LIMITS}, and each limit needs its controller",
    fix=(_DELEGATE,),
    proof="cat /sys/fs/cgroup{group}/cgroup.controllers",
    concerns=ROOTLESS,
)

_NETWORK = "rootless-network"

NETWORK_HELPER_MISSING = Fault(
    id="network-helper-missing",
    subject=_NETWORK,
    severity="warning",
    title="neither passt nor slirp4netns is installed",
    why="a rootless container has no network without one; machines have QEMU's own",
    fix=("sudo apt install passt || sudo apt install slirp4netns",),
    proof="command -v pasta slirp4netns",
    concerns=ROOTLESS,
)
PASTA_MISSING = Fault(
    id="pasta-missing",
    subject=_NETWORK,
    severity="warning",
    title="pasta (of the package passt) is not installed",
    why="firkin's containers in namespaces get their network from it; slirp4netns is for podman alone",
    fix=("sudo apt install passt",),
    proof="command -v pasta",
    concerns=("namespaces",),
)
NETAVARK_IPTABLES = Fault(
    id="netavark-iptables",
    subject=_NETWORK,
    severity="warning",
    title="iptables is not installed, which podman's bridges need",
    why="netavark runs it to publish ports and masquerade: 'netavark: No such file or directory'",
    fix=("sudo apt install iptables",),
    proof="command -v iptables",
    concerns=("podman",),
)
PING_RANGE = Fault(
    id="ping-range",
    subject=_NETWORK,
    severity="note",
    title="this user may not ping",
    why="a machine's network and rootless ones answer a container's ping by a ping socket of this user's",
    fix=(
        "sudo sysctl -w 'net.ipv4.ping_group_range=0 2147483647' && "
        "echo 'net.ipv4.ping_group_range=0 2147483647' | sudo tee /etc/sysctl.d/90-ping.conf",
    ),
    proof="sysctl net.ipv4.ping_group_range",
    concerns=EVERYWHERE,
)
LOW_PORTS = Fault(
    id="low-ports",
    subject=_NETWORK,
    severity="note",
    title="this user may not publish low ports",
    why="`-p 80:80` is refused with 'permission denied'; `-p 8080:80` works",
    fix=(
        "sudo sysctl -w net.ipv4.ip_unprivileged_port_start=80 && "
        "echo net.ipv4.ip_unprivileged_port_start=80 | sudo tee /etc/sysctl.d/90-ports.conf",
    ),
    proof="sysctl net.ipv4.ip_unprivileged_port_start",
    concerns=EVERYWHERE,
)

_BOUNDS = "limits"

INOTIFY_FEW = Fault(
    id="inotify-few",
    subject=_BOUNDS,
    severity="warning",
    title="few inotify instances or watches are allowed",
    why="all containers of a user share them: 'too many open files' though few are open",
    fix=(
        "sudo sysctl -w fs.inotify.max_user_instances=512 fs.inotify.max_user_watches=524288 && "
        "printf 'fs.inotify.max_user_instances=512\\nfs.inotify.max_user_watches=524288\\n' | "
        "sudo tee /etc/sysctl.d/90-inotify.conf",
    ),
    proof="sysctl fs.inotify",
    concerns=EVERYWHERE,
)
FILES_FEW = Fault(
    id="files-few",
    subject=_BOUNDS,
    severity="warning",
    title="a process may open few files",
    why="a machine with shared directories, and a supervisor of many containers, hold thousands",
    fix=(
        "echo {user} hard nofile 524288 | sudo tee /etc/security/limits.d/90-nofile.conf",
        "exit  # then log in anew",
    ),
    proof="ulimit -Hn",
    concerns=EVERYWHERE,
)

_CLOCK = "clock"

CLOCK_WRONG = Fault(
    id="clock-wrong",
    subject=_CLOCK,
    severity="error",
    title="this host's clock is wrong",
    why="certificates count as not yet valid or expired, so no registry can be believed, "
    "and guests take their time from it",
    fix=("sudo timedatectl set-ntp true  # or: sudo date -s '2026-01-31 12:00:00Z'",),
    proof="date",
    concerns=EVERYWHERE,
)
CLOCK_UNSYNCHRONISED = Fault(
    id="clock-unsynchronised",
    subject=_CLOCK,
    severity="note",
    title="nothing keeps this host's clock right",
    why="it drifts, and guests with it; tokens and certificates are refused once it is minutes off",
    fix=("sudo timedatectl set-ntp true",),
    proof="timedatectl show -p NTPSynchronized",
    concerns=EVERYWHERE,
)

_NESTING = "nesting"

IN_CONTAINER = Fault(
    id="in-container",
    subject=_NESTING,
    severity="note",
    title="this is a container",
    why="devices, namespaces, mounts and shared subtrees are for the container around it to allow",
    fix=("docker run --device /dev/kvm ...  # machines at full speed, where it is yours to start",),
    proof="systemd-detect-virt --container",
    concerns=EVERYWHERE,
)
IN_VM = Fault(
    id="in-vm",
    subject=_NESTING,
    severity="note",
    title="this is a virtual machine without KVM inside",
    why="machines run in software, unless whoever runs the hypervisor allows nested virtualization",
    fix=(),
    proof="grep -cE 'vmx|svm' /proc/cpuinfo",
    concerns=("machines",),
)

_LEFTOVERS = "leftovers"

LEFTOVERS_FOREIGN = Fault(
    id="leftovers-foreign",
    subject=_LEFTOVERS,
    severity="warning",
    title="files of other ids lie in this user's data",
    why="a rootless container's users are subordinate ids: this user may neither read nor remove their files",
    fix=("firkin unshare rm -rf {path}",),
    proof="ls -ldn {path}",
    concerns=EVERYWHERE,
)
ORPHANS = Fault(
    id="orphans",
    subject=_LEFTOVERS,
    severity="warning",
    title="a machine runs whose container is gone",
    why="it holds memory and its deleted disk, and nothing lists it",
    fix=("kill {pid}",),
    proof="ps -p {pid}",
    concerns=("machines",),
)
RUN_LEFTOVERS = Fault(
    id="run-leftovers",
    subject=_LEFTOVERS,
    severity="note",
    title="directories of containers that are gone lie in the run directory",
    why="they hold nothing but dead sockets; the next `firkin run` removes them",
    fix=("firkin prune --force",),
    proof="ls {path}",
    concerns=("machines",),
)
