"""`firkin update`: other limits and another restart policy for containers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from firkin.cli.options import names_argument

if TYPE_CHECKING:
    from firkin.engine.container import Container

_REFUSED = {
    "cpuset_mems": "a machine has one memory",
    "blkio_weight": "a machine has its disk to itself, and few kernels weigh for others",
    "memory_reservation": "it is a wish, and a limit here is one that holds",
}
"""What docker can change, and we do not."""

_hidden = partial(click.option, default=None, hidden=True)


@click.command()
@click.option("--cpus", default=None, metavar="NUMBER", help="How many CPUs it may use, such as 1.5.")
@click.option("-m", "--memory", default=None, metavar="SIZE", help="How much memory, such as 128m.")
@click.option(
    "--memory-swap",
    default=None,
    metavar="SIZE",
    help="Memory and swap together, in namespaces; a machine has no swap: only --memory's size will do.",
)
@click.option(
    "--pids-limit", default=None, metavar="NUMBER", help="How many processes and threads; -1 for no limit."
)
@click.option(
    "-c",
    "--cpu-shares",
    default=None,
    metavar="NUMBER",
    help="In namespaces: its part of the processors that others want, too; 1024 is a usual one.",
)
@click.option(
    "--cpuset-cpus",
    default="",
    metavar="LIST",
    help="In namespaces: the processors of this host that it may run on, such as 0-2,5.",
)
@click.option(
    "--restart",
    default=None,
    metavar="no|on-failure[:N]|always|unless-stopped",
    help="Start it again when it ends, unless somebody stops it.",
)
@_hidden("--cpuset-mems", metavar="LIST", help="Refused.")
@_hidden("--blkio-weight", metavar="NUMBER", help="Refused.")
@_hidden("--memory-reservation", metavar="SIZE", help="Refused.")
@names_argument
def command(names: tuple[str, ...], **words: Any) -> int:
    """Change what containers may use, and when they are started again.

    One that runs is held to it at once, and its machine stays as large as it is. One that does not run gets a
    machine of that size when it is started. One in namespaces has no machine, and is held to it by this host.
    """
    from firkin.cli.session import for_each_container
    from firkin.engine.update_words import update_options
    from firkin.errors import UsageError

    for name, reason in _REFUSED.items():
        if words.pop(name) is not None:
            raise UsageError(f"{name}: {reason}", hint=f"leave out --{name.replace('_', '-')}")
    options = update_options(words)  # type: ignore[arg-type]  # click's parameters are its keys

    async def update(container: Container) -> None:
        await container.update(options)

    return for_each_container(names, update)
