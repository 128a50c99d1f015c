"""Linux capabilities by name, capabilities(7), and the set that a container's processes get."""

from __future__ import annotations

from firkin.wire.privileges import Capabilities

NAMES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *(
        "LINUX_IMMUTABLE",
        "NET_BIND_SERVICE",
        "NET_BROADCAST",
        "NET_ADMIN",
        "NET_RAW",
        "IPC_LOCK",
        "IPC_OWNER",
    ),
    *(
        "SYS_MODULE",
        "SYS_RAWIO",
        "SYS_CHROOT",
        "SYS_PTRACE",
        "SYS_PACCT",
        "SYS_ADMIN",
        "SYS_BOOT",
        "SYS_NICE",
    ),
    *(
        "SYS_RESOURCE",
        "SYS_TIME",
        "SYS_TTY_CONFIG",
        "MKNOD",
        "LEASE",
        "AUDIT_WRITE",
        "AUDIT_CONTROL",
        "SETFCAP",
    ),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
    "CHECKPOINT_RESTORE",
)
"""In the order of their numbers in linux/capability.h."""


ALL = (1 << len(NAMES)) - 1


def mask(*names: str) -> int:
    """The bits of `names`."""
    return sum(1 << NAMES.index(name) for name in names)


def names(bits: int) -> tuple[str, ...]:
    """Those whose bits are set, in the order of their numbers."""
    return tuple(name for number, name in enumerate(NAMES) if bits >> number & 1)


def granted(bits: int) -> Capabilities:
    """`bits` as the sets of a process that starts as root: nothing is inherited, nothing ambient."""
    return Capabilities(bounding=bits, effective=bits, permitted=bits, inheritable=0, ambient=0)


DEFAULT = granted(
    mask(
        *("CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP"),
        *("SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"),
    )
)
"""What Docker grants. A user other than root keeps only the bounding set, by the kernel's rules."""
