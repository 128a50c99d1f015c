"""`firkin snapshot restore`: new containers from a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from firkin.cli.socket_flags import publish_socket_option

if TYPE_CHECKING:
    from firkin.engine.container import Container
    from firkin.engine.engine import Engine
    from firkin.engine.heir import Wishes


@click.command("restore")
@click.option("-n", "--number", type=int, default=1, show_default=True,
              help="How many; several get ports of their own, and NAME-1, NAME-2, ...")  # fmt: skip
@click.option("--name", default="", metavar="NAME", help="Name the container.")
@click.option("-h", "--hostname", default="", metavar="NAME", help="Its host name; else as it was kept.")
@click.option("-p", "--publish", multiple=True, metavar="[IP:]HOST:GUEST[/udp]",
              help="Make these ports reachable on the host, in place of those that were kept.")  # fmt: skip
@click.option("--rm", "auto_remove", is_flag=True, help="Remove it when it ends.")
@click.option("--disk-only", is_flag=True, help="Leave its memory out: begin anew on its disk.")
@click.option("--or-boot", is_flag=True,
              help="Begin anew on its disk where its memory cannot go on here, and say why.")  # fmt: skip
@publish_socket_option
@click.argument("snapshot", metavar="SNAPSHOT")
def command(
    *,
    number: int,
    name: str,
    hostname: str,
    publish: tuple[str, ...],
    auto_remove: bool,
    disk_only: bool,
    or_boot: bool,
    publish_sockets: tuple[str, ...],
    snapshot: str,
) -> int:
    """Start a new container from a snapshot.

    With memory it goes on where the snapshot was made; with a disk only, its command begins anew on that
    disk. It runs in the background. Prints its id.
    """
    from firkin.cli.notices import notices
    from firkin.cli.session import with_engine
    from firkin.engine.heir import Wishes
    from firkin.engine.socket_words import parse_sockets
    from firkin.engine.words import parse_ports

    wishes = Wishes(
        name=name,
        hostname=hostname,
        ports=parse_ports(publish) if publish else None,
        published_sockets=parse_sockets({"publish_sockets": publish_sockets}) if publish_sockets else None,
        auto_remove=auto_remove,
        cold=disk_only,
    )

    async def restore(engine: Engine) -> int:
        with notices(quiet=False):
            for container in await _restored(engine, snapshot, number, wishes, or_boot=or_boot):
                print(container.id, flush=True)
        return 0

    return with_engine(restore)


async def _restored(
    engine: Engine, snapshot: str, number: int, wishes: Wishes, *, or_boot: bool
) -> list[Container]:
    from firkin.cli.report import say
    from firkin.errors import UsageError

    if number != 1:
        if or_boot:
            raise UsageError("--or-boot is for one container", hint="leave out -n, or --or-boot")
        return await engine.fork_snapshot(snapshot, number, wishes)
    if not or_boot:
        return [await engine.restore(snapshot, wishes)]
    container, reason = await engine.restore_or_boot(snapshot, wishes)
    if reason:
        say(f"it begins anew: {reason}")
    return [container]
