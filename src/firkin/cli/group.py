"""The `firkin` command: global options, help by heading, and verbs that are imported when they are called."""

from __future__ import annotations

import importlib

import click

from firkin.cli.verbs import HIDDEN, VERBS


class Verbs(click.Group):
    """A click group over verbs.VERBS; a verb's module has its click command under the name `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        verb = VERBS.get(cmd_name) or HIDDEN.get(cmd_name)
        if verb is None:
            return None
        command: click.Command = importlib.import_module(f"firkin.cli.{verb.module}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and args[0] not in HIDDEN and not args[0].startswith("-"):
            raise _unknown_verb(args[0])
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        headings = dict.fromkeys(verb.heading for verb in VERBS.values())
        for heading in headings:
            with formatter.section(heading):
                formatter.write_dl(
                    [(name, verb.line) for name, verb in VERBS.items() if verb.heading == heading]
                )


_MEANT = {"ls": "ps", "list": "ps", "remove": "rm", "delete": "rm", "shell": "exec"}
"""Verbs that people try, and what does it here."""


def _unknown_verb(word: str) -> Exception:
    import difflib

    from firkin.errors import UsageError

    near = [_MEANT[word]] if word in _MEANT else difflib.get_close_matches(word, VERBS, n=1, cutoff=0.7)
    hint = f"did you mean `firkin {near[0]}`?" if near else "`firkin --help` lists the verbs"
    return UsageError(f"there is no verb {word!r}", hint=hint)


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from firkin import __version__

        click.echo(f"firkin {__version__}")
        ctx.exit()


@click.group(cls=Verbs, invoke_without_command=True, context_settings={"help_option_names": ["--help"]})
@click.option("-D", "--debug", is_flag=True, help="Show on standard error what is done, and tracebacks.")
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
              help="Show the version.")  # fmt: skip
@click.pass_context
def firkin(ctx: click.Context, /, debug: bool) -> None:
    """Containers that each run in their own small virtual machine, without root.

    \b
    firkin run -it --rm alpine sh           a shell in a new machine
    firkin run -d --name web -p 8080:80 nginx
    firkin exec web ps                      look inside
    """
    ctx.obj = debug
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
