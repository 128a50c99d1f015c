"""The flags of `firkin run`, by what they are about. Docker's names and meanings, where Docker has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import click

from firkin.cli.bundle_flags import BUNDLE_FLAGS
from firkin.cli.device_flags import DEVICE_FLAGS
from firkin.cli.health_flags import HEALTH_FLAGS
from firkin.cli.isolation_flags import ISOLATION_FLAGS
from firkin.cli.life_flags import LIFE_FLAGS
from firkin.cli.limit_flags import LIMIT_FLAGS
from firkin.cli.machine_flags import MACHINE_FLAGS
from firkin.cli.network_flags import NETWORK_FLAGS
from firkin.cli.options import detach_keys_option, platform_option, process_options
from firkin.cli.pod_flags import POD_FLAGS
from firkin.cli.root_flags import ROOT_FLAGS
from firkin.cli.sections import Headed
from firkin.cli.socket_flags import SOCKET_FLAGS

_container = partial(click.option, cls=Headed, heading="The container")
_process = partial(click.option, cls=Headed, heading="The process")
_machine = partial(click.option, cls=Headed, heading="The machine")
_reach = partial(click.option, cls=Headed, heading="Files")
_image = partial(click.option, cls=Headed, heading="The image")

FLAGS = (
    _container("--rm", "auto_remove", is_flag=True, help="Remove it when it ends."),
    _container("--name", default="", metavar="NAME", help="Name it."),
    _container("-l", "--label", "labels", multiple=True, metavar="NAME=VALUE", help="Label it."),
    _container("--stop-signal", default=None, metavar="SIGNAL", help="What `firkin stop` sends first."),
    _container("--stop-timeout", default=None, metavar="SECONDS", help="How long `firkin stop` waits."),
    process_options,
    _process("--init", is_flag=True, help="Run it under an init that reaps and passes signals on."),
    _process("--entrypoint", default=None, metavar="COMMAND", help="Replace the image's; '' for none."),
    _machine("-m", "--memory", default=None, metavar="SIZE", help="Its memory, such as 512m."),
    *LIMIT_FLAGS,
    *MACHINE_FLAGS,
    *ISOLATION_FLAGS,
    _machine("--disk", default=None, metavar="SIZE", help="Its file system's size, such as 20g."),
    _machine("--shm-size", default=None, metavar="SIZE", help="Size of /dev/shm; else 64m."),
    _reach("-v", "--volume", "volumes", multiple=True, metavar="[SOURCE:]DIR[:OPTIONS]",
           help="Mount a volume there, or a file or directory of the host: ./NAME, /PATH. Options: ro, "
                "nosuid, nodev, noexec, nocopy; in namespaces U, idmap."),
    _reach("--mount", "mounts", multiple=True, metavar="TYPE,SOURCE,TARGET...",
           help="The same in words: type=bind|volume|tmpfs,source=...,target=...,readonly."),
    _reach("--tmpfs", multiple=True, metavar="DIR[:OPTIONS]", help="Mount a file system in memory there."),
    _reach("--read-only", is_flag=True, help="Mount the root file system read-only."),
    *DEVICE_FLAGS,
    *LIFE_FLAGS,
    *HEALTH_FLAGS,
    *NETWORK_FLAGS,
    *SOCKET_FLAGS,
    *POD_FLAGS,
    *ROOT_FLAGS,
    _image("--pull", default="missing", metavar="always|missing|never", show_default=True,
           help="When to fetch it."),
    platform_option,
    *BUNDLE_FLAGS,
    _image("-q", "--quiet", is_flag=True, help="Show no progress, and no notices."),
)  # fmt: skip
"""What is said of a container that is made, by `firkin run` and `firkin create`."""

_RUN = (
    _container("-d", "--detach", is_flag=True, help="Run it in the background, and print its id."),
    *FLAGS,
    click.option("--timing", is_flag=True, help="Show afterwards where the time went."),
    click.option("--trace", default="", metavar="FILE", help="Write the same in the Chrome trace format."),
    detach_keys_option,
    click.option("--sig-proxy/--no-sig-proxy", default=True, show_default=True, help="Pass signals on."),
)  # fmt: skip


def run_flags(function: Callable[..., int]) -> Callable[..., int]:
    """`function` with all that `firkin run` can be told."""
    return _with(_RUN, function)


def create_flags(function: Callable[..., int]) -> Callable[..., int]:
    """`function` with all FLAGS."""
    return _with(FLAGS, function)


def _with(flags: Sequence[Callable[..., Any]], function: Callable[..., int]) -> Callable[..., int]:
    for flag in reversed(flags):
        function = flag(function)
    return function
