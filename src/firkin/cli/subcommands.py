"""Subcommands: the commands of a verb that has several, imported when they are called."""

from __future__ import annotations

import importlib
from typing import Any

import click


class Subcommands(click.Group):
    """A click group over `commands`: for each its module, and its line in the help, which costs no import. A
    command's module has it under the name `command`.
    """

    def __init__(self, *args: Any, lines: dict[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lines = lines

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._lines)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._lines:
            return None
        module, _ = self._lines[cmd_name]
        command: click.Command = importlib.import_module(f"firkin.cli.{module}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in self._lines.items()])
