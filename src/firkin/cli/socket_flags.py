"""The flags of `firkin run` that are about sockets."""

from __future__ import annotations

from functools import partial

import click

from firkin.cli.sections import Headed

_socket = partial(click.option, cls=Headed, heading="Sockets", multiple=True)

publish_socket_option = click.option(
    "--publish-socket", "publish_sockets", multiple=True, metavar="CONTAINER:HOST[:OPTIONS]",
    help="Let a unix socket of the container appear on the host, there.",
)  # fmt: skip

SOCKET_FLAGS = (
    _socket("--socket", "sockets", metavar="HOST:CONTAINER[:OPTIONS]",
            help="Let a unix socket of the host appear in it; options are mode=660,uid=1000,gid=1000."),
    _socket("--publish-socket", "publish_sockets", metavar="CONTAINER:HOST[:OPTIONS]",
            help="Let a unix socket of it appear on the host, with those options."),
)  # fmt: skip
