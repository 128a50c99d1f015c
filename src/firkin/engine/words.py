"""Words: RunOptions from what a shell or a Python caller writes, with Docker's syntax.

Both callers come through here, so that both refuse the same mistake with the same sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypedDict, Unpack, get_args

import msgspec

from firkin.container.spec import Bind, Tmpfs
from firkin.engine.device_words import DeviceWords, parse_devices
from firkin.engine.environment import parse_environment
from firkin.engine.health_words import HealthWords, health_options
from firkin.engine.isolation_words import IsolationWords, isolation_of
from firkin.engine.life_words import LifeWords, restart_policy
from firkin.engine.limit_words import (
    LimitWords,
    limits,
    limits_in_namespaces,
    machine_cpus,
    parse_cpus,
)
from firkin.engine.lists import listed
from firkin.engine.machine_words import MachineWords, machine_knobs
from firkin.engine.mount_words import Mount
from firkin.engine.mount_words import mounts as all_mounts
from firkin.engine.network_words import NetworkWords, network_spec
from firkin.engine.options import PullPolicy, RunOptions
from firkin.engine.pod_words import PodPlace, member_of
from firkin.engine.policy_words import PolicyWords, hides_system_paths, policy_options
from firkin.engine.process_words import Environment, ProcessWords, terminal_size, variables, words
from firkin.engine.root_words import RootWords, root_of
from firkin.engine.signals import parse_signal
from firkin.engine.socket_words import SocketWords, parse_sockets
from firkin.engine.stdio_words import StdioWords, stdio
from firkin.engine.userns_words import UsernsWords, id_mode_of
from firkin.errors import UsageError
from firkin.machine.spec import NetworkMode, PublishedPort
from firkin.process.spec import TerminalSize
from firkin.units import parse_duration, parse_size
from firkin.volume.mount import VolumeMount

Size = int | str
"""Bytes, or words such as "512m"."""


class GroupWords(
    NetworkWords,
    PolicyWords,
    SocketWords,
    LimitWords,
    LifeWords,
    MachineWords,
    HealthWords,
    PodPlace,
    RootWords,
    StdioWords,
    DeviceWords,
    IsolationWords,
    UsernsWords,
    total=False,
):
    """Words of a container that have modules of their own."""

    init: bool


class RunWords(ProcessWords, GroupWords, total=False):
    """What may be said of a container: the keywords of run_options()."""

    entrypoint: str | Iterable[str] | None
    name: str
    hostname: str
    auto_remove: bool
    cpus: int | float | str | None
    memory: Size | None
    disk: Size | None
    shm_size: Size | None
    read_only: bool
    volumes: Iterable[str | Bind | VolumeMount]
    tmpfs: Iterable[str | Tmpfs]
    mounts: Iterable[str | Mount]
    pull: str
    platform: str
    stop_signal: str | int | None
    stop_timeout: float | str | None
    labels: Mapping[str, str] | Iterable[str]


class ShapeWords(TypedDict):
    """What machines of one template have in common: the keywords of engine.templates.make()."""

    memory_bytes: int | None
    cpus: int | None
    network: NetworkMode


def run_options(
    image: str,
    command: Iterable[str | bytes] = (),
    *,
    entrypoint: str | Iterable[str] | None = None,
    name: str = "",
    env: Environment = (),
    env_files: Iterable[str | Path] = (),
    environ: Mapping[str, str] | None = None,
    workdir: str = "",
    user: str | int = "",
    groups: Iterable[str | int] = (),
    hostname: str = "",
    terminal: bool | TerminalSize | None = None,
    auto_remove: bool = False,
    cpus: int | float | str | None = None,
    memory: Size | None = None,
    disk: Size | None = None,
    shm_size: Size | None = None,
    read_only: bool = False,
    volumes: Iterable[str | Bind | VolumeMount] = (),
    tmpfs: Iterable[str | Tmpfs] = (),
    mounts: Iterable[str | Mount] = (),
    pull: str = "missing",
    platform: str = "",
    stop_signal: str | int | None = None,
    stop_timeout: float | str | None = None,
    labels: Mapping[str, str] | Iterable[str] = (),
    **more: Unpack[GroupWords],
) -> RunOptions:
    """RunOptions from words, with Docker's syntax for each.

    A bare `NAME` in `env` gets its value from `environ`. `entrypoint=""` takes the image's entrypoint away.
    Raises UsageError, which names the option and the rule.
    """
    member, volumes = member_of(more.get("pod", ""), listed("volumes", volumes))
    streams = stdio(more, terminal=bool(terminal))
    wanted_cpus = None if cpus is None else parse_cpus(cpus)
    memory_bytes = size_bytes("memory", memory)
    isolation = isolation_of(more)
    held = isolation == "namespace"
    mounted = all_mounts(volumes, listed("tmpfs", tmpfs), listed("mounts", mounts))
    return RunOptions(
        image=image,
        command=words("command", command),
        entrypoint=None if entrypoint is None else _entrypoint(entrypoint),
        name=name,
        env=parse_environment(variables(env), env_files, environ),
        workdir=workdir,
        user=str(user),
        groups=tuple(map(str, listed("groups", groups))),
        policy=policy_options(more),
        init=more.get("init", False),
        hides_system_paths=hides_system_paths(more),
        hostname=hostname,
        stdin=streams.stdin,
        outputs=streams.outputs,
        terminal=terminal_size(terminal),
        auto_remove=auto_remove,
        cpus=None if held or wanted_cpus is None else machine_cpus(wanted_cpus),
        memory_bytes=None if held else memory_bytes,
        limits=(limits_in_namespaces if held else limits)(more, cpus=wanted_cpus, memory_bytes=memory_bytes),
        knobs=machine_knobs(more),
        isolation=isolation,
        id_mode=id_mode_of(more),
        disk_bytes=size_bytes("disk", disk),
        shm_bytes=size_bytes("shm_size", shm_size),
        read_only=read_only,
        binds=mounted.binds,
        tmpfs=mounted.tmpfs,
        storage=msgspec.structs.replace(mounted.storage, devices=parse_devices(more)),
        root=root_of(image, more),
        network=network_spec(more),
        restart=restart_policy(more),
        health=health_options(more),
        ports=parse_ports(more.get("publish", ())),
        sockets=parse_sockets(more),
        pull=choice("pull", pull, PullPolicy),
        platform=platform,
        stop_signal=_stop_signal(stop_signal),
        stop_timeout_s=_seconds("stop_timeout", stop_timeout),
        labels=pairs("label", labels),
        pod=member,
    )


def shape(
    *, memory: Size | None = None, cpus: int | float | str | None = None, network: str = "user"
) -> ShapeWords:
    """The shape of machines from words, checked as that of a container's. Raises UsageError."""
    return ShapeWords(
        memory_bytes=size_bytes("memory", memory),
        cpus=None if cpus is None else machine_cpus(parse_cpus(cpus)),
        network=choice("network", network, NetworkMode),
    )


def _entrypoint(value: str | Iterable[str]) -> tuple[str, ...]:
    """A string is one word, as --entrypoint; an empty one takes the entrypoint away."""
    chosen = (value,) if isinstance(value, str) else words("entrypoint", value)
    return () if chosen == ("",) else chosen


def _stop_signal(value: str | int | None) -> int | None:
    if value is None or value == "":
        return None
    try:
        return parse_signal(value)
    except UsageError as error:
        raise UsageError(f"stop_signal: {error}", hint=error.hint) from error


def pairs(field: str, value: Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    """Names and values of `field`, such as a label. Raises UsageError for one without a name."""
    found = dict(
        value.items()
        if isinstance(value, Mapping)
        else (word.partition("=")[::2] for word in listed(f"{field}s", value))
    )
    if "" in found:
        raise UsageError(f"{field} without a name", hint="write NAME=value")
    return found


def parse_ports(value: Iterable[str | int | PublishedPort]) -> tuple[PublishedPort, ...]:
    """The ports to publish, of any mixture of words and values. Raises UsageError."""
    found: list[PublishedPort] = []
    for each in listed("publish", value):
        found += (each,) if isinstance(each, PublishedPort) else PublishedPort.parse(str(each))
    return tuple(found)


def size_bytes(field: str, value: Size | None) -> int | None:
    """Bytes of what was said for `field`. Raises UsageError, which names it."""
    if value is None or isinstance(value, int):
        return value
    try:
        return parse_size(value)
    except UsageError as error:
        raise UsageError(f"{field}: {error}", hint=error.hint) from error


def _seconds(field: str, value: float | str | None) -> float | None:
    if value is None or isinstance(value, int | float):
        return value
    try:
        return parse_duration(value)
    except UsageError as error:
        raise UsageError(f"{field}: {error}", hint=error.hint) from error


def choice(field: str, value: str, choices: Any) -> Any:
    """`value`, where it is one of the Literal `choices`. Raises UsageError, which names `field`."""
    if value not in get_args(choices):
        raise UsageError(
            f"{field}: {value!r} is not one of {', '.join(get_args(choices))}", hint="choose one of them"
        )
    return value
