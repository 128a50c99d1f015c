"""`firkin inspect`: everything known about containers or images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from firkin.engine.engine import Engine


@click.command()
@click.option("-f", "--format", "form", default="", metavar="FORMAT",
              help="json, or a template such as '{{.State.Status}}'; indented JSON otherwise.")  # fmt: skip
@click.option("--type", "kind", type=click.Choice(["container", "image"]), help="Look only for these.")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def command(form: str, kind: str | None, names: tuple[str, ...]) -> int:
    """Show everything known about containers or images.

    A name that a container and an image both have means the container.
    """
    from firkin.cli.listing import say_inspected
    from firkin.cli.report import report
    from firkin.cli.session import with_engine
    from firkin.cli.template import Template
    from firkin.errors import FirkinError

    if form not in ("", "json"):
        Template.parse(form)
    found: list[dict[str, Any]] = []

    async def inspect(engine: Engine) -> int:
        status = 0
        for name in names:
            try:
                found.append(await _facts(engine, name, kind))
            except FirkinError as error:
                status = report(error)
        return status

    status = with_engine(inspect)
    say_inspected(found, form)
    return status


async def _facts(engine: Engine, name: str, kind: str | None) -> dict[str, Any]:
    from firkin.errors import ContainerNotFound, ImageNotFound, NotFound, ReferenceSyntaxError

    if kind != "image":
        try:
            return (await engine.container(name)).inspect()
        except ContainerNotFound:
            if kind == "container":
                raise
    from firkin.cli.image_facts import image_facts

    try:
        return image_facts(engine.image(name), engine.images())
    except (ImageNotFound, ReferenceSyntaxError) as error:
        if kind == "image":
            raise
        raise NotFound(
            f"there is no container and no image {name!r}",
            hint="`firkin ps -a` and `firkin images` list them",
        ) from error
