"""What a container is to be: everything that `firkin run` was told, resolved against the image, immutable."""

from __future__ import annotations

from typing import Literal

import msgspec

from firkin.container.health import HealthCheck
from firkin.container.pod import Member, Sandbox
from firkin.container.restart import RestartPolicy
from firkin.container.root import OF_AN_IMAGE, Root
from firkin.container.shared_socket import SharedSocket
from firkin.container.storage import Storage
from firkin.linux.cgroup.limits import UNLIMITED, Limits
from firkin.linux.id_map import IdMap
from firkin.linux.id_mode import IdMode
from firkin.machine.knobs import Knobs
from firkin.machine.spec import PublishedPort
from firkin.network.spec import NetworkSpec
from firkin.process.spec import ProcessSpec
from firkin.volume.mount import Owners

Isolation = Literal["vm", "namespace"]
"""What keeps a container apart: a machine of its own, or namespaces of the host's kernel."""


StorageDriver = Literal["overlay", "fuse-overlayfs", "copy"]
"""How a root in namespaces stands on its image's tree: container.storage_driver."""


class Bind(msgspec.Struct, frozen=True, kw_only=True):
    """A host directory or single file at `target` in the container. `source` is absolute and exists."""

    source: str
    target: str
    readonly: bool = False
    options: tuple[str, ...] = ()
    """`nosuid`, `nodev`, `noexec`."""
    owners: Owners = ""


class Tmpfs(msgspec.Struct, frozen=True, kw_only=True):
    target: str
    options: tuple[str, ...] = ()
    """`ro`, `size=N`, `mode=OCTAL`, `noexec`, ... as the wire knows them."""


class Protected(msgspec.Struct, frozen=True, kw_only=True):
    """Paths of the container that its processes are kept from; as Docker and podman, where nothing is said.

    A guest kernel of its own makes most of them harmless here; a process that gets out of its container's
    namespaces still finds less to turn.
    """

    masked: tuple[str, ...] = (
        "/proc/acpi",
        "/proc/asound",
        "/proc/interrupts",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/sys/devices/virtual/powercap",
        "/sys/firmware",
    )
    """They look empty."""
    read_only: tuple[str, ...] = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


class ContainerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One container in one machine. Stored as spec.json when the container is made; never changed after."""

    id: str
    """64 hex digits."""
    name: str
    image: str
    """The reference as the user gave it, or the path of its root file system."""
    image_digest: str
    """Digest of the image's manifest; "" where its root is no image's."""
    rootfs_key: str
    """The directory under data/rootfs that its disk stands on; "" as well."""
    process: ProcessSpec
    created_ns: int
    hostname: str
    cpus: int = 1
    """Of its machine; `limits` may leave it less."""
    memory_bytes: int = 256 << 20
    disk_bytes: int = 10 << 30
    shm_bytes: int = 64 << 20
    limits: Limits = UNLIMITED
    knobs: Knobs = Knobs()
    """What its machine is told beyond that."""
    read_only: bool = False
    protected: Protected = Protected()
    network: NetworkSpec = NetworkSpec()
    ports: tuple[PublishedPort, ...] = ()
    binds: tuple[Bind, ...] = ()
    tmpfs: tuple[Tmpfs, ...] = ()
    sockets: tuple[SharedSocket, ...] = ()
    storage: Storage = Storage()
    root: Root = OF_AN_IMAGE
    stop_signal: int = 15
    stop_timeout_s: float = 10.0
    auto_remove: bool = False
    detached: bool = False
    restart: RestartPolicy = RestartPolicy()
    health: HealthCheck | None = None
    labels: dict[str, str] = {}
    pod: Sandbox | Member | None = None
    """What it is to a pod; None: it has a machine for itself."""
    isolation: Isolation = "vm"
    id_map: IdMap | None = None
    """Whose ids its users are, in namespaces; a machine has users of its own."""
    id_mode: IdMode = IdMode()
    """What that was made of."""
    storage_driver: StorageDriver = "overlay"
    """How its root stands on its image's tree, in namespaces (container.storage_driver)."""
    snapshot: str = ""
    """The id of the snapshot that it was started from, which may be gone."""
    cold: bool = False
    """Whether it begins anew on that snapshot's disk, though there is memory."""

    @property
    def forwarded_ports(self) -> tuple[PublishedPort, ...]:
        """Those of its ports that the network of its VMM publishes."""
        return tuple(port for port in self.ports if not port.ipv6)

    @property
    def relayed_ports(self) -> tuple[PublishedPort, ...]:
        """Those that its owner publishes (engine.shared_sockets)."""
        return tuple(port for port in self.ports if port.ipv6)

    @property
    def has_more(self) -> bool:
        """Whether there is anything beside its root's disk to be made, or looked at, before it starts."""
        return bool(self.root.layer or self.storage.volumes or self.storage.devices)

    @property
    def outlived(self) -> bool:
        """Whether what it writes to is still there when it is removed."""
        return self.root.in_place is not None or any(not each.anonymous for each in self.storage.disks)
