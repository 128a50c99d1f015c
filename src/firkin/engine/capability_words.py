"""Words for capabilities: names as of docker's --cap-add, one set, or the five of the OCI runtime spec."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from firkin.engine.lists import listed
from firkin.errors import UsageError
from firkin.process import capabilities
from firkin.wire.privileges import Capabilities


def mask_of(field: str, names: Iterable[str]) -> int:
    """The bits of names as NET_ADMIN, CAP_NET_ADMIN, in small letters too; ALL is every one."""
    bits = 0
    for name in listed(field, names):
        short = str(name).upper().removeprefix("CAP_")
        if short != "ALL" and short not in capabilities.NAMES:
            raise UsageError(f"{field}: {name!r} is not a capability", hint="such as NET_ADMIN, or ALL")
        bits |= capabilities.ALL if short == "ALL" else capabilities.mask(short)
    return bits


def exact_sets(said: Iterable[str] | Mapping[str, Iterable[str]]) -> Capabilities:
    """One set for all that a program started by root has, or any of the five sets by its name."""
    if not isinstance(said, Mapping):
        return capabilities.granted(mask_of("capabilities", said))
    sets = Capabilities.__struct_fields__
    for name in said:
        if name not in sets:
            raise UsageError(
                f"capabilities: {name!r} is not one of {', '.join(sets)}", hint="choose one of them"
            )
    return checked_sets(
        "capabilities", Capabilities(**{name: mask_of("capabilities", said.get(name, ())) for name in sets})
    )


def checked_sets(field: str, found: Capabilities) -> Capabilities:
    """`found`, where a process can have those five sets, capabilities(7). Raises UsageError."""
    if found.effective & ~found.permitted:
        raise UsageError(f"{field}: effective holds what permitted lacks", hint="permit it, too")
    if found.ambient & ~(found.permitted & found.inheritable):
        raise UsageError(
            f"{field}: ambient holds what permitted or inheritable lacks", hint="add it to both of them"
        )
    return found
