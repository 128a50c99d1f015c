"""Options: what a caller of run or exec asked for, before any image was looked at.

`RunOptions` and `ExecOptions` are values whose single fields are already right; how they fit an image is
engine.resolve's business, and engine.words makes them from what a person writes. They name no file of the
caller's, so that they may be carried to another process.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from firkin.container.pod import Member, Sandbox
from firkin.container.restart import RestartPolicy
from firkin.container.root import OF_AN_IMAGE, Root
from firkin.container.shared_socket import SharedSocket
from firkin.container.spec import Bind, Isolation, Tmpfs
from firkin.container.storage import Storage
from firkin.engine.bundled import Bundled
from firkin.engine.health_options import AS_THE_IMAGE, HealthOptions
from firkin.engine.policy_options import PolicyOptions
from firkin.linux.cgroup.limits import UNLIMITED, Limits
from firkin.linux.id_mode import IdMode
from firkin.machine.knobs import Knobs
from firkin.machine.spec import PublishedPort
from firkin.network.spec import NetworkSpec
from firkin.process.spec import Outputs, TerminalSize

PullPolicy = Literal["always", "missing", "never"]


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Every choice of `firkin run`. None, or an empty value, leaves it to the image or to the settings."""

    image: str
    command: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    """None keeps the image's; anything else replaces it and drops the image's cmd; () means no entrypoint."""
    name: str = ""
    env: tuple[str, ...] = ()
    """`KEY=value`, or `KEY` to take away what the image sets."""
    workdir: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()
    policy: PolicyOptions = PolicyOptions()
    init: bool = False
    hides_system_paths: bool = True
    hostname: str = ""
    stdin: bool = False
    outputs: Outputs = Outputs()
    terminal: TerminalSize | None = None
    auto_remove: bool = False
    cpus: int | None = None
    memory_bytes: int | None = None
    disk_bytes: int | None = None
    shm_bytes: int | None = None
    limits: Limits = UNLIMITED
    knobs: Knobs = Knobs()
    isolation: Isolation = "vm"
    id_mode: IdMode = IdMode()
    read_only: bool = False
    binds: tuple[Bind, ...] = ()
    tmpfs: tuple[Tmpfs, ...] = ()
    storage: Storage = Storage()
    root: Root = OF_AN_IMAGE
    network: NetworkSpec = NetworkSpec()
    ports: tuple[PublishedPort, ...] = ()
    sockets: tuple[SharedSocket, ...] = ()
    pull: PullPolicy = "missing"
    platform: str = ""
    stop_signal: int | None = None
    stop_timeout_s: float | None = None
    restart: RestartPolicy = RestartPolicy()
    health: HealthOptions = AS_THE_IMAGE
    labels: dict[str, str] = {}
    pod: Sandbox | Member | None = None
    bundle: Bundled | None = None
    """Where it comes from a bundle, what that says beside all this."""

    def targets(self) -> list[str]:
        """Where something is mounted."""
        binds, tmpfs = [each.target for each in self.binds], [each.target for each in self.tmpfs]
        volumes = [each.target for each in self.storage.volumes]
        return [*binds, *tmpfs, *volumes, *(each.target for each in self.storage.devices)]


class ExecOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Every choice of `firkin exec`. An empty value takes the container's first process as the model."""

    command: tuple[str, ...]
    env: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()
    policy: PolicyOptions = PolicyOptions()
    stdin: bool = False
    outputs: Outputs = Outputs()
    terminal: TerminalSize | None = None
    detach: bool = False
    """Nobody will read its output: it goes to /dev/null."""
