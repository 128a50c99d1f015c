"""The one word for the state of a container: Docker's, where Docker has one."""

from __future__ import annotations

from typing import Literal, get_args

from firkin.container.record import Created, Exited, Running, State, Suspended

StateWord = Literal["created", "running", "paused", "restarting", "exited", "suspended"]
WORDS: tuple[StateWord, ...] = get_args(StateWord)


def word(state: State) -> StateWord:
    """What `firkin ps` calls it."""
    match state:
        case Created():
            return "created"
        case Running():
            return "paused" if state.paused else "running"
        case Suspended():
            return "suspended"
        case Exited():
            return "exited" if state.again_ns is None else "restarting"


def is_up(state: State) -> bool:
    """Whether `firkin ps` shows it unasked: it runs, or is about to again."""
    return word(state) in ("running", "paused", "restarting")
