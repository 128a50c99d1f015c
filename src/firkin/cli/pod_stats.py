"""`firkin pod stats`: what the containers of pods use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from firkin.cli.options import format_option, no_trunc_option

if TYPE_CHECKING:
    from firkin.engine.engine import Engine
    from firkin.engine.pod_members import Pod

HEADINGS = {
    "Pod": "POD", "CID": "CID", "Name": "NAME", "CPU": "CPU %", "MemUsage": "MEM USAGE / LIMIT",
    "Mem": "MEM %", "NetIO": "NET IO", "BlockIO": "BLOCK IO", "PIDS": "PIDS", "PodName": "POD NAME",
    "HostMem": "HOST MEM",
}  # fmt: skip
COLUMNS = ("Pod", "CID", "Name", "CPU", "Mem", "MemUsage", "NetIO", "BlockIO", "PIDS")


@click.command("stats")
@click.option("-a", "--all", "everything", is_flag=True, help="Containers that do not run, too.")
@click.option("--no-stream", is_flag=True, help="Once, and not again each second.")
@no_trunc_option
@format_option("a table")
@click.argument("names", nargs=-1, metavar="[POD...]")
def command(everything: bool, no_stream: bool, no_trunc: bool, form: str, names: tuple[str, ...]) -> None:
    """Show what the containers of pods use.

    Each second, until it is interrupted; of every running pod, or of those that are named. The network is
    the pod's, so its counts are the same for all of its containers.
    """
    from firkin.cli.session import with_engine
    from firkin.cli.stats_watch import Watched, watch

    watched = Watched(shorten=not no_trunc)

    async def look(engine: Engine) -> list[dict[str, Any]]:
        rows = []
        for pod in _pods(engine, names):
            for id in _members(pod, everything=everything):
                row = await watched.row(engine, id, named=False)
                if row is not None:
                    rows.append(pod_row(pod, watched.shown(pod.record.id), row))
        return rows

    with_engine(lambda engine: watch(lambda: look(engine), HEADINGS, COLUMNS, form, once=no_stream))


def pod_row(pod: Pod, id: str, row: dict[str, Any]) -> dict[str, Any]:
    """The row of a container under the names that podman has for its fields."""
    own = {"CID": row["ID"], "CPU": row["CPUPerc"], "Mem": row["MemPerc"], "PIDS": row["PIDs"]}
    kept = {name: row[name] for name in ("Name", "MemUsage", "NetIO", "BlockIO", "HostMem")}
    return {"Pod": id, "PodName": pod.name, **own, **kept}


def _pods(engine: Engine, names: tuple[str, ...]) -> list[Pod]:
    from firkin.container.record import Running
    from firkin.engine.pod_members import pods

    if names:
        return [engine.pods.find(name) for name in names]
    return [pod for pod in pods(engine.paths) if isinstance(pod.record.state(), Running)]


def _members(pod: Pod, *, everything: bool) -> list[str]:
    from firkin.container.record import Running

    return [record.id for record, _ in pod.members() if everything or isinstance(record.state(), Running)]
