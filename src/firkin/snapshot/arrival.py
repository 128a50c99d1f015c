"""Arrival: the record of a snapshot from elsewhere as it may stand here.

Nothing of it is obeyed that reaches into this host: directories of it that the container would have mounted
are a refusal, as are a kernel of its own and namespaces of this host in place of a machine; published ports,
shared sockets, a boot log, nested machines and a way to the host's loopback are left out, as are restarts
that nobody here asked for. Names are ones that a terminal can show, numbers ones that a machine can have, and
no time lies ahead.
"""

from __future__ import annotations

import time

import msgspec

from firkin.container import names
from firkin.container.record import Streams
from firkin.container.restart import RestartPolicy
from firkin.container.root import OF_AN_IMAGE
from firkin.container.spec import ContainerSpec
from firkin.errors import Corrupt, UsageError
from firkin.events import event
from firkin.linux.id_mode import IdMode
from firkin.machine.knobs import check_kernel_args
from firkin.machine.qcow2 import MAX_SIZE_BYTES
from firkin.oci.descriptor import sound
from firkin.paths import Paths
from firkin.process.policy_ranges import out_of_range
from firkin.snapshot.artifact import MAX_MEMORY_BYTES
from firkin.snapshot.record import Snapshot

_RANGES: dict[str, tuple[float, float]] = {
    "cpus": (1, 1024),
    "memory_bytes": (1 << 20, MAX_MEMORY_BYTES),
    "disk_bytes": (1 << 20, MAX_SIZE_BYTES),
    "shm_bytes": (0, MAX_MEMORY_BYTES),
    "stop_signal": (1, 64),
    "stop_timeout_s": (0, 1e9),
}
_MAX_PROC = (1 << 32) - 1
_MAX_STREAM_BYTES = (1 << 63) - 1
_MAX_IMAGE_CHARS = 512
_MOST_CELLS = 65535  # struct winsize


def check_movable(spec: ContainerSpec, what: str) -> None:
    """Raise UsageError where `what` is of a container that needs more than a machine holds."""
    if spec.binds:
        wanted = ", ".join(bind.source for bind in spec.binds[:3])
        raise UsageError(
            f"{what} is of a container with directories of its host: {wanted}",
            hint="only what a machine holds itself can be moved",
        )
    if files := [each for each in (spec.knobs.kernel, spec.knobs.initramfs) if each]:
        raise UsageError(
            f"{what} is of a container with a kernel or an initramfs of its host: {', '.join(files)}",
            hint="only what a machine holds itself can be moved",
        )
    if spec.isolation != "vm" or spec.id_map is not None or spec.id_mode != IdMode():
        raise UsageError(
            f"{what} is of a container in namespaces of its host",
            hint="only what a machine holds can be moved",
        )
    if private := spec.network.private:
        names = ", ".join(card.network for card in private[:3])
        raise UsageError(
            f"{what} is of a container on private networks: {names}",
            hint="only what a machine holds itself can be moved",
        )
    if spec.root != OF_AN_IMAGE:
        raise UsageError(
            f"{what} is of a container whose root is a file of its host",
            hint="only what a machine holds itself can be moved",
        )
    if spec.storage.devices:
        raise UsageError(
            f"{what} is of a container with a device of its host: {spec.storage.devices[0].path}",
            hint="only what a machine holds itself can be moved",
        )
    if named := [each.name for each in spec.storage.volumes if not each.anonymous]:
        raise UsageError(
            f"{what} is of a container with volumes: {', '.join(named[:3])}",
            hint="only what a machine holds itself can be moved",
        )


def adopted(paths: Paths, snapshot: Snapshot, what: str) -> Snapshot:
    """`snapshot` as it may stand here, of nobody's parent. Raises UsageError, Corrupt."""
    spec = snapshot.spec
    check_movable(spec, what)
    _check_words(paths, snapshot, what)
    _check_numbers(snapshot, what)
    if spec.ports:
        ports = ", ".join(map(str, spec.ports))
        event("snapshot.ports_left_out", snapshot=snapshot.name, ports=ports)
    if spec.sockets:
        sockets = ", ".join(each.called for each in spec.sockets)
        event("snapshot.sockets_left_out", snapshot=snapshot.name, sockets=sockets)
    if spec.knobs.boot_log:
        event("snapshot.boot_log_left_out", snapshot=snapshot.name, path=spec.knobs.boot_log)
    now_ns = time.time_ns()
    network = msgspec.structs.replace(spec.network, host_loopback=False)
    spec = msgspec.structs.replace(
        spec,
        ports=(),
        sockets=(),
        network=network,
        knobs=msgspec.structs.replace(spec.knobs, boot_log="", nested=False, hugepages=False),
        restart=RestartPolicy(),
        pod=None,
        snapshot="",
        created_ns=_past(spec.created_ns, now_ns),
    )
    return msgspec.structs.replace(
        snapshot, spec=spec, parent="", created_ns=_past(snapshot.created_ns, now_ns)
    )


def _check_numbers(snapshot: Snapshot, what: str) -> None:
    numbers = [(field, getattr(snapshot.spec, field), *bounds) for field, bounds in _RANGES.items()]
    numbers.append(("proc", snapshot.proc, 1, _MAX_PROC))
    for field in Streams.__struct_fields__:
        numbers.append((f"streams.{field}", getattr(snapshot.streams, field), 0, _MAX_STREAM_BYTES))
    size = snapshot.spec.process.terminal
    if size is not None:
        numbers += [
            ("terminal.rows", size.rows, 0, _MOST_CELLS),
            ("terminal.cols", size.cols, 0, _MOST_CELLS),
        ]
    for field, number, least, most in numbers:
        if not least <= number <= most:
            raise Corrupt(f"{what} has {number} for {field}", hint="have it exported again")
    if problem := out_of_range(snapshot.spec.process.policy):
        raise Corrupt(f"{what} has {problem}", hint="have it exported again")


def _check_words(paths: Paths, snapshot: Snapshot, what: str) -> None:
    naming = names.of(paths)
    for name in (snapshot.container_name, snapshot.spec.name):
        sound(lambda name=name: naming.validate(name), what)  # type: ignore[misc]
    sound(lambda: check_kernel_args(snapshot.spec.knobs.kernel_args), what)
    image = snapshot.spec.image
    if not image.isprintable() or len(image) > _MAX_IMAGE_CHARS:
        raise Corrupt(f"{what} is of an image with an impossible name", hint="have it exported again")


def _past(time_ns: int, now_ns: int) -> int:
    return max(0, min(time_ns, now_ns))
