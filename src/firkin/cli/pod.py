"""`firkin pod`: several containers in one machine."""

from __future__ import annotations

import importlib

import click

COMMANDS: dict[str, tuple[str, str]] = {
    "create": ("pod_create", "Make a pod that containers are put into."),
    "ps": ("pod_ps", "List pods."),
    "start": ("pod_start", "Start pods with their containers."),
    "stop": ("pod_stop", "Stop pods with their containers."),
    "restart": ("pod_restart", "Stop pods, and start them again."),
    "pause": ("pod_pause", "Let pods stand still."),
    "unpause": ("pod_unpause", "Let paused pods go on."),
    "kill": ("pod_kill", "Send a signal to the running containers of pods."),
    "logs": ("pod_logs", "Show what the containers of a pod printed."),
    "stats": ("pod_stats", "Show what the containers of pods use."),
    "top": ("pod_top", "List the processes of a pod's containers."),
    "inspect": ("pod_inspect", "Show everything known about pods."),
    "rm": ("pod_rm", "Remove pods with their containers."),
    "add": ("create", "Make a container in a pod: `firkin create --pod`."),
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


@click.group("pod", cls=Commands)
def command() -> None:
    """Run several containers in one machine, with one network.

    A pod is ready until its first container starts it, or `firkin pod start`. `firkin run --pod POD` puts a
    container into it, whenever; every verb for containers works on those in a pod, too.
    """
