"""`firkin container VERB`, for those who know it from Docker: the verbs of containers, and `prune`."""

from __future__ import annotations

import importlib

import click

from firkin.cli.verbs import CONTAINERS, LOOK, VERBS

_OTHERS = {"ls": "ps", "list": "ps", "prune": "container_prune"}


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(
            (*_OTHERS, *(name for name, verb in VERBS.items() if verb.heading in (CONTAINERS, LOOK)))
        )

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = _OTHERS.get(cmd_name) or VERBS[cmd_name].module
        command: click.Command = importlib.import_module(f"firkin.cli.{module}").command
        return command


@click.group(cls=_Verbs)
def command() -> None:
    """`docker container VERB` is `firkin VERB`; `prune` removes ended containers only."""
