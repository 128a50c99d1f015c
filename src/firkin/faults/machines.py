"""Faults of what a machine is made of: QEMU, a kernel, KVM, the devices, and what serves directories."""

from __future__ import annotations

from firkin.faults.fault import ROOTLESS, Fault

QEMU_MISSING = Fault(
    id="qemu-missing",
    subject="qemu",
    severity="error",
    title="QEMU is not installed",
    why="every container runs in a machine of its own, and QEMU is the machine",
    fix=("sudo apt install qemu-system-x86",),
    proof="qemu-system-x86_64 --version",
    concerns=("machines",),
)
QEMU_OLD = Fault(
    id="qemu-old",
    subject="qemu",
    severity="error",
    title="QEMU is older than 7.2",
    why="forks and snapshots need what QEMU 7.2 brought",
    fix=("sudo apt install -t {suite} qemu-system-x86",),
    proof="{qemu} --version",
    concerns=("machines",),
)
QEMU_BROKEN = Fault(
    id="qemu-broken",
    subject="qemu",
    severity="error",
    title="QEMU does not run",
    why="every container runs in a machine of its own, and QEMU is the machine",
    fix=("sudo apt install --reinstall qemu-system-x86",),
    proof="{qemu} --version",
    concerns=("machines",),
)
KERNEL_MISSING = Fault(
    id="kernel-missing",
    subject="kernel",
    severity="error",
    title="there is no kernel for machines",
    why="a machine boots a Linux kernel of its own, which needs no root to install",
    fix=("firkin kernel install",),
    proof="firkin kernel list",
    concerns=("machines",),
)
KERNEL_UNREADABLE = Fault(
    id="kernel-unreadable",
    subject="kernel",
    severity="error",
    title="the kernels of this host cannot be read by this user",
    why="a machine boots a kernel file, and some distributions give theirs to root only",
    fix=("firkin kernel install", "sudo chmod 0644 {path}"),
    proof="firkin kernel list",
    concerns=("machines",),
)
KERNEL_MODULES = Fault(
    id="kernel-modules",
    subject="kernel",
    severity="error",
    title="the kernels of this host lack their modules",
    why="disk, network and console of a machine are modules of the very kernel that it boots",
    fix=("firkin kernel install", "sudo apt install --reinstall linux-image-{version}"),
    proof="firkin kernel list",
    concerns=("machines",),
)
VIRTIOFSD_MISSING = Fault(
    id="virtiofsd-missing",
    subject="virtiofsd",
    severity="warning",
    title="virtiofsd is not installed",
    why="`-v` of a directory of this host goes through it; named volumes do not",
    fix=("sudo apt install virtiofsd || sudo apt install qemu-system-common  # the latter on Debian 12",),
    proof="ls /usr/libexec/virtiofsd /usr/lib/qemu/virtiofsd",
    concerns=("machines",),
)

EMULATOR_MISSING = Fault(
    id="emulator-missing",
    subject="emulators",
    severity="note",
    title="no static emulator of other processors is installed",
    why="images for another architecture than this host's run by one (`--platform linux/arm64`), in firkin's "
    "machines and, once binfmt_misc knows it, for podman: else 'exec format error'",
    fix=("sudo apt install qemu-user-static",),
    proof="command -v qemu-aarch64-static",
    concerns=("machines", "podman"),
)

_KVM = "kvm"
_SLOW = "without KVM machines run in software (TCG): all works, several times slower"

KVM_MISSING = Fault(
    id="kvm-missing",
    subject=_KVM,
    severity="note",
    title="this host has no /dev/kvm",
    why=f"{_SLOW}. It takes virtualization in the firmware, or nesting in the hypervisor around this host",
    fix=("sudo modprobe kvm_intel || sudo modprobe kvm_amd",),
    proof="ls -l /dev/kvm",
    concerns=("machines",),
)
KVM_DENIED = Fault(
    id="kvm-denied",
    subject=_KVM,
    severity="warning",
    title="this user may not open /dev/kvm",
    why=_SLOW,
    fix=("sudo usermod -aG kvm {user}  # then log in anew",),
    proof="test -w /dev/kvm && echo yes",
    concerns=("machines",),
)
KVM_BROKEN = Fault(
    id="kvm-broken",
    subject=_KVM,
    severity="note",
    title="/dev/kvm is there, but no guest runs on it",
    why=f"{_SLOW}. A device that opens proves nothing: firkin runs a small guest on it, and that failed here",
    fix=("sudo dmesg | grep -i kvm  # nesting has to be allowed by whoever runs this host",),
    proof="firkin doctor --probe --only kvm",
    concerns=("machines",),
)
KVM_UNTRIED = Fault(
    id="kvm-untried",
    subject=_KVM,
    severity="note",
    title="KVM has not been tried here yet",
    why="a device that opens proves nothing; the first machine tries it, or the probe does",
    fix=("firkin doctor --probe",),
    proof="firkin info",
    concerns=("machines",),
)

_DEVICES = "devices"

TUN_UNUSABLE = Fault(
    id="tun-unusable",
    subject=_DEVICES,
    severity="warning",
    title="/dev/net/tun cannot be used",
    why="pasta and slirp4netns give a rootless container its network through it; machines do without",
    fix=("sudo modprobe tun && sudo chmod 0666 /dev/net/tun",),
    proof="ls -l /dev/net/tun",
    concerns=ROOTLESS,
)
FUSE_UNUSABLE = Fault(
    id="fuse-unusable",
    subject=_DEVICES,
    severity="warning",
    title="/dev/fuse cannot be used",
    why="fuse-overlayfs, which rootless storage takes where overlay does not work, needs it; machines do not",
    fix=("sudo modprobe fuse && sudo chmod 0666 /dev/fuse",),
    proof="ls -l /dev/fuse",
    concerns=ROOTLESS,
)
VSOCK_UNUSABLE = Fault(
    id="vsock-unusable",
    subject=_DEVICES,
    severity="note",
    title="/dev/vhost-vsock cannot be used",
    why="nothing of firkin's needs it: the agent is reached by virtio-serial. Other machine runners want it",
    fix=("sudo modprobe vhost_vsock && sudo chmod 0666 /dev/vhost-vsock",),
    proof="ls -l /dev/vhost-vsock",
    concerns=("podman",),
)
