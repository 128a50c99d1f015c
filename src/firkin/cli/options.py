"""Options that several verbs share, so that one flag has one spelling and one sentence of help."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import click

from firkin.cli.policy_flags import POLICY_FLAGS
from firkin.cli.sections import Headed

F = TypeVar("F", bound=Callable[..., Any])
_process = partial(click.option, cls=Headed, heading="The process")


def format_option(default: str) -> Callable[[F], F]:
    """`--format`: what `default` names, JSON, or a template."""
    return click.option(
        "--format", "form", default="", metavar="FORMAT",
        help=f"json, or a template such as '{{{{.ID}}}}'; {default} otherwise.",
    )  # fmt: skip


_PROCESS = (
    _process("-i", "--interactive", is_flag=True, help="Connect standard input."),
    _process("-t", "--tty", is_flag=True, help="Give it a terminal."),
    _process("-e", "--env", multiple=True, metavar="NAME[=VALUE]",
             help="Set an environment variable; without a value, pass yours on."),
    _process("--env-file", "env_files", multiple=True, metavar="FILE",
             help="Read environment variables from a file, one NAME=value a line."),
    _process("-w", "--workdir", default="", metavar="DIR", help="Run in this directory of the container."),
    _process("-u", "--user", default="", metavar="USER[:GROUP]", help="Run as this user, by name or number."),
)  # fmt: skip


def process_options(function: F) -> F:
    """What `run` and `exec` both say of a process."""
    for option in reversed((*_PROCESS, *POLICY_FLAGS)):
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
    cls=Headed,
    heading="The image",
    default="",
    metavar="OS/ARCH",
    help="Choose this platform of the image, such as linux/amd64.",
)
stop_timeout_option = click.option(
    "-t", "--time", "--timeout", "timeout", default=None, metavar="SECONDS",
    help="How long to wait before ending it; else what the container was made with, or 10.",
)  # fmt: skip
names_argument = click.argument("names", nargs=-1, required=True, metavar="CONTAINER...")
