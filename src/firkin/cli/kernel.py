"""`firkin kernel`: which kernel machines boot, and installing one."""

from __future__ import annotations

import click

from firkin.cli.options import format_option

_HEADINGS = {"Used": "USED", "Version": "VERSION", "Source": "SOURCE", "Path": "PATH", "Problem": "PROBLEM"}


@click.group("kernel")
def command() -> None:
    """Show which kernel machines boot, or install one."""


@command.command("list")
@format_option("a table")
def list_kernels(form: str) -> None:
    """List the kernels of this host; the used one is marked.

    A kernel named by the setting `kernel` comes first, then those that firkin installed, then the
    distribution's.
    """
    from firkin.cli.listing import listing
    from firkin.machine.kernel import kernels
    from firkin.settings import Settings

    found = kernels(Settings.load())
    used = next((kernel for kernel in found if not kernel.problem), None)
    rows = [
        {
            "Used": "*" if kernel is used else "",
            "Version": kernel.version,
            "Source": kernel.source,
            "Path": str(kernel.path),
            "Problem": kernel.problem,
        }
        for kernel in found
    ]
    click.echo(listing(rows, _HEADINGS, tuple(_HEADINGS), form), nl=False)
