"""The flags of `firkin run` about its root file system. The names and meanings are podman's."""

from __future__ import annotations

from functools import partial

import click

from firkin.cli.sections import Headed

_image = partial(click.option, cls=Headed, heading="The image")

ROOT_FLAGS = (
    _image("--rootfs", is_flag=True,
           help="IMAGE is the path of a file or block device with an ext4 file system. It is only read; "
                "PATH:rw writes to it."),
)  # fmt: skip
