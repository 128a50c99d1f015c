"""`firkin completion`: what a shell must know to complete firkin's words."""

from __future__ import annotations

import click


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> None:
    """Print what makes a shell complete firkin's words.

    Verbs, options, and the names of containers, pods, images, volumes, networks and snapshots, which are read
    from the disk: nothing is started. `firkin setup` installs it for the shells that are here; by hand:

    \b
    source <(firkin completion bash)            in ~/.bashrc
    source <(firkin completion zsh)             in ~/.zshrc, behind compinit
    firkin completion fish | source             in ~/.config/fish/config.fish
    """
    from firkin.host.shells import SCRIPTS

    click.echo(SCRIPTS[shell], nl=False)
