"""Outcome: what is made of a finished process's bytes and status, the same wherever output() is called."""

from __future__ import annotations

from typing import Any

from firkin.errors import CommandFailed
from firkin.process.output import Output


def finished(said: Output[bytes], what: str, *, check: bool, text: bool) -> Output[Any]:
    """`said`, decoded when `text` is wanted. Raises CommandFailed when `check` is, and `what` failed."""
    result: Output[Any] = decoded(said) if text else said
    if check and not said.ok:
        last = said.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise CommandFailed(
            f"{what} ended with {said.status}" + (f": {last[:200]}" if last else ""),
            output=result,
            exit_status=said.status.status,
        )
    return result


def decoded(said: Output[bytes]) -> Output[str]:
    """UTF-8 as str; bytes that are none become U+FFFD: what a guest writes must not be able to raise here."""
    return Output(said.status, said.stdout.decode(errors="replace"), said.stderr.decode(errors="replace"))
