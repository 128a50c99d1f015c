"""`firkin snapshot`: containers as they were, kept, looked at, gone back to and started from."""

from __future__ import annotations

import importlib

import click

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
"""Every command: its module, and its line in the help, which costs no import."""


class Commands(click.Group):
    """A click group over COMMANDS; a command's module has it under the name `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"firkin.cli.{COMMANDS[cmd_name][0]}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group("snapshot", cls=Commands)
def command() -> None:
    """Keep containers as they are, and go back to them.

    A snapshot is a container at one moment: its memory and its disk, or its disk only. What snapshots and
    containers have in common is on the disk once.
    """
