"""The flag of a bundle, and what `run` and `create` make of their words, with one or without."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from firkin.cli.sections import Headed

if TYPE_CHECKING:
    from firkin.engine.options import RunOptions

_image = partial(click.option, cls=Headed, heading="The image")

BUNDLE_FLAGS = (
    _image("-b", "--bundle", default="", metavar="DIR",
           help="Run this OCI bundle: its config.json says what and how, in place of an image."),
)  # fmt: skip


def options_of(
    image: str | None, words: tuple[str, ...], bundle: str, *, quiet: bool, **chosen: Any
) -> RunOptions:
    """RunOptions of a command line. The root file system of a bundle becomes an image here."""
    import os

    from firkin.errors import UsageError

    if bundle:
        if image is not None:
            raise UsageError(f"a bundle has no image {image!r}", hint="say --bundle, or name an image")
        return _of_bundle(bundle, quiet=quiet, **chosen)
    if image is None:
        raise UsageError(
            "missing argument 'IMAGE'", hint="write its name behind the options, or --bundle DIR"
        )
    from firkin.engine.words import run_options

    return run_options(image, words, environ=os.environ, **chosen)


def _of_bundle(directory: str, *, quiet: bool, stdin: bool, **chosen: Any) -> RunOptions:
    import os

    import msgspec

    from firkin.cli.progress import progress
    from firkin.cli.session import with_engine
    from firkin.engine import bundles

    bundle = bundles.read(directory)
    options = bundles.options_of(bundle, environ=os.environ, **chosen)
    if not quiet and bundle.spec.linux.cgroups_path:
        click.echo(
            "firkin: config.json: linux.cgroupsPath is not used: a machine has its own cgroups", err=True
        )
    with progress(quiet=quiet):
        with_engine(lambda engine: bundles.put(bundle, engine.settings))
    at_terminal = options.terminal is not None and os.isatty(0)  # as other runtimes connect it
    return msgspec.structs.replace(options, stdin=stdin or at_terminal)
