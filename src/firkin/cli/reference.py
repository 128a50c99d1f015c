"""docs/reference/verbs.md from the commands themselves: `python -m firkin.cli.reference > that file`.

A test fails when the page and the commands differ.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator

import click

from firkin.cli.group import firkin
from firkin.cli.sections import sections
from firkin.cli.verbs import VERBS

_OPENING = """\
# Verbs

<!-- Written by `python -m firkin.cli.reference`. Change the commands, not this page. -->

Docker's verbs and flags, where firkin has them, mean what they mean there. `firkin VERB --help` shows the
same as this page.

The exit status of `run` and `exec` is that of the process inside: 128 + n when signal n ended it, 126 when
the command is not executable, 127 when it was not found. 125 means that firkin could not do its part, 130
that Ctrl-C ended it. An error is one line that begins with `firkin:`, and a hint on the next.

Everything that lists or inspects takes `--format json`, or a template such as `'{{.ID}} {{.Names}}'`.
"""


def markdown() -> str:
    """The page."""
    context = click.Context(firkin, info_name="firkin")
    lines = [_OPENING, "## Before the verb\n", *_options(firkin, context)]
    for heading in dict.fromkeys(verb.heading for verb in VERBS.values()):
        lines.append(f"## {heading}\n")
        for name, verb in VERBS.items():
            command = firkin.get_command(context, name)
            if verb.heading == heading and command is not None:
                lines += _verb(command, click.Context(command, info_name=name, parent=context), "###")
    return "\n".join(lines).rstrip() + "\n"


def _verb(command: click.Command, context: click.Context, level: str) -> Iterator[str]:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"{level} {context.command_path}\n"
    yield f"    {usage}\n"
    yield _paragraphs(command.help or "") + "\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None  # it was listed
            yield from _verb(inner, click.Context(inner, info_name=name, parent=context), level + "#")
    else:
        yield from _options(command, context)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for heading, records in sections(command, context).items():
        rows = [record for record in records if record[0] != "--help"]
        if rows:
            yield f"| {'option' if heading == 'Options' else heading} | |\n|---|---|"
            for names, text in rows:
                yield "| `{}` | {} |".format(*(cell.replace("|", "\\|") for cell in (names, text)))
            yield ""


def _paragraphs(text: str) -> str:
    """Help as Markdown: a paragraph that click must not wrap is an indented block."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(
        "\n".join("    " + line for line in paragraph.split("\n")[1:])
        if paragraph.startswith("\b")
        else paragraph
        for paragraph in paragraphs
    )


if __name__ == "__main__":
    sys.stdout.write(markdown())
