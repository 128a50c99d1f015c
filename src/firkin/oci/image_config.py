"""ImageConfig: how to run what the layers hold (OCI image spec, config.md; Docker's image spec v1.2).

Docker's writers put null where OCI's leave a field out, and old ones a string where a list belongs: both are
read.
"""

from __future__ import annotations

import msgspec

from firkin.errors import Corrupt
from firkin.oci.descriptor import decode_json, sound
from firkin.oci.digest import Digest
from firkin.oci.healthcheck import ImageHealthCheck
from firkin.oci.platform import Platform


class History(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one layer came to be. `created` is RFC 3339 or ""."""

    created: str | None = None
    created_by: str | None = None
    author: str | None = None
    comment: str | None = None
    empty_layer: bool | None = None


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What an image says of itself. `created` is RFC 3339 or ""; `diff_ids` are the layers', lowest first."""

    platform: Platform
    diff_ids: tuple[Digest, ...]
    created: str = ""
    author: str = ""
    user: str = ""
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    working_dir: str = ""
    stop_signal: str = ""
    labels: dict[str, str] = {}
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    shell: tuple[str, ...] = ()
    """What runs a line of its health check; () is /bin/sh -c."""
    healthcheck: ImageHealthCheck | None = None
    history: tuple[History, ...] = ()

    @property
    def os(self) -> str:
        return self.platform.os

    @property
    def architecture(self) -> str:
        return self.platform.architecture


class _Run(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    user: str | None = None
    exposed_ports: dict[str, object] | None = None
    env: list[str] | None = None
    entrypoint: list[str] | str | None = None
    cmd: list[str] | str | None = None
    volumes: dict[str, object] | None = None
    working_dir: str | None = None
    labels: dict[str, str] | None = None
    stop_signal: str | None = None
    shell: list[str] | None = None
    healthcheck: ImageHealthCheck | None = None


class _RootFs(msgspec.Struct, frozen=True):
    type: str
    diff_ids: list[str] | None = None


class _Config(msgspec.Struct, frozen=True, omit_defaults=True):
    architecture: str
    os: str
    rootfs: _RootFs
    variant: str | None = None
    created: str | None = None
    author: str | None = None
    config: _Run | None = None
    history: list[History] | None = None


def decode_config(content: bytes, what: str) -> ImageConfig:
    """The config in `content`. Raises Corrupt; `what` says in it whose config it is."""
    raw: _Config = decode_json(content, _Config, what)
    run = raw.config or _Run()
    config = ImageConfig(
        platform=Platform.of(raw.os, raw.architecture, raw.variant or ""),
        diff_ids=sound(lambda: tuple(map(Digest.parse, raw.rootfs.diff_ids or ())), what),
        created=raw.created or "",
        author=raw.author or "",
        user=run.user or "",
        env=tuple(run.env or ()),
        entrypoint=_words(run.entrypoint),
        cmd=_words(run.cmd),
        working_dir=run.working_dir or "",
        stop_signal=run.stop_signal or "",
        labels=run.labels or {},
        exposed_ports=tuple(run.exposed_ports or ()),
        volumes=tuple(run.volumes or ()),
        shell=tuple(run.shell or ()),
        healthcheck=run.healthcheck,
        history=tuple(raw.history or ()),
    )
    _check_strings(config, what)
    return config


def encode_config(config: ImageConfig) -> bytes:
    """`config` as OCI JSON, the same bytes for the same config."""
    run = _Run(
        user=config.user or None,
        exposed_ports={port: {} for port in config.exposed_ports} or None,
        env=list(config.env) or None,
        entrypoint=list(config.entrypoint) or None,
        cmd=list(config.cmd) or None,
        volumes={path: {} for path in config.volumes} or None,
        working_dir=config.working_dir or None,
        labels=dict(sorted(config.labels.items())) or None,
        stop_signal=config.stop_signal or None,
        shell=list(config.shell) or None,
        healthcheck=config.healthcheck,
    )
    raw = _Config(
        architecture=config.platform.architecture,
        os=config.platform.os,
        variant=config.platform.variant or None,
        rootfs=_RootFs("layers", [str(diff_id) for diff_id in config.diff_ids]),
        created=config.created or None,
        author=config.author or None,
        config=run,
        history=list(config.history) or None,
    )
    return msgspec.json.encode(raw)


def _words(value: list[str] | str | None) -> tuple[str, ...]:
    """A command as its words. A bare string is one word, as Docker's strslice reads it."""
    if isinstance(value, str):
        return (value,)
    return tuple(value or ())


def _check_strings(config: ImageConfig, what: str) -> None:
    """What becomes argv, environment or a path may hold no NUL: execve(2) would end it there."""
    words = (config.user, config.working_dir, config.stop_signal)
    if any("\0" in word for word in (*words, *config.env, *config.entrypoint, *config.cmd, *config.shell)):
        raise Corrupt(f"{what} has a NUL byte in its command, shell, environment or user", hint="rebuild it")
