"""The flags that put a container into a pod."""

from __future__ import annotations

from functools import partial

import click

from firkin.cli.sections import Headed

_pod = partial(click.option, cls=Headed, heading="The pod")

POD_FLAGS = (
    _pod("--pod", default="", metavar="POD",
         help="Run it in this pod, in its machine and network; -v NAME:DIR is a volume of it."),
)  # fmt: skip
