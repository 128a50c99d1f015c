"""Completing: which words may follow on a shell's line. host.shells has the other side.

The rule: it reads, starts nothing, and says nothing but the answer: an error has no place on somebody's line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress

import click
from click.shell_completion import (
    CompletionItem,
    ShellComplete,
    _resolve_context,
    _resolve_incomplete,
    split_arg_string,
)

from firkin.cli.known_names import known
from firkin.cli.verbs import VERBS

_END = "\x01"
"""Stands behind what was typed, so that an empty last word is one."""
_LAST_WORD = re.compile(r"""(?:[^\s'"\\]|\\.|'[^']*'?|"(?:\\.|[^"\\])*"?)*$""", re.DOTALL)
_BREAKS = ":="
"""Where bash may begin a new word though no space is there, if COMP_WORDBREAKS says so."""


def answer(command: click.Command, shell: str, environ: Mapping[str, str]) -> str:
    """The lines for `shell`; COMP_LINE is what was typed, COMP_BREAKS where bash breaks words."""
    line = environ.get("COMP_LINE", "")
    with suppress(Exception):  # nobody sees it, and nothing is proposed
        *before, last = split_arg_string(line + _END)
        word = last.removesuffix(_END)
        items = _Completion(command, {}, "firkin", "").get_completions(before[1:], word)
        breaks = environ.get("COMP_BREAKS", "") if shell == "bash" else ""
        return "".join(_line(item, word, _replaced(line, word, breaks)) for item in items)
    return ""


class _Completion(ShellComplete):
    """Click's, which imports no verb to name it, and knows what metavars mean."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        context = _resolve_context(self.cli, self.ctx_args, self.prog_name, args)
        found, incomplete = _resolve_incomplete(context, args, incomplete)
        if isinstance(found, click.Group) and not incomplete.startswith("-"):
            names = [name for name in found.list_commands(context) if name.startswith(incomplete)]
            lines = {name: verb.line for name, verb in VERBS.items()} if found is self.cli else {}
            return [CompletionItem(name, help=lines.get(name)) for name in names]
        if isinstance(found, click.Parameter) and (kind := known(found)) is not None:
            return kind.items(context.params.get(found.name or ""), incomplete)
        return found.shell_complete(context, incomplete)


def _replaced(line: str, word: str, breaks: str) -> int:
    """How much of the last word the shell leaves alone: bash replaces what is behind its last break only."""
    raw = _LAST_WORD.search(line)
    if raw is None or {"'", '"'} & set(raw[0]):  # nothing breaks inside quotes
        return 0
    return max((word.rfind(mark) + 1 for mark in _BREAKS if mark in breaks), default=0)


def _line(item: CompletionItem[str], word: str, kept: int) -> str:
    if item.type in ("file", "dir"):
        return f"{item.type}\n"
    value = str(item.value)
    option, equals, typed = word.partition("=")
    if option.startswith("--") and equals and value.startswith(typed):
        value = f"{option}={value}"
    if any(character.isspace() or not character.isprintable() for character in value):
        return ""  # somebody else's file in our directory
    help_text = " ".join((item.help or "").split())
    return f"{'open' if item.type == 'open' else 'word'}\t{value[kept:]}\t{help_text}\n"
