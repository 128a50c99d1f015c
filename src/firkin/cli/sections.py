"""Help of a command with many options, under headings: `click.option(..., cls=Headed, heading=...)`."""

from __future__ import annotations

from typing import Any

import click

from firkin.cli.booleans import Booleans


class Headed(click.Option):
    """An option that stands under `heading` in the help of a Sectioned command."""

    def __init__(self, *names: Any, heading: str = "", **attributes: Any) -> None:
        super().__init__(*names, **attributes)
        self.heading = heading


class Sectioned(Booleans):
    """A command whose help has a section for each heading; what has none stands last."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, records in sections(self, ctx).items():
            with formatter.section(heading):
                formatter.write_dl(records)


def sections(command: click.Command, ctx: click.Context) -> dict[str, list[tuple[str, str]]]:
    """The options of `command` with their help, by heading."""
    found: dict[str, list[tuple[str, str]]] = {}
    rest: list[tuple[str, str]] = []
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
        heading = getattr(parameter, "heading", "")
        if record is not None:
            (found.setdefault(heading, []) if heading else rest).append(record)
    return {**found, "Other options" if found else "Options": rest}
