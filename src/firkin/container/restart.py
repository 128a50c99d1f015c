"""RestartPolicy: whether a container that has ended is started again by itself, and after how long. Docker's.

The first try comes after 100 ms, each further one after twice as long as the one before, up to a minute; from
the beginning once it has run for ten seconds.
"""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

from firkin.errors import UsageError

PolicyName = Literal["no", "on-failure", "always", "unless-stopped"]
FIRST_DELAY_S, LONGEST_DELAY_S, SETTLED_S = 0.1, 60.0, 10.0
MOST_RETRIES = 1 << 31


class RestartPolicy(msgspec.Struct, frozen=True):
    """What `--restart` says. `retries` bounds on-failure; 0 does not."""

    name: PolicyName = "no"
    retries: int = 0

    @classmethod
    def parse(cls, text: str) -> RestartPolicy:
        """That of `no`, `always`, `unless-stopped`, `on-failure` or `on-failure:N`. Raises UsageError."""
        name, colon, retries = text.partition(":")
        if name not in get_args(PolicyName):
            raise UsageError(
                f"restart: {text!r} is not a restart policy",
                hint=f"write {', '.join(get_args(PolicyName))} or on-failure:5",
            )
        if not colon:
            return cls(name)  # type: ignore[arg-type]
        if name != "on-failure":
            raise UsageError(f"restart: {text!r} has a number", hint="only on-failure takes one")
        if not (retries.isascii() and retries.isdecimal()) or not 0 <= int(retries[:11]) <= MOST_RETRIES:
            raise UsageError(
                f"restart: {retries!r} is not a number of retries", hint="write a whole number from 0 on"
            )
        return cls("on-failure", int(retries))

    def __str__(self) -> str:
        return f"{self.name}:{self.retries}" if self.retries else self.name

    @property
    def wanted(self) -> bool:
        return self.name != "no"

    @property
    def outlives(self) -> bool:
        """Whether what is stopped with its supervisor goes on with the next one."""
        return self.name in ("always", "unless-stopped")

    def next(self, tries: Tries, *, ok: bool, ran_s: float) -> Tries | None:
        """The try after an end that nobody asked for; None: there is none."""
        if self.name == "no" or (self.name == "on-failure" and (ok or 0 < self.retries <= tries.count)):
            return None
        fresh = not tries.delay_s or ran_s >= SETTLED_S
        delay_s = FIRST_DELAY_S if fresh else min(2 * tries.delay_s, LONGEST_DELAY_S)
        return Tries(tries.count + 1, delay_s)


class Tries(msgspec.Struct, frozen=True):
    """How often a container was started again by itself since somebody started it."""

    count: int = 0
    delay_s: float = 0.0
    """How long the last of them waited."""


UNTRIED = Tries()
