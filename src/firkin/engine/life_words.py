"""The words for a container's life: when it is started again by itself. Docker's syntax."""

from __future__ import annotations

from typing import TypedDict

from firkin.container.restart import RestartPolicy
from firkin.engine.options import RunOptions
from firkin.errors import UsageError


class LifeWords(TypedDict, total=False):
    """What may be said of a container's life."""

    restart: str | RestartPolicy


def restart_policy(words: LifeWords) -> RestartPolicy:
    """The policy that `words` ask for. Raises UsageError."""
    said = words.get("restart", "no")
    return said if isinstance(said, RestartPolicy) else RestartPolicy.parse(said)


def check_life(options: RunOptions) -> None:
    """Raise UsageError for wishes that contradict each other."""
    if options.restart.wanted and options.auto_remove:
        raise UsageError(
            f"restart: {options.restart} starts a container again that --rm removes",
            hint="leave one of them out",
        )
    if options.health.on_failure == "restart" and not options.restart.wanted:
        raise UsageError(
            "health_on_failure: restart needs a restart policy, which starts the container again",
            hint="give --restart on-failure or always, too",
        )


def check_mortal(options: RunOptions) -> None:
    """Raise UsageError for what cannot be of a container that ends with whoever runs it."""
    if options.restart.wanted:
        raise UsageError(
            f"restart: {options.restart} is for detached containers, and this one ends with its engine",
            hint="run it with detach",
        )
