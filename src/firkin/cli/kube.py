"""`firkin kube`: Kubernetes manifests."""

from __future__ import annotations

import click

from firkin.cli.subcommands import Subcommands

COMMANDS: dict[str, tuple[str, str]] = {
    "play": ("kube_play", "Make and start the pods of a manifest."),
    "down": ("kube_down", "Stop and remove the pods of a manifest."),
    "generate": ("kube_generate", "Print the manifest of pods, or of a pod with containers."),
}


@click.group("kube", cls=Subcommands, lines=COMMANDS)
def command() -> None:
    """Make pods of Kubernetes manifests, and manifests of pods.

    As `podman kube`. What a manifest says and a pod here cannot honour is named in one warning; what is wrong
    in it is an error that begins with the path of the field. docs/reference/kube.md has every field.
    """
