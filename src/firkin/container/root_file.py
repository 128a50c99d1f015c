"""What is looked at before a file or a block device of the user's becomes a container's root file system, or
the layer above it.

The rule: it is taken for raw whatever it begins with. A raw file that begins like a qcow2 could name any file
of this host as what lies under it, and be written so by its guest: so nothing here, and no VMM, ever asks
what it is. What it does begin with is only looked at to say what is wrong.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct

import msgspec

from firkin.container.root import RootFile
from firkin.errors import Corrupt, HostUnsupported, InUse, UsageError

HEAD_BYTES = 4096
MIN_BYTES = 64 << 10
_MAGIC_AT, _MAGIC = 0x438, 0xEF53  # Documentation/filesystems/ext4/super.rst
_BLOCKS_AT, _BLOCKS_HIGH_AT, _LOG_BLOCK_AT, _INCOMPATIBLE_AT = 0x404, 0x550, 0x418, 0x460
_RECOVER, _JOURNAL_DEVICE, _64BIT = 0x4, 0x8, 0x80
_MOST_LOG_BLOCK = 6

_OTHERS = (
    (0, b"QFI\xfb", "a qcow2 image", "qemu-img convert -O raw"),
    (0, b"KDMV", "a VMDK image", "qemu-img convert -O raw"),
    (0, b"\x1f\x8b", "gzip", "unpack it first"),
    (0, b"\xfd7zXZ", "xz", "unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "zstd", "unpack it first"),
    (0, b"hsqs", "squashfs", ""),
    (0, b"XFSB", "XFS", ""),
    (1024, b"\xe2\xe1\xf5\xe0", "EROFS", ""),
    (257, b"ustar", "a tar", "`firkin import` makes an image of it"),
    (512, b"EFI PART", "a disk with a partition table", "give the partition, such as /dev/sdb1"),
    (510, b"\x55\xaa", "a disk with a partition table", "give the partition, such as /dev/sdb1"),
)
"""Where, what, and what it is called; what helps."""
_EXT4 = "a machine's root is an ext4 file system: mkfs.ext4 -d DIR FILE SIZE makes one of a directory"


def examined(wanted: RootFile, *, settled: bool = False) -> RootFile:
    """`wanted` with what is there now; where it has to be `settled`, nothing is left to be replayed on it.

    Raises UsageError, HostUnsupported where it cannot be had, InUse.
    """
    fd = _opened(wanted)
    try:
        status = os.fstat(fd)
        _check_kind(wanted, status)
        device = stat.S_ISBLK(status.st_mode)
        if device:
            _check_unmounted(wanted, status)
        size_bytes = os.lseek(fd, 0, os.SEEK_END)
        head = os.pread(fd, HEAD_BYTES, 0)
    except OSError as error:
        raise _unusable(wanted, error) from error
    finally:
        os.close(fd)
    _check_file_system(wanted, head, size_bytes)
    if settled and struct.unpack_from("<I", head, _INCOMPATIBLE_AT)[0] & _RECOVER:
        raise UsageError(
            f"{wanted.role}: {wanted.path} was not unmounted, and under a writable layer its journal cannot "
            "be replayed",
            hint="let that be done once: e2fsck -p FILE",
        )
    return msgspec.structs.replace(
        wanted,
        device=device,
        size_bytes=size_bytes,
        mtime_ns=0 if device else status.st_mtime_ns,
        head=hashlib.sha256(head).hexdigest(),
    )


def check_unchanged(known: RootFile) -> None:
    """Raise where it is not what it was: what a container wrote stands on that, block by block.

    One that is written in place only has to be what a root can be. Raises Corrupt, and as examined().
    """
    found = examined(known)
    if not known.writable and found != known:
        raise Corrupt(
            f"{known.called} is not what it was when the container was made: somebody wrote to it",
            hint="bring it back as it was, or make a new container of it",
        )


def _opened(wanted: RootFile) -> int:
    how = os.O_RDWR if wanted.writable else os.O_RDONLY
    try:
        return os.open(wanted.path, how | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise UsageError(
            f"{wanted.role}: {wanted.path} does not exist", hint="it is a file or block device of this host"
        ) from error
    except IsADirectoryError:
        raise _directory(wanted) from None
    except OSError as error:
        raise _unusable(wanted, error) from error


def _check_kind(wanted: RootFile, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise _directory(wanted)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISBLK(status.st_mode)):
        raise UsageError(f"{wanted.role}: {wanted.path} is neither a file nor a block device", hint=_EXT4)


def _check_unmounted(wanted: RootFile, status: os.stat_result) -> None:
    number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        if any(line.split(" ", 3)[2] == number for line in mounts):
            raise _in_use(wanted.called, "this host has it mounted")


def _check_file_system(wanted: RootFile, head: bytes, size_bytes: int) -> None:
    if size_bytes < MIN_BYTES or len(head) < HEAD_BYTES:
        raise UsageError(f"{wanted.role}: {wanted.path} has only {size_bytes} bytes", hint=_EXT4)
    if struct.unpack_from("<H", head, _MAGIC_AT)[0] != _MAGIC:
        raise _no_ext4(wanted, head)
    (low,), (high,) = (struct.unpack_from("<I", head, at) for at in (_BLOCKS_AT, _BLOCKS_HIGH_AT))
    (log_block,), (features,) = (
        struct.unpack_from("<I", head, at) for at in (_LOG_BLOCK_AT, _INCOMPATIBLE_AT)
    )
    if features & _JOURNAL_DEVICE:
        raise UsageError(f"{wanted.role}: {wanted.path} is a journal of another file system", hint=_EXT4)
    blocks = low | (high << 32 if features & _64BIT else 0)
    if log_block > _MOST_LOG_BLOCK or blocks << 10 + log_block > size_bytes:
        raise UsageError(
            f"{wanted.role}: {wanted.path} is cut off: its file system is of {blocks} blocks, and it has "
            f"{size_bytes} bytes",
            hint="copy it again, or shrink its file system first: resize2fs",
        )


def _no_ext4(wanted: RootFile, head: bytes) -> UsageError:
    for at, magic, name, help_ in _OTHERS:
        if head[at : at + len(magic)] == magic:
            return UsageError(
                f"{wanted.role}: {wanted.path} is {name}, and no ext4 file system", hint=help_ or _EXT4
            )
    return UsageError(f"{wanted.role}: {wanted.path} has no ext4 file system on it", hint=_EXT4)


def _directory(wanted: RootFile) -> UsageError:
    return UsageError(
        f"{wanted.role}: {wanted.path} is a directory, and a machine's root is a disk",
        hint="make an image of it: tar -C DIR -c . | firkin import - NAME; or a disk: "
        "mkfs.ext4 -d DIR FILE SIZE",
    )


def _in_use(called: str, why: str) -> InUse:
    return InUse(f"{called} is in use: {why}", hint="stop or unmount that first, or give a copy")


def _unusable(wanted: RootFile, error: OSError) -> HostUnsupported:
    how = "write to" if wanted.writable else "read"
    return HostUnsupported(
        f"{wanted.role}: you cannot {how} {wanted.path}: {error.strerror}", hint="change its mode or owner"
    )
