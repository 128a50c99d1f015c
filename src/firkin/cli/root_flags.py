"""The flags of `firkin run` about its root file system. Those that podman has mean the same."""

from __future__ import annotations

from functools import partial

import click

from firkin.cli.sections import Headed

_image = partial(click.option, cls=Headed, heading="The image")

ROOT_FLAGS = (
    _image("--rootfs", is_flag=True,
           help="IMAGE is the path of a file or block device with an ext4 file system. It is only read; "
                "PATH:rw writes to it."),
    _image("--writable-layer", "writable_layer", default="", metavar="SIZE|PATH",
           help="Only read the root file system, and write to a disk of its own that is laid over it: a new "
                "one of that size, or an ext4 in a file or block device."),
)  # fmt: skip
