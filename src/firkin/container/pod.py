"""Pods: one machine that several containers share, as values.

A pod is on record as a container without an image, a Sandbox, whose first process pauses; the others are
Members of it. So its machine has one owner, one end and one record, like every other.

    containers/<pod>/            store.ext4: where the root file systems of its members are; layers.json, tie
    containers/<member>/pod      a link to ../<pod>, which tells whether a machine runs there
"""

from __future__ import annotations

from typing import Literal

import msgspec


class PodFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that a volume in memory has at each start of its pod; `path` is relative, without `..`."""

    path: str
    content: bytes
    mode: int = 0o644


class PodVolume(msgspec.Struct, frozen=True, kw_only=True):
    """What members mount by `name`: a directory of the pod's store, of its memory or of the host, or a volume
    that has a name of its own.
    """

    name: str
    kind: Literal["disk", "memory", "host", "volume"] = "disk"
    source: str = ""
    """host: an absolute path that exists; volume: the name that `firkin volume` knows; memory: where its
    files come from, in words.
    """
    file: str = ""
    """host: the name of the single file that `source` is, the only thing in it."""
    files: tuple[PodFile, ...] = ()
    """memory: what it begins with."""
    readonly: bool = False
    size_bytes: int | None = None
    """memory: at most so much; None: half of the machine's."""
    mode: int = 0o777


class PodMount(msgspec.Struct, frozen=True, kw_only=True):
    """The volume `volume` at `target` in a member."""

    volume: str
    target: str
    readonly: bool = False
    inner: str = ""
    """What of it; relative, and only of volumes that no member writes, where no link leads elsewhere."""


class Sandbox(msgspec.Struct, frozen=True, kw_only=True, tag="pod", tag_field="is"):
    """What makes a container's record one of a pod."""

    share_pid: bool = False
    """Whether its members see each other's processes."""
    volumes: tuple[PodVolume, ...] = ()
    mounts: tuple[PodMount, ...] = ()
    """What every member has, unless it mounts something else there."""
    env: tuple[str, ...] = ()
    """What every member has, unless it says otherwise."""
    tied: bool = False
    """Whether it goes with the process that made it, which holds the lock on `tie` meanwhile."""
    annotations: dict[str, str] = {}
    """As Kubernetes has them: nobody here reads them."""


class Member(msgspec.Struct, frozen=True, kw_only=True, tag="member", tag_field="is"):
    """What puts a container into the pod of that id (a name as long as nobody has looked it up)."""

    pod: str
    mounts: tuple[PodMount, ...] = ()
    tied: bool = False
    """As of Sandbox."""
    initial: bool = False
    """Whether the others wait for its end (an initContainer)."""
