"""What is looked at before a block device of this host becomes a container's.

The rule: it is a disk, and raw, whatever is on it. What is no disk is a driver of this host's kernel, and a
machine has a kernel of its own.
"""

from __future__ import annotations

import os
import stat

import msgspec

from firkin.container.host_device import HostDevice
from firkin.errors import HostUnsupported, InUse, UsageError

SECTOR_BYTES = 512


def examined(wanted: HostDevice) -> HostDevice:
    """`wanted` with what is there now. Raises UsageError, HostUnsupported where it cannot be had, InUse."""
    try:
        status = os.stat(wanted.path)
        _check_kind(wanted, status)
        size_bytes = _size_bytes(wanted)
    except FileNotFoundError as error:
        raise UsageError(f"device: {wanted.path} does not exist", hint="give one of this host") from error
    except OSError as error:
        how = "read" if wanted.readonly else "read and write"
        raise HostUnsupported(
            f"device: you cannot {how} {wanted.path}: {error.strerror}",
            hint="join the group that it belongs to, or have its mode changed; :r asks for reading alone",
        ) from error
    if size_bytes == 0 or size_bytes % SECTOR_BYTES:
        raise UsageError(
            f"device: {wanted.path} has {size_bytes} bytes, and a disk has sectors of {SECTOR_BYTES}",
            hint="choose another, or make the file larger: truncate -s SIZE FILE",
        )
    device = stat.S_ISBLK(status.st_mode)
    if device and is_mounted(status):
        raise InUse(f"{wanted.called} is in use: this host has it mounted", hint="unmount it first")
    return msgspec.structs.replace(
        wanted,
        device=device,
        mode=stat.S_IMODE(status.st_mode) & 0o666,
        uid=status.st_uid if device else 0,
        gid=status.st_gid if device else 0,
    )


def is_mounted(status: os.stat_result) -> bool:
    """Whether this host has the block device mounted."""
    number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        return any(line.split(" ", 3)[2] == number for line in mounts)


def _check_kind(wanted: HostDevice, status: os.stat_result) -> None:
    if stat.S_ISCHR(status.st_mode):
        raise UsageError(
            f"device: {wanted.path} is a character device: it speaks with a driver of this host's "
            "kernel, and a machine has a kernel of its own",
            hint="--nested gives a machine KVM of its own" if wanted.path == "/dev/kvm" else "give a disk",
        )
    if stat.S_ISDIR(status.st_mode):
        raise UsageError(
            f"device: {wanted.path} is a directory", hint="`-v DIR:DIR` shares one; --device takes a disk"
        )
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISBLK(status.st_mode)):
        raise UsageError(f"device: {wanted.path} is neither a block device nor a file", hint="give a disk")


def _size_bytes(wanted: HostDevice) -> int:
    how = (os.O_RDONLY if wanted.readonly else os.O_RDWR) | os.O_CLOEXEC | os.O_NONBLOCK
    fd = os.open(wanted.path, how)
    try:
        return os.lseek(fd, 0, os.SEEK_END)
    finally:
        os.close(fd)
