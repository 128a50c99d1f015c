"""The flag of `firkin run` that says what keeps its container apart. Docker has it, with other words."""

from __future__ import annotations

from functools import partial

import click

from firkin.cli.sections import Headed

_machine = partial(click.option, cls=Headed, heading="The machine")

ISOLATION_FLAGS = (
    _machine("--isolation", default="vm", metavar="vm|namespace", show_default=True,
             help="A machine of its own, or namespaces of the host's kernel."),
)  # fmt: skip
