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


@command.command("install")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but the kernel's version.")
def install(quiet: bool) -> None:
    """Fetch the distribution's kernel for machines, without root.

    It comes from the package sources of this host (Debian's, or a derivative's), is checked by their
    signatures, and belongs to this user. Its version goes to standard output.
    """
    import asyncio

    from firkin.cli.notices import notices
    from firkin.cli.progress import progress
    from firkin.machine.debian.install import install_kernel
    from firkin.settings import Settings

    with progress(quiet=quiet), notices(quiet=quiet):
        kernel = asyncio.run(install_kernel(Settings.load()))
    click.echo(kernel.version)
