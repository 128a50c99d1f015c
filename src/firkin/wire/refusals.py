"""FirkinErrors as maps and back: how one firkin process tells another why it refused.

Used on control.sock and supervisor.sock; the guest agent has its own, smaller form (messages.Failure).
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from firkin import errors
from firkin.wire.messages import convert

Text = Annotated[str, msgspec.Meta(max_length=1 << 16)]


class _Refusal(msgspec.Struct, frozen=True, kw_only=True):
    error: Text
    message: Text
    hint: Text = ""
    console_tail: Text = ""


def refusal(error: errors.FirkinError) -> dict[str, Any]:
    """`error` as a map."""
    tail = getattr(error, "console_tail", "")
    return {"error": type(error).__name__, "message": str(error), "hint": error.hint, "console_tail": tail}


def refused(message: dict[str, Any]) -> errors.FirkinError:
    """The error that `message` tells of; a FirkinError where its class is not known here.

    Raises ProtocolError where the map is not a refusal.
    """
    told = convert(message, _Refusal)
    kind = getattr(errors, told.error, errors.FirkinError)
    if kind is errors.BootFailed:
        return errors.BootFailed(told.message, hint=told.hint, console_tail=told.console_tail)
    if not (isinstance(kind, type) and issubclass(kind, errors.FirkinError)):
        kind = errors.FirkinError
    return kind(told.message, hint=told.hint)
