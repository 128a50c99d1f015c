"""Mounts and namespaces of a forked child that is about to exec: its own view of one directory or one file.

The rule: everything here happens in namespaces that end with the child; the host's mounts are never touched.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct

from firkin.linux.syscalls import checked, libc, syscall

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000

MS_BIND = 1 << 12
MS_REC = 1 << 14
MS_PRIVATE = 1 << 18
MS_NOSUID, MS_NODEV, MS_NOEXEC = 1 << 1, 1 << 2, 1 << 3

_SYS_MOUNT_SETATTR = 442
_SYS_OPEN_TREE = 428
_MOUNT_ATTR_RDONLY, _MOUNT_ATTR_NODEV, _MOUNT_ATTR_IDMAP = 1, 4, 0x100000
_OPEN_TREE_CLONE, _AT_EMPTY_PATH = 1, 0x1000
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000


def unshare(flags: int) -> None:
    """unshare(2). Raises OSError."""
    checked("unshare", libc().unshare(ctypes.c_int(flags)))


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2). Raises OSError."""
    encoded = (os.fsencode(each) for each in (source, target, fstype))
    checked(f"mount {target}", libc().mount(*encoded, ctypes.c_ulong(flags), os.fsencode(data)))


def set_read_only(target: str, *, recursive: bool) -> None:
    """Make the mount at `target` read-only, and with `recursive` those beneath it (mount_setattr(2), Linux
    5.12).

    Raises OSError.
    """
    attributes = struct.pack("=QQQQ", _MOUNT_ATTR_RDONLY, 0, 0, 0)
    flags = ctypes.c_uint(_AT_RECURSIVE if recursive else 0)
    size = ctypes.c_size_t(len(attributes))
    path = os.fsencode(target)
    syscall(
        f"mount_setattr {target}", _SYS_MOUNT_SETATTR, ctypes.c_int(_AT_FDCWD), path, flags, attributes, size
    )


def id_mapped(source: str, namespace_fd: int) -> int:
    """A mount of `source`, and of what is mounted below, that is attached nowhere and shows owners by the map
    of a user namespace (mount_setattr(2), Linux 5.12): a descriptor, which the caller owns. Raises OSError.
    """
    at, path = ctypes.c_int(_AT_FDCWD), os.fsencode(source)
    flags = ctypes.c_uint(_OPEN_TREE_CLONE | os.O_CLOEXEC | _AT_RECURSIVE)
    fd = syscall(f"open_tree {source}", _SYS_OPEN_TREE, at, path, flags)
    attributes = struct.pack("=QQQQ", _MOUNT_ATTR_IDMAP | _MOUNT_ATTR_NODEV, 0, MS_PRIVATE, namespace_fd)
    try:
        syscall(
            f"mount_setattr {source}",
            _SYS_MOUNT_SETATTR,
            ctypes.c_int(fd),
            b"",
            ctypes.c_uint(_AT_EMPTY_PATH | _AT_RECURSIVE),
            attributes,
            ctypes.c_size_t(len(attributes)),
        )
    except BaseException:
        os.close(fd)
        raise
    return fd


def enter_private_mounts(uid: int, gid: int) -> None:
    """A mount namespace of our own; unless we are root, inside a user namespace in which `uid` is root.

    Raises OSError where the host forbids it.
    """
    if uid == 0:
        unshare(CLONE_NEWNS)
    else:
        unshare(CLONE_NEWUSER | CLONE_NEWNS)
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/gid_map", f"0 {gid} 1")
        _write("/proc/self/uid_map", f"0 {uid} 1")
    mount("none", "/", flags=MS_REC | MS_PRIVATE)


def show(source: str, at: str, *, read_only: bool) -> None:
    """Make the directory `at` show `source`: a directory as it is, a file as the one entry of an empty
    directory.

    For a private mount namespace. Submounts are shown too, and are read-only with the rest. Raises OSError.
    """
    if stat.S_ISDIR(os.stat(source).st_mode):
        mount(source, at, flags=MS_BIND | MS_REC)
        if read_only:
            set_read_only(at, recursive=True)
        return
    mount("tmpfs", at, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,nr_inodes=4,mode=755")
    target = f"{at}/{os.path.basename(source)}"
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    mount(source, target, flags=MS_BIND)
    set_read_only(at, recursive=read_only)


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
