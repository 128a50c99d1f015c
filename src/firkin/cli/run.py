"""`firkin run`: options into RunOptions, and the container's process onto this terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from firkin.cli.run_flags import run_flags
from firkin.cli.sections import Sectioned

if TYPE_CHECKING:
    from firkin.process.spec import TerminalSize


@click.command(cls=Sectioned, context_settings={"allow_interspersed_args": False})
@run_flags
@click.argument("image", metavar="IMAGE", required=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND...]")
def command(
    *,
    image: str | None,
    words: tuple[str, ...],
    bundle: str,
    detach: bool,
    detach_keys: str,
    interactive: bool,
    tty: bool,
    quiet: bool,
    sig_proxy: bool,
    timing: bool,
    trace: str,
    **chosen: Any,
) -> int:
    """Run a command in a new container, in a machine of its own.

    The exit status is the command's. At a terminal (-it), ctrl-p ctrl-q leaves it running.

    \b
    firkin run --rm alpine echo hello
    firkin run -it --rm -v $PWD:/src -w /src python:3.12 bash
    firkin run --rm --bundle DIR
    """
    from firkin.cli.bundle_flags import options_of
    from firkin.cli.detach import parse_keys
    from firkin.cli.running import Showing, run_in_background, run_in_foreground
    from firkin.cli.wiring import Wiring

    options = options_of(
        image,
        words,
        bundle,
        quiet=quiet,
        stdin=interactive,
        terminal=_terminal_size() if tty else None,
        **chosen,
    )
    wiring = Wiring(options.stdin, options.terminal is not None, parse_keys(detach_keys), sig_proxy)
    showing = Showing(quiet=quiet, timing=timing, trace=trace)
    if detach:
        return run_in_background(options, showing)
    wiring.check()
    return run_in_foreground(options, wiring, showing)


def _terminal_size() -> TerminalSize:
    from firkin.cli.foreground import terminal_size

    return terminal_size()
