"""What a `spawn` says of a process's rights: values that whoever plans one has, before anybody talks."""

from __future__ import annotations

import msgspec


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    bounding: int
    effective: int
    inheritable: int
    permitted: int
    ambient: int


class Rlimit(msgspec.Struct, frozen=True, kw_only=True):
    type: int
    soft: int
    hard: int


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """A seccomp filter: struct sock_filter, one after the other, and SECCOMP_FILTER_FLAG_*."""

    program: bytes
    flags: int = 0
