"""Landlock: a process gives up every file, and every TCP port, but those that it names (landlock(7)).

The rule: a ruleset is built in the parent as plain data and one descriptor; the child only enters it. Rights
that this kernel does not know are left out of what is handled, never out of what is allowed: `abi()` says
what holds.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

import msgspec

from firkin.linux.syscalls import PR_SET_NO_NEW_PRIVS, prctl, syscall

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH, _RULE_NET_PORT = 1, 2
_VERSION_FLAG = 1

EXECUTE = 1 << 0
WRITE_FILE = 1 << 1
READ_FILE = 1 << 2
READ_DIR = 1 << 3
TRUNCATE = 1 << 14
IOCTL_DEV = 1 << 15
BIND_TCP = 1 << 0
CONNECT_TCP = 1 << 1

_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
_FS_RIGHTS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many of the low bits of the file system rights each ABI handles; later ones handle as many as 5."""
_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11

READ = READ_FILE | READ_DIR
READ_WRITE = READ_FILE | WRITE_FILE | TRUNCATE


class Rule(msgspec.Struct, frozen=True):
    """What stays allowed at `path` and, for a directory, beneath it. A missing path allows nothing."""

    path: str
    access: int


def abi() -> int:
    """Landlock's ABI version of the running kernel; 0 where it is absent or off."""
    try:
        return syscall("landlock_create_ruleset", _CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(1))
    except OSError:
        return 0


def create_ruleset(
    version: int, rules: Iterable[Rule], *, handled_tcp: int = 0, bind_ports: Iterable[int] = ()
) -> int:
    """A descriptor of the ruleset for `restrict_self`. The caller closes it.

    `handled_tcp` names the TCP rights that are given up (ABI 4 on), but for binding `bind_ports`.
    Raises OSError.
    """
    handled = (1 << _FS_RIGHTS_BY_ABI.get(version, 16)) - 1
    tcp = handled_tcp if version >= 4 else 0
    scoped = _SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0
    size = 8 if version < 4 else 16 if version < 6 else 24
    attributes = struct.pack("=QQQ", handled, tcp, scoped)
    fd = syscall(
        "landlock_create_ruleset", _CREATE_RULESET, attributes, ctypes.c_size_t(size), ctypes.c_uint(0)
    )
    try:
        for rule in rules:
            _allow_path(fd, rule, handled)
        for port in bind_ports if tcp & BIND_TCP else ():
            _add_rule(fd, _RULE_NET_PORT, struct.pack("=QQ", BIND_TCP, port))
    except BaseException:
        os.close(fd)
        raise
    return fd


def restrict_self(ruleset_fd: int) -> None:
    """Enter the ruleset for good; sets no_new_privs first, as the kernel demands. Raises OSError."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    syscall("landlock_restrict_self", _RESTRICT_SELF, ctypes.c_int(ruleset_fd), ctypes.c_uint(0))


def _allow_path(ruleset_fd: int, rule: Rule, handled: int) -> None:
    try:
        path_fd = os.open(rule.path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        access = rule.access & handled
        if not stat.S_ISDIR(os.fstat(path_fd).st_mode):
            access &= _OF_FILES
        _add_rule(ruleset_fd, _RULE_PATH_BENEATH, struct.pack("=Qi", access, path_fd))
    finally:
        os.close(path_fd)


def _add_rule(ruleset_fd: int, kind: int, attributes: bytes) -> None:
    syscall(
        "landlock_add_rule",
        _ADD_RULE,
        ctypes.c_int(ruleset_fd),
        ctypes.c_int(kind),
        attributes,
        ctypes.c_uint(0),
    )
