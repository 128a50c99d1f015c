"""DeviceWords: block devices of this host that a container has as they are. The words are Docker's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict

from firkin.container.host_device import HostDevice
from firkin.engine.lists import listed
from firkin.engine.volumes import container_path, host_path
from firkin.errors import UsageError

MAX_DEVICES = 16
_MODES = {"r": True, "rm": True, "rw": False, "rwm": False}
"""Whether it is only read. `m` says nothing: one more node of what is there gives nothing more."""
_HINT = "write HOST[:CONTAINER[:rwm]], such as /dev/sdb:/dev/data:r"


class DeviceWords(TypedDict, total=False):
    devices: Iterable[str | HostDevice]


def parse_devices(words: DeviceWords) -> tuple[HostDevice, ...]:
    """The devices that are asked for. Raises UsageError."""
    found = tuple(
        each if isinstance(each, HostDevice) else parse_device(each)
        for each in listed("devices", words.get("devices", ()))
    )
    if len(found) > MAX_DEVICES:
        raise UsageError(f"device: {len(found)} are more than {MAX_DEVICES}", hint="give fewer")
    for field in ("path", "target"):
        places = [getattr(each, field) for each in found]
        for place in places:
            if places.count(place) > 1:
                raise UsageError(f"device: {place} is given twice", hint="give it once")
    return found


def parse_device(word: str) -> HostDevice:
    """`HOST[:CONTAINER][:MODE]`. Raises UsageError."""
    host, *more = word.split(":")
    mode = more.pop() if more and _is_mode(more[-1]) else "rwm"
    if not host or len(more) > 1 or "" in more:
        raise UsageError(f"device: {word!r} is not HOST[:CONTAINER[:rwm]]", hint=_HINT)
    letters = "".join(each for each in "rwm" if each in mode)
    if letters not in _MODES:
        raise UsageError(
            f"device: {word!r}: a disk that cannot be read is of no use", hint="choose r for reading, or rwm"
        )
    path = host_path(host)
    return HostDevice(
        path=path, target=container_path("device", more[0] if more else path), readonly=_MODES[letters]
    )


def _is_mode(text: str) -> bool:
    return bool(text) and not set(text) - set("rwm") and len(set(text)) == len(text)


def found(devices: tuple[HostDevice, ...]) -> tuple[HostDevice, ...]:
    """`devices` as they are now. Raises UsageError, HostUnsupported, InUse."""
    if not devices:
        return devices
    from firkin.container.device_check import examined

    return tuple(map(examined, devices))


def device_facts(device: HostDevice) -> dict[str, str]:
    """One of `HostConfig.Devices`, as `docker inspect` has them."""
    permissions = "rm" if device.readonly else "rwm"
    return {"PathOnHost": device.path, "PathInContainer": device.target, "CgroupPermissions": permissions}
