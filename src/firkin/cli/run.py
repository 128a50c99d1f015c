"""`firkin run`: options into RunOptions, and the container's process onto this terminal."""

from __future__ import annotations

from typing import Any

import click

from firkin.cli.options import detach_keys_option, platform_option, process_options

_OPTIONS = (
    click.option("-d", "--detach", is_flag=True, help="Run it in the background, and print its id."),
    click.option("--rm", "auto_remove", is_flag=True, help="Remove the container when it ends."),
    click.option("--name", default="", metavar="NAME", help="Name the container."),
    process_options,
    click.option(
        "--entrypoint", default=None, metavar="COMMAND", help="Replace the image's entrypoint; '' for none."
    ),
    click.option("-h", "--hostname", default="", metavar="NAME", help="Host name inside; else the short id."),
    click.option("-m", "--memory", default=None, metavar="SIZE", help="Memory of the machine, such as 512m."),
    click.option("--cpus", default=None, metavar="NUMBER", help="CPUs of the machine, a whole number."),
    click.option("--disk", default=None, metavar="SIZE", help="Size of the file system, such as 20g."),
    click.option("--shm-size", default=None, metavar="SIZE", help="Size of /dev/shm; else 64m."),
    click.option("--read-only", is_flag=True, help="Mount the root file system read-only."),
    click.option("--tmpfs", multiple=True, metavar="DIR[:OPTIONS]", help="Mount a tmpfs there."),
    click.option(
        "-v", "--volume", "volumes", multiple=True, metavar="HOST:DIR[:ro]",
        help="Show a file or directory of the host there.",
    ),
    click.option(
        "--network", default="user", metavar="user|none", show_default=True, help="How it reaches others."
    ),
    click.option(
        "-p", "--publish", multiple=True, metavar="[IP:]HOST:GUEST[/udp]",
        help="Make a port of the container reachable on the host.",
    ),
    click.option(
        "--pull", default="missing", metavar="always|missing|never", show_default=True,
        help="When to fetch the image.",
    ),
    platform_option,
    click.option("-q", "--quiet", is_flag=True, help="Show no progress of the pull."),
    click.option("--stop-signal", default=None, metavar="SIGNAL", help="What `firkin stop` sends first."),
    click.option("--stop-timeout", default=None, metavar="SECONDS", help="How long `firkin stop` waits."),
    click.option("-l", "--label", "labels", multiple=True, metavar="NAME=VALUE", help="Label the container."),
    detach_keys_option,
    click.option("--sig-proxy/--no-sig-proxy", default=True, show_default=True, help="Pass signals on."),
    click.option("--timing", is_flag=True, help="Show afterwards where the time went."),
    click.option("--trace", default="", metavar="FILE", help="Write the same in the Chrome trace format."),
)  # fmt: skip


def _all_options(function: Any) -> Any:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@click.command(context_settings={"allow_interspersed_args": False})
@_all_options
@click.argument("image", metavar="IMAGE")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[COMMAND...]")
def command(
    *,
    image: str,
    words: tuple[str, ...],
    detach: bool,
    detach_keys: str,
    interactive: bool,
    tty: bool,
    quiet: bool,
    sig_proxy: bool,
    timing: bool,
    trace: str,
    **chosen: Any,
) -> int:
    """Run a command in a new container, in a machine of its own.

    The exit status is the command's. At a terminal (-it), ctrl-p ctrl-q leaves it running.

    \b
    firkin run --rm alpine echo hello
    firkin run -it --rm -v $PWD:/src -w /src python:3.12 bash
    """
    import os

    from firkin.cli.detach import parse_keys
    from firkin.cli.foreground import Wiring, terminal_size
    from firkin.cli.running import Showing, run_in_background, run_in_foreground
    from firkin.engine.words import run_options

    wiring = Wiring(interactive, tty, parse_keys(detach_keys), sig_proxy)
    options = run_options(
        image,
        words,
        stdin=interactive,
        terminal=terminal_size() if tty else None,
        environ=os.environ,
        **chosen,
    )
    showing = Showing(quiet=quiet, timing=timing, trace=trace)
    if detach:
        return run_in_background(options, showing)
    wiring.check()
    return run_in_foreground(options, wiring, showing)
