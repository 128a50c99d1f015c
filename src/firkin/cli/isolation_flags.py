"""The flags of `firkin run` that say what keeps its container apart, and whose ids its users are there.

Docker has --isolation with other words; the others are podman's.
"""

from __future__ import annotations

from functools import partial

import click

from firkin.cli.sections import Headed

_machine = partial(click.option, cls=Headed, heading="The machine")

ISOLATION_FLAGS = (
    _machine("--isolation", default="vm", metavar="vm|namespace", show_default=True,
             help="A machine of its own, or namespaces of the host's kernel."),
    _machine("--userns", default="", metavar="MODE",
             help="Whose ids its users are, in namespaces: host, keep-id[:uid=N,gid=N], nomap, "
                  "auto[:size=N]."),
    _machine("--uidmap", "uidmaps", multiple=True, metavar="INSIDE:OUTSIDE:COUNT",
             help="The same by users, ids as `firkin unshare` shows them, or @ID."),
    _machine("--gidmap", "gidmaps", multiple=True, metavar="INSIDE:OUTSIDE:COUNT",
             help="The same by groups; else as its users'."),
)  # fmt: skip
