"""The flag of `firkin run` about devices of this host. Its name and meaning are Docker's."""

from __future__ import annotations

from functools import partial

import click

from firkin.cli.sections import Headed

_reach = partial(click.option, cls=Headed, heading="Files")

DEVICE_FLAGS = (
    _reach("--device", "devices", multiple=True, metavar="HOST[:DEVICE[:rwm]]",
           help="Give it a block device of the host, or a file, as a disk that it has as such; r: to read."),
)  # fmt: skip
