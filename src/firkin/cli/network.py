"""`firkin network`: what machines have among themselves, by name."""

from __future__ import annotations

import click

from firkin.cli.subcommands import Subcommands

COMMANDS: dict[str, tuple[str, str]] = {
    "create": ("network_create", "Make a private network."),
    "connect": ("network_connect", "Let a container be on one more network."),
    "disconnect": ("network_disconnect", "Let a container leave a network."),
    "ls": ("network_ls", "List private networks."),
    "inspect": ("network_inspect", "Show everything known about private networks."),
    "rm": ("network_rm", "Remove private networks."),
    "prune": ("network_prune", "Remove private networks that no container uses."),
}


@click.group("network", cls=Subcommands, lines=COMMANDS)
def command() -> None:
    """Make, list and remove private networks, on which containers find each other.

    A container gets one by `firkin run --network NAME`. Nothing of it is on this host but a process, the
    network's switch, while a machine is on it; the way outside is each machine's own, as without it.
    """
