"""Who a child runs as: a uid without privileges and at most one capability.

The rule: `drop` ends with fewer rights than it began with or with an OSError, never in between.
"""

from __future__ import annotations

import os

import msgspec

from firkin.linux.syscalls import (
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_RAISE,
    PR_CAPBSET_DROP,
    PR_CAPBSET_READ,
    PR_SET_KEEPCAPS,
    prctl,
    set_capabilities,
)

CAP_NET_BIND_SERVICE = 10
NOBODY = 65534

_VMM_UIDS_BEGIN = 0x7F000000
_VMM_UIDS_COUNT = 1 << 16
"""Where nobody allots: above the ranges of systemd's dynamic users (61184..) and containers
(524288..1879048191), and below the 0x7FFFFFFE that systemd reserves."""


class Credentials(msgspec.Struct, frozen=True):
    """A uid and gid to become, further groups, and capabilities (a bit mask) to carry across exec."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    ambient: int = 0


def unprivileged(serial: int, *, groups: tuple[int, ...] = (), ambient: int = 0) -> Credentials:
    """Credentials for a program that root starts: a uid of its own where this user namespace maps one, else
    nobody.

    `serial` chooses the uid: programs with different serials (modulo 65,536) cannot signal or trace each
    other.
    """
    uid = _VMM_UIDS_BEGIN + serial % _VMM_UIDS_COUNT
    if not (_maps("/proc/self/uid_map", uid) and _maps("/proc/self/gid_map", uid)):
        uid = NOBODY
    return Credentials(uid, uid, groups, ambient)


def can_become(credentials: Credentials) -> bool:
    """Whether this user namespace maps the ids, so that setuid(2) can succeed."""
    return _maps("/proc/self/uid_map", credentials.uid) and _maps("/proc/self/gid_map", credentials.gid)


def drop(credentials: Credentials) -> None:
    """Become `credentials` for good: bounding set emptied, groups, gid, uid, capabilities. Raises OSError."""
    _empty_bounding_set(but=credentials.ambient)
    prctl(PR_SET_KEEPCAPS, 1 if credentials.ambient else 0)
    os.setgroups(credentials.groups)
    os.setresgid(credentials.gid, credentials.gid, credentials.gid)
    os.setresuid(credentials.uid, credentials.uid, credentials.uid)
    set_capabilities(credentials.ambient)
    for capability in range(64):
        if credentials.ambient >> capability & 1:
            prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)


def _empty_bounding_set(*, but: int) -> None:
    for capability in range(64):
        try:
            held = prctl(PR_CAPBSET_READ, capability)
        except OSError:  # EINVAL: the kernel knows no more capabilities
            return
        if held and not but >> capability & 1:
            prctl(PR_CAPBSET_DROP, capability)


def _maps(map_path: str, identifier: int) -> bool:
    with open(map_path) as lines:
        ranges = [tuple(map(int, line.split())) for line in lines]
    return any(first <= identifier < first + count for first, _, count in ranges)
