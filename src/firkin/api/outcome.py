"""Outcome: what is made of a finished process's bytes and status, the same wherever output() is called."""

from __future__ import annotations

from typing import Any

from firkin.engine.words import Size, size_bytes
from firkin.errors import CommandFailed, UsageError
from firkin.process.output import LIMIT_BYTES, Output


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
    stdout, stderr = said.stdout.decode(errors="replace"), said.stderr.decode(errors="replace")
    return Output(said.status, stdout, stderr, said.truncated)


def output_limit(limit: Size | None) -> int:
    """How many bytes of a stream output() keeps. Raises UsageError."""
    found = size_bytes("limit", limit)
    if found is not None and found < 0:
        raise UsageError(f"limit: {found} is negative", hint="give bytes from 0, or words such as 1m")
    return LIMIT_BYTES if found is None else found
