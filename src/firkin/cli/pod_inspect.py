"""`firkin pod inspect`: everything known about pods."""

from __future__ import annotations

import click


@click.command("inspect")
@click.option("-f", "--format", "form", default="", metavar="FORMAT",
              help="json, or a template such as '{{.State}}'; indented JSON otherwise.")  # fmt: skip
@click.argument("names", nargs=-1, required=True, metavar="POD...")
def command(form: str, names: tuple[str, ...]) -> int:
    """Show everything known about pods.

    `firkin inspect` shows their containers.
    """
    from firkin.cli.listing import inspect
    from firkin.engine.pod_facts import pod_facts
    from firkin.engine.pod_members import find, summary
    from firkin.settings import Settings

    paths = Settings.load().paths
    return inspect(names, lambda name: pod_facts(summary(find(paths, name))), form)
