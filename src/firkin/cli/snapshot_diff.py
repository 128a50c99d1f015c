"""`firkin snapshot diff`: what changed from one snapshot's disk to another's."""

from __future__ import annotations

import click

from firkin.cli.options import format_option


@click.command("diff")
@format_option("a line for each")
@click.argument("names", nargs=-1, required=True, metavar="[OLD] SNAPSHOT")
def command(form: str, names: tuple[str, ...]) -> None:
    """Show what changed in the files of a snapshot.

    Since the snapshot OLD; without that since the one before it, or since its image where it is the first. A
    added, C changed, D deleted.
    """
    from firkin.cli.changes import print_changes
    from firkin.engine.diffs import of_snapshot, of_snapshots
    from firkin.errors import UsageError
    from firkin.settings import Settings

    if len(names) > 2:
        raise UsageError(f"{len(names)} snapshots cannot be compared", hint="name one or two")
    paths = Settings.load().paths
    print_changes(of_snapshots(paths, *names) if len(names) == 2 else of_snapshot(paths, *names), form)
