"""Options that several verbs share, so that one flag has one spelling and one sentence of help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def format_option(default: str) -> Callable[[F], F]:
    """`--format`: what `default` names, JSON, or a template."""
    return click.option(
        "--format", "form", default="", metavar="FORMAT",
        help=f"json, or a template such as '{{{{.ID}}}}'; {default} otherwise.",
    )  # fmt: skip


_env_option = click.option(
    "-e", "--env", multiple=True, metavar="NAME[=VALUE]",
    help="Set an environment variable; without a value, pass yours on.",
)  # fmt: skip
_env_file_option = click.option(
    "--env-file", "env_files", multiple=True, metavar="FILE",
    help="Read environment variables from a file, one NAME=value a line.",
)  # fmt: skip
_interactive_option = click.option("-i", "--interactive", is_flag=True, help="Connect standard input.")
_tty_option = click.option("-t", "--tty", is_flag=True, help="Give it a terminal.")
_user_option = click.option(
    "-u", "--user", default="", metavar="USER[:GROUP]", help="Run as this user, by name or number."
)
_workdir_option = click.option(
    "-w", "--workdir", default="", metavar="DIR", help="Run in this directory of the container."
)


def process_options(function: F) -> F:
    """What `run` and `exec` both say of a process: -i -t -e --env-file -w -u."""
    for option in (
        _user_option,
        _workdir_option,
        _env_file_option,
        _env_option,
        _tty_option,
        _interactive_option,
    ):
        function = option(function)
    return function


detach_keys_option = click.option(
    "--detach-keys", default="ctrl-p,ctrl-q", metavar="KEYS", show_default=True,
    help="Keys that leave the container running and end this command.",
)  # fmt: skip
no_trunc_option = click.option("--no-trunc", is_flag=True, help="Do not shorten anything.")
quiet_ids_option = click.option("-q", "--quiet", is_flag=True, help="Print only the ids.")
platform_option = click.option(
    "--platform",
    default="",
    metavar="OS/ARCH",
    help="Choose this platform of the image, such as linux/amd64.",
)
names_argument = click.argument("names", nargs=-1, required=True, metavar="CONTAINER...")
