"""Every path that firkin owns, and who may lock it.

data/                                    the truth; survives a reboot
  version                                format of this tree; a newer one is refused
  lock                                   flock: shared by whoever adds, exclusive for garbage collection
  blobs/sha256/<hex>                     immutable, 0444
  ingest/<hex or uuid>                   partial blobs, flocked by their writer
  refs/<registry>/<repository>/          _tags/<tag>, _digests/<hex>
  rootfs/<key>/                          image.ext4, rootfs.json; of namespace containers root/, tree.json
  kernels/<version>/                     vmlinuz, modules/ : installed by `firkin kernel install`
  templates/<key>/                       memory and state of machines that booted, see machine.template
  cache/                                 made from other files, safe to delete: initramfs, vmlinux, verdicts
  containers/<id>/                       one container or pod, see container.record, container.pod
  volumes/<name>/                        one volume, see volume.record
  networks/<name>.json                   one private network, see container.private_network
  names/<name>                           link to the id of the container that has the name; lock
  disks/<id>.qcow2                       a layer of disks, never written again, see container.layers
  snapshots/<id>/                        one snapshot, see snapshot.record
  snapshot-names/<name>                  link to the id of the snapshot that has the name; lock
  events/                                log: what happened, see container.journal
  ids.lock                               flock: held while a container gets ids of its own
run/                                     sockets; never the truth; 0700, short (a socket path holds 107 bytes)
  supervisor.sock  supervisor.lock       the lock is held by the supervisor while it lives; the socket may be
                                         systemd's
  c/<id12>/                              control.sock agent.sock qmp.sock netN.sock of one running container
  driver.json  driver.lock               which storage driver works in this boot, see container.storage_driver
  n/<id12>.sock  .lock  .log             one private network's switch; the lock is held while it lives
"""

from __future__ import annotations

from pathlib import Path

import msgspec


class Paths(msgspec.Struct, frozen=True):
    """Where things are. Holding a Paths creates nothing; whoever writes makes the directory it needs."""

    data: Path
    run: Path

    @property
    def version_path(self) -> Path:
        return self.data / "version"

    @property
    def lock_path(self) -> Path:
        return self.data / "lock"

    @property
    def driver_path(self) -> Path:
        return self.run / "driver.json"

    @property
    def ids_lock_path(self) -> Path:
        return self.data / "ids.lock"

    @property
    def blobs_dir(self) -> Path:
        return self.data / "blobs" / "sha256"

    @property
    def ingest_dir(self) -> Path:
        return self.data / "ingest"

    @property
    def refs_dir(self) -> Path:
        return self.data / "refs"

    @property
    def rootfs_dir(self) -> Path:
        return self.data / "rootfs"

    @property
    def kernels_dir(self) -> Path:
        return self.data / "kernels"

    @property
    def cache_dir(self) -> Path:
        return self.data / "cache"

    @property
    def templates_dir(self) -> Path:
        return self.data / "templates"

    @property
    def containers_dir(self) -> Path:
        return self.data / "containers"

    def container_dir(self, container_id: str) -> Path:
        return self.containers_dir / container_id

    @property
    def volumes_dir(self) -> Path:
        return self.data / "volumes"

    def volume_dir(self, name: str) -> Path:
        return self.volumes_dir / name

    @property
    def networks_dir(self) -> Path:
        return self.data / "networks"

    def network_path(self, name: str) -> Path:
        return self.networks_dir / f"{name}.json"

    def switch_socket_path(self, network_id: str) -> Path:
        return self.run / "n" / f"{network_id[:12]}.sock"

    @property
    def names_dir(self) -> Path:
        return self.data / "names"

    @property
    def disks_dir(self) -> Path:
        return self.data / "disks"

    def layer_path(self, layer_id: str) -> Path:
        return self.disks_dir / f"{layer_id}.qcow2"

    @property
    def snapshots_dir(self) -> Path:
        return self.data / "snapshots"

    def snapshot_dir(self, snapshot_id: str) -> Path:
        return self.snapshots_dir / snapshot_id

    @property
    def snapshot_names_dir(self) -> Path:
        return self.data / "snapshot-names"

    @property
    def events_path(self) -> Path:
        return self.data / "events" / "log"

    @property
    def supervisor_socket_path(self) -> Path:
        return self.run / "supervisor.sock"

    @property
    def supervisor_lock_path(self) -> Path:
        return self.run / "supervisor.lock"

    def container_run_dir(self, container_id: str) -> Path:
        return self.run / "c" / container_id[:12]

    def control_socket_path(self, container_id: str) -> Path:
        return self.container_run_dir(container_id) / "control.sock"

    def agent_socket_path(self, container_id: str) -> Path:
        return self.container_run_dir(container_id) / "agent.sock"

    def qmp_socket_path(self, container_id: str) -> Path:
        return self.container_run_dir(container_id) / "qmp.sock"
