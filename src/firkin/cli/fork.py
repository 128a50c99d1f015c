"""`firkin fork`: more containers that go on from where one is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from firkin.cli.socket_flags import publish_socket_option

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command()
@click.option("-n", "--number", type=int, default=1, show_default=True, help="How many.")
@click.option("--name", default="", metavar="NAME", help="Name the fork; of several, NAME-1, NAME-2, ...")
@click.option("--rm", "auto_remove", is_flag=True, help="Remove each when it ends.")
@publish_socket_option
@click.argument("container", metavar="CONTAINER")
def command(
    number: int, name: str, auto_remove: bool, publish_sockets: tuple[str, ...], container: str
) -> int:
    """Start containers that go on from where a running one is now.

    Each has its processes, memory and files, shared until somebody writes, and an identity of its own: id,
    host name, network card, randomness, published ports. The one that they were made of goes on, too. They
    run in the background. Prints their ids.

    \b
    firkin run -d --name warm python:3.12 python serve.py
    firkin fork -n 4 warm
    """
    from firkin.cli.notices import notices
    from firkin.cli.session import with_engine
    from firkin.engine.heir import Wishes
    from firkin.engine.socket_words import parse_sockets

    wishes = Wishes(
        name=name,
        auto_remove=auto_remove,
        published_sockets=parse_sockets({"publish_sockets": publish_sockets}) if publish_sockets else None,
    )

    async def fork(engine: Engine) -> int:
        with notices(quiet=False):
            forks = await engine.fork(container, number, wishes)
        for each in forks:
            print(each.id, flush=True)
        return 0

    return with_engine(fork)
