"""`firkin exec`: one more process in a running container."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from firkin.cli.options import detach_keys_option, process_options

if TYPE_CHECKING:
    from firkin.cli.session import Session


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("-d", "--detach", is_flag=True, help="Start it, and do not wait for its end.")
@process_options
@detach_keys_option
@click.argument("name", metavar="CONTAINER")
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND...")
def command(
    *, detach: bool, interactive: bool, tty: bool, env: tuple[str, ...], env_files: tuple[str, ...],
    workdir: str, user: str, detach_keys: str, name: str, words: tuple[str, ...], **policy: Any,
) -> int:  # fmt: skip
    """Run another command in a running container.

    It runs as the user and in the directory of the container's first process, unless told otherwise. The exit
    status is the command's.
    """
    import os
    import signal

    from firkin.cli.detach import parse_keys
    from firkin.cli.foreground import Ladder, foreground, terminal_size
    from firkin.cli.session import with_session
    from firkin.cli.wiring import Wiring
    from firkin.engine.process_words import exec_options

    wiring = Wiring(interactive and not detach, tty and not detach, parse_keys(detach_keys))
    options = exec_options(
        words, env=env, env_files=env_files, environ=os.environ, workdir=workdir, user=user,
        stdin=wiring.stdin, terminal=terminal_size() if wiring.terminal else None, detach=detach,
        **policy,
    )  # fmt: skip
    wiring.check()

    async def run(session: Session) -> int:
        container = await session.engine.container(name)
        process = await container.exec(options)
        if detach:
            return 0

        async def end() -> None:
            await process.signal(signal.SIGKILL)

        ladder = Ladder("the command", end, container.spec.stop_timeout_s)
        return await foreground(session, process, wiring, ladder) or 0

    return with_session(run)
