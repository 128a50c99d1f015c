"""Devices: whether those that networks and file systems of containers need can be opened."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

import msgspec

from firkin.faults import machines
from firkin.faults.fault import Fault, Finding
from firkin.host.asker import Asker

_FAULTS: dict[str, Fault] = {
    "/dev/net/tun": machines.TUN_UNUSABLE,
    "/dev/fuse": machines.FUSE_UNUSABLE,
    "/dev/vhost-vsock": machines.VSOCK_UNUSABLE,
}


class Facts(msgspec.Struct, frozen=True):
    """Why a device cannot be used, by its path."""

    problems: tuple[tuple[str, str], ...] = ()


def problem(path: str) -> str:
    """Why the character device at `path` cannot be opened; "" where it can."""
    try:
        if not stat.S_ISCHR(os.stat(path).st_mode):
            return "is no device"
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
    except FileNotFoundError:
        return "is not there"
    except PermissionError:
        return "may not be opened by this user"
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    return ""


def gather(asker: Asker) -> Facts:
    return Facts(tuple((path, why) for path in _FAULTS if (why := problem(path))))


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    for path, why in facts.problems:
        yield _FAULTS[path].found(f"{path} {why}")
