"""PodOptions: a pod from words, as the options of the container that it is on record as."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from firkin.container.pod import Sandbox
from firkin.engine.options import RunOptions
from firkin.engine.pod_places import named_volumes
from firkin.engine.pod_words import PodWords, pod_volumes
from firkin.engine.words import run_options

PAUSE = "/pause"


def pod_options(
    words: PodWords, *, tied: bool = False, annotations: Mapping[str, str] | None = None
) -> RunOptions:
    """A pod, as the options of the container that it is on record as. Raises UsageError."""
    said: dict[str, Any] = dict(words)
    volumes, mounts = pod_volumes(said.pop("volumes", ()))
    env = said.pop("env", ())
    share_pid = said.pop("share_pid", False)
    options = run_options("", (PAUSE,), env=env, **said)
    sandbox = Sandbox(
        share_pid=share_pid,
        volumes=volumes,
        mounts=mounts,
        env=options.env,
        tied=tied,
        annotations=dict(annotations or {}),
    )
    return msgspec.structs.replace(options, env=(), pod=sandbox, storage=named_volumes(volumes))
