"""What a verb that lists prints for each `--format`: a table, lines of JSON, or a template for each row.

--format table                                  the default
--format 'table {{.ID}}\\t{{.Names}}'            chosen columns, with headings
--format json                                   one object a line
--format '{{.ID}} {{.Names}}'                   a template a line
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from firkin.cli.report import report
from firkin.cli.table import table
from firkin.cli.template import Template
from firkin.cli.template_functions import to_json
from firkin.errors import FirkinError

Row = Mapping[str, Any]


def listing(rows: Sequence[Row], headings: Mapping[str, str], columns: Sequence[str], form: str) -> str:
    """`rows` in the form that `--format` asks for. `columns` are the default table's, `headings` all fields'.

    Raises UsageError for a bad template.
    """
    if form == "json":
        return "".join(to_json(row) + "\n" for row in rows)
    word, _, rest = form.partition(" ")
    if form and word != "table":
        template = Template.parse(_unescaped(form))
        return "".join(template.render(row) + "\n" for row in rows)
    chosen = _unescaped(rest.strip()) or "\t".join(f"{{{{.{name}}}}}" for name in columns)
    template = Template.parse(chosen)
    lines = [template.render(headings), *(template.render(row) for row in rows)]
    return table([line.split("\t") for line in lines])


def shown(value: Any, form: str) -> str:
    """One object as `info` or `version` print it: JSON or a template's text, with a line end."""
    if form == "json":
        return to_json(value) + "\n"
    return Template.parse(_unescaped(form)).render(value) + "\n"


def _unescaped(form: str) -> str:
    """A shell's single quotes leave \\t and \\n as two characters; outside of actions they are meant."""
    parts = form.replace("{{", "\0{{").replace("}}", "}}\0").split("\0")
    return "".join(
        part if part.startswith("{{") else part.replace("\\t", "\t").replace("\\n", "\n") for part in parts
    )


def say_inspected(found: Sequence[dict[str, Any]], form: str) -> None:
    """Print facts as `--format` of an inspecting verb asks: "json", a template, or "" for indented JSON."""
    if form == "json":
        click.echo(json.dumps(found, separators=(",", ":"), ensure_ascii=False))
    elif form:
        click.echo("".join(shown(each, form) for each in found), nl=False)
    else:
        click.echo(json.dumps(found, indent=4, ensure_ascii=False))


def inspect(names: Sequence[str], facts: Callable[[str], dict[str, Any]], form: str) -> int:
    """Print the facts of each name, and report the error of one that has none: the exit status."""
    found: list[dict[str, Any]] = []
    status = 0
    for name in names:
        try:
            found.append(facts(name))
        except FirkinError as error:
            status = report(error)
    say_inspected(found, form)
    return status
