"""`firkin create`: a container that is started later."""

from __future__ import annotations

from typing import Any

import click

from firkin.cli.run_flags import create_flags
from firkin.cli.sections import Sectioned


@click.command(cls=Sectioned, context_settings={"allow_interspersed_args": False})
@create_flags
@click.argument("image", metavar="IMAGE", required=False)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND...]")
def command(
    *,
    image: str | None,
    words: tuple[str, ...],
    bundle: str,
    interactive: bool,
    tty: bool,
    quiet: bool,
    **chosen: Any,
) -> int:
    """Make a container that `firkin start` starts, and print its id.

    Everything that `firkin run` can be told of it, but nothing runs yet. It stays until it is removed.

    \b
    firkin create --name job alpine sh -c 'sleep 1; echo done'
    firkin start -a job
    """
    from firkin.cli.bundle_flags import options_of
    from firkin.cli.running import Showing, create

    options = options_of(image, words, bundle, quiet=quiet, stdin=interactive, terminal=tty, **chosen)
    return create(options, Showing(quiet=quiet))
