"""`firkin image`: what is done with images without a verb of its own; Docker's `image VERB` leads to ours."""

from __future__ import annotations

import importlib

import click

from firkin.cli.subcommands import Subcommands

COMMANDS: dict[str, tuple[str, str]] = {
    "stage": ("image_stage", "Write the disk of an image to a file, for others to boot or mount."),
}
_OURS = {
    "import": "import_image", "inspect": "inspect", "list": "images", "load": "load", "ls": "images",
    "pull": "pull", "push": "push", "rm": "rmi", "save": "save", "tag": "tag",
}  # fmt: skip


class _Images(Subcommands):
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _OURS:
            return super().get_command(ctx, cmd_name)
        command: click.Command = importlib.import_module(f"firkin.cli.{_OURS[cmd_name]}").command
        return command


@click.group("image", cls=_Images, lines=COMMANDS)
def command() -> None:
    """Write the disk of an image to a file, for others to boot or mount.

    Docker's `image ls`, `rm`, `pull`, `push`, `tag`, `save`, `load`, `import` and `inspect` are here too.
    """
