"""`firkin network connect`: one more network for a container."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from firkin.engine.engine import Engine

_REFUSED = {
    "--link": ("links", "containers on a network know each other's names: give one more with --alias"),
    "--link-local-ip": ("link_local_ips", "a card has the addresses of its network, and no others"),
    "--driver-opt": ("driver_opts", "the switch of a network has no options"),
}
"""What docker has and means nothing here."""

_refused = partial(click.option, multiple=True, hidden=True, metavar="TEXT", help="Refused.")


@click.command("connect")
@click.option("--ip", default="", metavar="IP", help="Its address there; else a free one.")
@click.option("--ip6", default="", metavar="IP", help="Its IPv6 address there.")
@click.option("--alias", "aliases", multiple=True, metavar="NAME", help="One more name of it there.")
@click.option("--mac-address", default="", metavar="MAC", help="The address of its card.")
@_refused("--link", "links")
@_refused("--link-local-ip", "link_local_ips")
@_refused("--driver-opt", "driver_opts")
@click.argument("network")
@click.argument("container")
def command(
    ip: str,
    ip6: str,
    aliases: tuple[str, ...],
    mac_address: str,
    network: str,
    container: str,
    **refused: tuple[str, ...],
) -> int:
    """Let a container be on one more network.

    At once where it runs, else from its next start on.
    """
    from firkin.cli.session import with_engine
    from firkin.engine.card_words import card
    from firkin.engine.joining import Join
    from firkin.errors import UsageError

    for flag, (name, reason) in _REFUSED.items():
        if refused[name]:
            raise UsageError(f"{flag}: {reason}", hint="leave it out")
    change = Join(card=card(network, ip=ip, ip6=ip6, aliases=aliases, mac_address=mac_address))

    async def connect(engine: Engine) -> int:
        await (await engine.container(container)).rewire(change)
        return 0

    return with_engine(connect)
