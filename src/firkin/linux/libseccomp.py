"""libseccomp, as far as filters are compiled with it: names of system calls and rules into classic BPF.

The rule: the library is loaded when something is compiled, which a cache makes rare, and a call of it that
fails is an error that names the object. It comes with every QEMU that Debian has.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable
from functools import cache
from typing import Protocol

from firkin.errors import HostUnsupported, UsageError

_NAME = "libseccomp.so.2"
_ATTR_OPTIMIZE, _BINARY_TREE = 8, 2  # SCMP_FLTATR_CTL_OPTIMIZE: a kernel tries all numbers once at the start
_UNKNOWN = -1  # __NR_SCMP_ERROR
_LOG, _ALLOW = 0x7FFC0000, 0x7FFF0000  # SECCOMP_RET_*: those that let the call happen


class _Test(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


class FilterRule(Protocol):
    """At system call `name` the filter returns `verdict` where all of `arguments` are so."""

    @property
    def name(self) -> str: ...
    @property
    def verdict(self) -> int: ...
    @property
    def arguments(self) -> tuple[tuple[int, int, int, int], ...]:
        """(index, enum scmp_compare, value, second value)."""


def compiled(default: int, architectures: Iterable[str], rules: Iterable[FilterRule]) -> bytes:
    """struct sock_filter of those rules; what none names gets `default`. The first is the host's own.

    A name that this libseccomp does not know is passed over where the default is stricter than its rule.
    Raises UsageError for what cannot be compiled, HostUnsupported without the library.
    """
    library = _library()
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(default)))
    if not context:
        raise UsageError(f"seccomp: {default:#x} is no default action", hint="choose another")
    try:
        _checked(
            library.seccomp_attr_set(context, _ATTR_OPTIMIZE, ctypes.c_uint32(_BINARY_TREE)),
            "as a binary tree",
            missing=(-22, -95),
        )
        for name in architectures:
            _add_architecture(library, context, name)
        for rule in rules:
            _add_rule(library, context, default, rule)
        return _exported(library, context)
    finally:
        library.seccomp_release(context)


def _add_architecture(library: ctypes.CDLL, context: ctypes.c_void_p, name: str) -> None:
    token = library.seccomp_arch_resolve_name(name.encode())
    if token == 0:
        raise UsageError(
            f"seccomp: architecture SCMP_ARCH_{name.upper()} is unknown to libseccomp", hint="leave it out"
        )
    known = -17  # EEXIST: the host's own is there from the start
    _checked(library.seccomp_arch_add(context, ctypes.c_uint32(token)), f"for {name}", missing=(known,))


def _add_rule(library: ctypes.CDLL, context: ctypes.c_void_p, default: int, rule: FilterRule) -> None:
    number = library.seccomp_syscall_resolve_name(rule.name.encode())
    if number == _UNKNOWN:
        if default in (_LOG, _ALLOW):
            raise UsageError(
                f"seccomp: system call {rule.name!r} is unknown to this host's libseccomp",
                hint="mend its name, or update libseccomp",
            )
        return
    tests = (_Test * len(rule.arguments))(*(_Test(*each) for each in rule.arguments))
    _checked(
        library.seccomp_rule_add_array(
            context, ctypes.c_uint32(rule.verdict), number, len(rule.arguments), tests
        ),
        f"for {rule.name}",
    )


def _exported(library: ctypes.CDLL, context: ctypes.c_void_p) -> bytes:
    fd = os.memfd_create("filter", os.MFD_CLOEXEC)
    try:
        _checked(library.seccomp_export_bpf(context, fd), "as a program")
        return os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)


def _checked(result: int, what: str, missing: tuple[int, ...] = ()) -> None:
    if result < 0 and result not in missing:
        raise UsageError(
            f"seccomp: libseccomp cannot make a filter {what}: {os.strerror(-result)}",
            hint="two of its rules may contradict each other",
        )


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_NAME)
    except OSError as error:
        raise HostUnsupported(
            f"cannot load {_NAME}, which compiles seccomp filters",
            hint="install it (Debian: libseccomp2), or say --security-opt seccomp=unconfined",
        ) from error
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    return library
