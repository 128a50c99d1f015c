"""`firkin warm`: templates, made ahead of time, listed, and removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from firkin.cli.options import format_option

if TYPE_CHECKING:
    from firkin.engine.templates import TemplateSummary

_HEADINGS = {
    "ID": "TEMPLATE", "Memory": "MEMORY", "CPUs": "CPUS", "Network": "NETWORK", "Accelerator": "ACCELERATOR",
    "Kernel": "KERNEL", "Size": "SIZE", "LastUsed": "LAST USED", "Usable": "USABLE",
}  # fmt: skip


@click.command()
@click.option(
    "-m", "--memory", default=None, metavar="SIZE", help="Of machines with this memory, such as 512m."
)
@click.option("--cpus", default=None, metavar="NUMBER", help="Of machines with so many CPUs.")
@click.option("--network", default="user", metavar="user|none", show_default=True, help="With this network.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress, and no notices.")
@click.option("--list", "listed", is_flag=True, help="Make none: list those that are here.")
@click.option(
    "--prune", "pruned", is_flag=True, help="Make none: remove those that nothing can use any more."
)
@click.option("-a", "--all", "everything", is_flag=True, help="With --prune: remove all of them.")
@format_option("with --list a table")
def command(
    *,
    memory: str | None,
    cpus: str | None,
    network: str,
    quiet: bool,
    listed: bool,
    pruned: bool,
    everything: bool,
    form: str,
) -> int:
    """Make the template that containers' machines are forked from.

    Machines of one shape (memory, CPUs, network) share one. The first `firkin run` of a shape makes it too,
    and takes so much longer; a new kernel, QEMU or firkin, or a reboot, wants a new one.

    \b
    firkin warm
    firkin warm -m 1g --cpus 2
    firkin warm --list
    """
    from firkin.settings import Settings

    settings = Settings.load()
    if listed:
        _list(settings, form)
    elif pruned:
        _prune(settings, everything=everything)
    else:
        _make(settings, memory, cpus, network, quiet=quiet)
    return 0


def _make(settings: Any, memory: str | None, cpus: str | None, network: str, *, quiet: bool) -> None:
    import asyncio
    import time

    from firkin.cli.notices import notices
    from firkin.cli.progress import progress
    from firkin.engine.templates import make
    from firkin.engine.words import shape
    from firkin.events import Event, subscribed
    from firkin.units import format_size

    made: list[Event] = []

    def watch(event: Event) -> None:
        if event.name == "template.make":
            made.append(event)

    begin = time.monotonic()
    with progress(quiet=quiet), notices(quiet=quiet), subscribed(watch):
        found = asyncio.run(make(settings, **shape(memory=memory, cpus=cpus, network=network)))
    how = f"made in {time.monotonic() - begin:.1f} s" if made else "ready already"
    click.echo(f"{found.key[:12]}  {_told(found)}: {how}, takes {format_size(found.disk_bytes)}")


def _told(found: TemplateSummary) -> str:
    from firkin.units import format_size

    cpus = "1 CPU" if found.cpus == 1 else f"{found.cpus} CPUs"
    return f"{format_size(found.memory_bytes)} of memory, {cpus}, network {found.network}"


def _list(settings: Any, form: str) -> None:
    import time

    from firkin.cli.ago import ago
    from firkin.cli.listing import listing
    from firkin.engine.templates import summaries
    from firkin.units import format_size

    now_ns = time.time_ns()
    rows: list[dict[str, Any]] = [
        {
            "ID": found.key[:12],
            "Memory": format_size(found.memory_bytes),
            "CPUs": found.cpus,
            "Network": found.network,
            "Accelerator": found.accelerator,
            "Kernel": found.kernel,
            "Size": format_size(found.disk_bytes),
            "LastUsed": ago(found.used_ns, now_ns),
            "Usable": "yes" if found.usable else "no",
        }
        for found in summaries(settings)
    ]
    click.echo(listing(rows, _HEADINGS, tuple(_HEADINGS), form), nl=False)


def _prune(settings: Any, *, everything: bool) -> None:
    from firkin.engine.templates import prune
    from firkin.units import format_size

    click.echo(f"gave back {format_size(prune(settings, all=everything))}")
