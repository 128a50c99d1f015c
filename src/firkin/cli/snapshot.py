"""`firkin snapshot`: containers as they were, kept, looked at, gone back to and started from."""

from __future__ import annotations

import click

from firkin.cli.subcommands import Subcommands

COMMANDS: dict[str, tuple[str, str]] = {
    "create": ("snapshot_create", "Keep a container as it is now."),
    "ls": ("snapshot_ls", "List snapshots."),
    "tree": ("snapshot_tree", "Show which snapshot was made upon which."),
    "inspect": ("snapshot_inspect", "Show everything known about snapshots."),
    "diff": ("snapshot_diff", "Show what changed in the files of a snapshot."),
    "restore": ("snapshot_restore", "Start a new container from a snapshot."),
    "rollback": ("snapshot_rollback", "Let a container's disk be what it was in a snapshot."),
    "export": ("snapshot_export", "Write a snapshot to a file, to be imported elsewhere."),
    "import": ("snapshot_import", "Take in a snapshot that was exported."),
    "rm": ("snapshot_rm", "Remove snapshots."),
}


@click.group("snapshot", cls=Subcommands, lines=COMMANDS)
def command() -> None:
    """Keep containers as they are, and go back to them.

    A snapshot is a container at one moment: its memory and its disk, or its disk only. What snapshots and
    containers have in common is on the disk once.
    """
