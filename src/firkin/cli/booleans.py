"""Booleans: flags without a value take =true and =false too, as those of Docker and podman do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

_WORDS = {"true": True, "false": False}


class Booleans(click.Command):
    """A command whose flags may be written `--start=false`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, list(plain(self.get_params(ctx), args)))


def plain(parameters: Sequence[click.Parameter], args: Sequence[str]) -> Iterator[str]:
    """`args` with each `--flag=true` and `--flag=false` written as click has it; --flag=false of a flag that
    has no opposite is left out, since it says what is so anyway. What stands behind -- is left alone.
    """
    flags = {
        name: parameter
        for parameter in parameters
        if isinstance(parameter, click.Option) and parameter.is_bool_flag
        for name in parameter.opts
    }
    rest = iter(args)
    for word in rest:
        if word == "--":
            yield word
            break
        name, _, value = word.partition("=")
        flag = flags.get(name)
        if flag is None or value not in _WORDS:
            yield word
        elif _WORDS[value]:
            yield name
        elif flag.secondary_opts:
            yield flag.secondary_opts[0]
    yield from rest
