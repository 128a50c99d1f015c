"""Wiring: how a process is connected to this command's terminal and streams."""

from __future__ import annotations

import os

import msgspec

from firkin.errors import UsageError


class Wiring(msgspec.Struct, frozen=True):
    """How a process is connected. `detach_keys` are bytes; b"" is no way to detach."""

    stdin: bool
    terminal: bool
    detach_keys: bytes = b""
    sig_proxy: bool = True

    def check(self) -> None:
        """Raises UsageError where a terminal is asked for and standard input is none."""
        if self.terminal and self.stdin and not os.isatty(0):
            raise UsageError(
                "standard input is not a terminal", hint="leave -t away, and keep -i to pass the input on"
            )
