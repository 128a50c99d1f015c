"""The flags of `firkin run` that limit what it uses. Docker's names and meanings."""

from __future__ import annotations

from functools import partial

import click

from firkin.cli.sections import Headed

_machine = partial(click.option, cls=Headed, heading="The machine")

LIMIT_FLAGS = (
    _machine("--cpus", default=None, metavar="NUMBER",
             help="Its CPUs; 1.5 gives it two, of which it may use one and a half."),
    _machine("--pids-limit", default=None, metavar="NUMBER",
             help="How many processes and threads it may have; -1 for no limit."),
    _machine("--memory-swap", default=None, metavar="SIZE",
             help="Memory and swap together, in namespaces; a machine has no swap: only the size of --memory "
                  "will do."),
    _machine("--cpu-shares", default=None, metavar="NUMBER",
             help="Its part of the processors that others want, too, in namespaces; 1024 is a usual one."),
    _machine("--cpuset-cpus", default="", metavar="LIST",
             help="The processors of this host that it may run on, in namespaces: 0-2,5."),
)  # fmt: skip
