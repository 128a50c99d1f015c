"""`firkin pod create`: a pod that containers are put into."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from firkin.cli.network_flags import NETWORK_FLAGS
from firkin.cli.sections import Headed, Sectioned

_pod = partial(click.option, cls=Headed, heading="The pod")
_machine = partial(click.option, cls=Headed, heading="The machine")
_default = partial(click.option, cls=Headed, heading="Its containers")
_NOT_HERE = {"publish_all", "expose"}
_FLAGS = (
    _pod("--name", default="", metavar="NAME", help="Name it."),
    _pod("-l", "--label", "labels", multiple=True, metavar="NAME=VALUE", help="Label it."),
    _pod("--share-pid", is_flag=True, help="Let its containers see each other's processes."),
    _machine("-m", "--memory", default=None, metavar="SIZE", help="Its memory, for all of them."),
    _machine("--cpus", default=None, metavar="NUMBER", help="Its CPUs, a whole number."),
    _machine("--disk", default=None, metavar="SIZE", help="The size of its store, such as 20g."),
    _default("-v", "--volume", "volumes", multiple=True, metavar="SOURCE[:DIR[:OPTIONS]]",
             help="What they share, at DIR in each if given: NAME, NAME:DIR:memory,size=64m, HOST:DIR:ro."),
    _default("-e", "--env", multiple=True, metavar="NAME=VALUE", help="Set a variable in each of them."),
    *NETWORK_FLAGS,
)  # fmt: skip


def _flags(function: Any) -> Any:
    for flag in reversed(_FLAGS):
        function = flag(function)
    function.__click_params__ = [each for each in function.__click_params__ if each.name not in _NOT_HERE]
    return function


@click.command("create", cls=Sectioned)
@_flags
@click.argument("name_argument", required=False, default="", metavar="[NAME]")
def command(*, name: str, name_argument: str, **chosen: Any) -> int:
    """Make a pod that containers are put into.

    Memory, CPUs, network and ports are the pod's; environment, host name, DNS and volumes are what its
    containers have unless they say otherwise. Nothing runs before its first container, or `firkin pod start`.

    \b
    firkin pod create --name web -p 8080:80 -v cache:/var/cache
    firkin run -d --pod web nginx
    """
    from firkin.cli.session import with_engine
    from firkin.engine.engine import Engine
    from firkin.engine.pod_options import pod_options
    from firkin.errors import UsageError

    if name and name_argument:
        raise UsageError("name: it is given twice", hint="leave one out")
    chosen["name"] = name or name_argument
    options = pod_options(chosen)  # type: ignore[arg-type]  # the flags are its words

    async def create(engine: Engine) -> int:
        print((await engine.pods.create(options)).record.id, flush=True)
        return 0

    return with_engine(create)
