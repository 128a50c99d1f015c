"""`firkin volume`: what containers keep beside their own disks, by name."""

from __future__ import annotations

import click

from firkin.cli.subcommands import Subcommands

COMMANDS: dict[str, tuple[str, str]] = {
    "create": ("volume_create", "Make a volume."),
    "ls": ("volume_ls", "List volumes."),
    "inspect": ("volume_inspect", "Show everything known about volumes."),
    "chown": ("volume_chown", "Say who owns what is in volumes."),
    "rm": ("volume_rm", "Remove volumes and what they hold."),
    "prune": ("volume_prune", "Remove volumes that no container uses."),
}


@click.group("volume", cls=Subcommands, lines=COMMANDS)
def command() -> None:
    """Make, list and remove volumes: what containers keep beside their disks.

    A volume is a disk with a file system of its own, for one machine at a time; or, made with --driver dir, a
    directory of this host, which several may have at once. A disk begins with what the image of its first
    container has in that place. `firkin run -v NAME:DIR` makes a missing one.
    """
