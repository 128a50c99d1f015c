"""What a namespace is made of: a frozen value, and the plan that the launcher reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from firkin.linux.id_map import IdMap
from firkin.machine.namespace.network import UserNetwork

ROOT = "/root"
"""The container's root file system, in the agent's own mount namespace."""


class NamespaceSpec(msgspec.Struct, frozen=True, kw_only=True):
    """`dir` is where the container's own layer is, made by the namespace's root when it is missing."""

    name: str
    dir: Path
    lower: Path | None
    """What the overlay shows under that layer; None: that layer is a whole root by itself."""
    fuse: str = ""
    """The program that shows the overlay, where the kernel cannot."""
    id_map: IdMap
    binds: tuple[str, ...] = ()
    """Directories and files of the host, which the agent finds at bind_place() of their number."""
    idmapped: frozenset[int] = frozenset()
    """The numbers of those whose files have the owners that they have here."""
    network: UserNetwork | None = None
    """None: a loopback, and nothing else."""
    boot_timeout_s: float = 60.0

    def plan(self, site: Path, mounts: Mapping[int, int], *, owner: int = 0) -> bytes:
        """For the launcher, which mounts the namespace's own root over the directory `site`; `mounts` are
        descriptors of those that are idmapped, by their numbers; it ends with the thread of process `owner`
        that starts it, unless that is 0. Raises HostUnsupported where what brings the
        network is not here.
        """
        lower = "" if self.lower is None else str(self.lower)
        binds = [str(mounts.get(number, source)) for number, source in enumerate(self.binds)]
        plan = {"site": str(site), "dir": str(self.dir), "lower": lower, "fuse": self.fuse, "binds": binds}
        helper = () if self.network is None else self.network.command()
        return msgspec.msgpack.encode({**plan, "helper": helper, "owner": owner})


def bind_place(index: int) -> str:
    """Where the agent finds bind number `index`."""
    return f"/binds/{index}"
