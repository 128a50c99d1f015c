"""`firkin prune`: give back what nothing uses."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from firkin.engine.engine import Engine
    from firkin.engine.summaries import ContainerSummary


@click.command()
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@click.option("-a", "--all", "everything", is_flag=True, help="Also images that no container stands on.")
@click.option("--volumes", is_flag=True, help="Also volumes that no container uses and nobody named.")
def command(force: bool, everything: bool, volumes: bool) -> int:
    """Remove ended containers and data that nothing uses.

    Containers that were created and never started go, too. Images that have a name stay, unless --all is
    given; so do volumes, and templates that machines can still be forked from. Prints what was removed.
    """
    from firkin.cli.session import with_engine
    from firkin.engine import templates
    from firkin.engine.images import Images
    from firkin.engine.snapshot_use import sweep_layers
    from firkin.units import format_size

    images = " and all images that no container stands on" if everything else ""
    if not force and not agreed(f"This removes all ended containers{images}, for ever. Go on?"):
        return 0

    async def prune(engine: Engine) -> int:
        await engine.tidy()
        status = await remove_ended(engine)
        if everything:
            await _remove_unused_images(engine)
        volumes_bytes = _prune_volumes(engine) if volumes else 0
        layers_bytes = sweep_layers(engine.paths, deadline_s=10.0)
        reclaimed = await Images(engine.settings).prune()
        templates_bytes = templates.prune(engine.settings)
        print(f"gave back {format_size(volumes_bytes + layers_bytes + templates_bytes + reclaimed.bytes)}")
        return status

    return with_engine(prune)


def _prune_volumes(engine: Engine) -> int:
    from firkin.engine.volume_summary import prune

    gone, given_back = prune(engine.paths)
    print(*gone, sep="\n", end="\n" if gone else "")
    return given_back


def agreed(question: str) -> bool:
    """Whether the person at the terminal says yes. Raises UsageError where nobody is there."""
    from firkin.errors import UsageError

    if not sys.stdin.isatty():
        raise UsageError("nobody is here to be asked", hint="--force goes on without asking")
    return click.confirm(question, err=True)


async def remove_ended(engine: Engine, filters: tuple[str, ...] = ()) -> int:
    """Remove the containers that have ended, or were made and never started, of those that `filters` name."""
    from firkin.cli.session import each
    from firkin.engine.container_filter import Filters

    wanted = Filters.parse(filters, engine.paths)
    over = [found.spec.id for found in engine.containers(all=True) if _is_over(found) and wanted.match(found)]

    async def remove(container_id: str) -> str:
        await (await engine.container(container_id)).remove()
        return container_id

    return await each(over, remove)


def _is_over(found: ContainerSummary) -> bool:
    from firkin.container.record import Created, Exited

    if isinstance(found.state, Created):
        return found.state.kept
    return isinstance(found.state, Exited) and found.state.again_ns is None


async def _remove_unused_images(engine: Engine) -> None:
    from firkin.errors import InUse

    for image in engine.images():
        try:
            lines = await engine.remove_image(image.reference)
        except InUse:
            continue  # a container stands on it
        print("\n".join(lines), flush=True)
