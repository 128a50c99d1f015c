"""The flags of `firkin run` that are about a container's life. Docker's names and meanings."""

from __future__ import annotations

from functools import partial

import click

from firkin.cli.sections import Headed

_life = partial(click.option, cls=Headed, heading="The container")

LIFE_FLAGS = (
    _life("--restart", default="no", metavar="no|on-failure[:N]|always|unless-stopped", show_default=True,
          help="Start it again when it ends, unless somebody stops it."),
)  # fmt: skip
