"""`firkin generate spec`: the OCI runtime spec of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from firkin.cli.run_flags import create_flags
from firkin.cli.sections import Sectioned

if TYPE_CHECKING:
    from firkin.engine.options import RunOptions
    from firkin.oci.image import Image


@click.command("spec", cls=Sectioned, context_settings={"allow_interspersed_args": False})
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
    """Print the config.json that `firkin run` with the same words would have.

    Without an image it is that of a shell in a directory rootfs, to begin a bundle with. What a config.json
    has no words for is not in it: the machine's size, networks and ports.

    \b
    firkin generate spec --cap-drop ALL alpine id > config.json
    firkin run --rm --bundle .
    """
    import os

    from firkin.engine import rules
    from firkin.engine.words import run_options
    from firkin.errors import UsageError
    from firkin.oci.runtime_spec import encode

    if bundle:
        raise UsageError("a bundle has its config.json", hint="name an image, or leave --bundle away")
    args = words if image is not None else ("sh",)
    options = run_options(
        image or "rootfs", args, stdin=interactive, terminal=tty, environ=os.environ, **chosen
    )
    rules.check(options)
    pulled = None if image is None or options.root.file is not None else _pulled(options, quiet=quiet)
    click.echo(encode(_spec(options, pulled)))
    return 0


def _pulled(options: RunOptions, *, quiet: bool) -> Image:
    from firkin.cli.progress import progress
    from firkin.cli.session import with_engine

    with progress(quiet=quiet):
        return with_engine(
            lambda engine: engine.pull(options.image, platform=options.platform, policy=options.pull)
        )


def _spec(options: RunOptions, image: Image | None) -> Any:
    from firkin.engine.spec_of import nothing, spec_of
    from firkin.settings import Settings

    return spec_of(options, nothing() if image is None else image, Settings.load())
