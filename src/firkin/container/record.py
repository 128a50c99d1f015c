"""What is on disk for one container, and who may change it.

    containers/<id>/
      spec.json      ContainerSpec, immutable but for its name (rename), limits (update), networks (connect)
      state.json     Created, then Running, again at each start; Suspended in between
      exit.json      Exited, written once a start, after the last byte of output is in the log
      log            what the main process wrote (container.log)
      console.log    what the machine's kernel printed
      health.json    how healthy it is, where that is checked (container.health_record)
      disk.json      DiskRecord: which layers are under what it writes to its root now (container.layers)
      disk*.qcow2    the top of them
      suspended/     the machine of one that is suspended (engine.suspended)
      cgroups.json   the control groups of one that runs in namespaces (container.groups)
      lock           flock: held by its owner, the one process that may change anything here
      alive          flock: held by the VMM through a descriptor that it inherits; free means that nothing
      runs
    containers/.<id>.new  .<id>.gone     being made, being removed: tidied once their lock is free

An exit.json counts for the start that it names: a container that is started again has ended as before until
the record of its new machine is there.

The rule: a directory with an id for its name is whole. It appears by rename, with its spec, its state and its
locks, and goes by rename; files in it change by replacement. Readers take no lock but a passing shared one on
`alive`, so whoever wants that exclusively tries for a moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from firkin.container import names
from firkin.container.disk import DiskRecord, LayerId
from firkin.container.journal import note_container, note_end
from firkin.container.locks import Lock, is_held, take
from firkin.container.pod import Member
from firkin.container.restart import Tries
from firkin.container.spec import ContainerSpec
from firkin.decoder import json_decoder
from firkin.errors import ContainerNotFound, Corrupt, HostUnsupported, UsageError
from firkin.linux.removal import remove_tree
from firkin.machine.spec import PublishedPort
from firkin.paths import Paths
from firkin.process.spec import ExitStatus
from firkin.store.files import disk_errors, replace_file, sync_dir, write_file

_MAX_FILE_BYTES = 4 << 20


class Created(msgspec.Struct, frozen=True, tag="created", tag_field="is"):
    """Made, and not started: its owner is at it, or died before; or somebody is to start it later."""

    kept: bool = False
    """Whether it was asked for as this, and stays so until somebody starts or removes it."""


class Streams(msgspec.Struct, frozen=True):
    """A position in each output stream of a container's first process, in bytes."""

    stdout: int = 0
    stderr: int = 0

    def plus(self, other: Streams) -> Streams:
        """As far from here as `other` is from the beginning."""
        return Streams(self.stdout + other.stdout, self.stderr + other.stderr)

    def minus(self, other: Streams) -> Streams:
        """How far this is from `other`."""
        return Streams(self.stdout - other.stdout, self.stderr - other.stderr)


class Running(msgspec.Struct, frozen=True, kw_only=True, tag="running", tag_field="is"):
    """Its machine was started. `proc` is the agent's number of the main process."""

    pid: int
    """The VMM's."""
    started_ns: int
    accelerator: str
    ports: tuple[PublishedPort, ...] = ()
    proc: int = 1
    detached: bool = False
    """Whether it outlives its owner, and the next supervisor takes it over."""
    ahead: Streams = Streams()
    """How far the agent's count of each stream is ahead of the log's: below 0 where the log holds earlier
    starts, above where the process wrote before this container was forked."""
    tries: Tries = Tries()
    """Those that it took, this start among them, since somebody started it."""
    paused: bool = False
    """Whether its machine stands still, and is to (engine.paused)."""
    cards: int = 0
    """How many cards for private networks its machine has, those that are spare among them."""
    rewiring: bool = False
    """Whether its guest may not yet have the cards that its spec names (engine.rewiring)."""


class Exited(msgspec.Struct, frozen=True, kw_only=True, tag="exited", tag_field="is"):
    """Its main process has ended; `reason` says why where that was not its own doing."""

    status: ExitStatus
    finished_ns: int
    started_ns: int | None = None
    reason: str = ""
    again_ns: int | None = None
    """When it is to be started again, whoever dies until then; None: once somebody asks."""
    tries: Tries = Tries()
    """Those since somebody started it, with the one that is due."""


class Suspended(msgspec.Struct, frozen=True, kw_only=True, tag="suspended", tag_field="is"):
    """Its machine was saved beside its disk, and ended, to go on later (engine.suspended)."""

    suspended_ns: int
    started_ns: int
    detached: bool
    """As these four were of Running."""
    proc: int
    ahead: Streams
    layers: tuple[LayerId, ...] | None = None
    """What its disk stands on when it goes on; None: it is as the machine left it."""


State = Created | Running | Exited | Suspended
LOST = ExitStatus(code=255)
"""The status of a process whose machine ended before anybody heard of it."""


class Record(msgspec.Struct, frozen=True):
    """One container's directory, which was there when this was made."""

    paths: Paths
    id: str

    @property
    def dir(self) -> Path:
        return self.paths.container_dir(self.id)

    @property
    def log_path(self) -> Path:
        return self.dir / "log"

    @property
    def disk_path(self) -> Path:
        """What the container writes to its root now."""
        return self.dir / self.disk().top

    @property
    def cgroups_path(self) -> Path:
        """Where its control groups are told of."""
        return self.dir / "cgroups.json"

    @property
    def alive_path(self) -> Path:
        return self.dir / "alive"

    def spec(self) -> ContainerSpec:
        """What it is to be. Raises ContainerNotFound, Corrupt."""
        spec: ContainerSpec = self._read("spec.json", ContainerSpec)
        if spec.id != self.id:
            raise Corrupt(f"spec.json of container {self.id[:12]} is of {spec.id[:12]!r}", hint=self._hint())
        return spec

    def state(self) -> State:
        """What it is now, whoever owns it. Raises ContainerNotFound, Corrupt.

        A running one whose VMM is gone has Exited with status LOST, though nobody has recorded it yet.
        """
        state = self.started()
        if (exited := self._exited(state)) is not None:
            return exited
        if isinstance(state, Running) and not self.is_alive():
            return self._exited(state) or Exited(  # its owner may have written it while we looked
                status=LOST,
                started_ns=state.started_ns,
                finished_ns=self._changed_ns(),
                reason="its machine ended",
            )
        return state

    def disk(self) -> DiskRecord:
        """What its disk stands on. Raises ContainerNotFound, Corrupt."""
        if not (self.dir / "disk.json").exists() and self.dir.is_dir():
            return DiskRecord()
        disk: DiskRecord = self._read("disk.json", DiskRecord)
        return disk

    def set_disk(self, disk: DiskRecord) -> None:
        """Record what its disk stands on from now on. The owner's."""
        replace_file(self.dir / "disk.json", msgspec.json.encode(disk))

    def set_running(self, state: Running) -> None:
        """Record that its machine was started. The owner's."""
        replace_file(self.dir / "state.json", msgspec.json.encode(state))

    def set_suspended(self, state: Suspended) -> None:
        """Record that its machine was saved. The owner's."""
        replace_file(self.dir / "state.json", msgspec.json.encode(state))

    def set_exited(self, state: Exited) -> None:
        """Record how it ended. The owner's, once a start: a second call changes nothing."""
        if self._exited(self.started()) is None:
            replace_file(self.dir / "exit.json", msgspec.json.encode(state))
            if (spec := self._readable()) is not None:
                note_end(self.paths, spec, state.status)

    def set_again(self, ended: Exited) -> None:
        """Put another time to start again, or none, on the record of that end. The owner's."""
        replace_file(self.dir / "exit.json", msgspec.json.encode(ended))

    def call_off(self) -> None:
        """It is not to be started again by itself. The owner's."""
        state = self.state()
        if isinstance(state, Exited) and state.again_ns is not None:
            self.set_again(msgspec.structs.replace(state, again_ns=None))

    def rename(self, name: str) -> ContainerSpec:
        """Give it another name. The owner's. Raises UsageError, NameInUse, StorageFull.

        A crash in the middle leaves it both names, of which the next tidying takes the wrong one away.
        """
        spec, naming = self.spec(), names.of(self.paths)
        renamed = msgspec.structs.replace(spec, name=naming.validate(name))
        if name != spec.name:
            try:
                with naming.reserved(name, self.id):
                    replace_file(self.dir / "spec.json", _encode(renamed))
            finally:
                naming.release(spec.name if self.spec().name == name else name, self.id)
            note_container(self.paths, "rename", renamed, oldName=spec.name)
        return renamed

    def update(self, spec: ContainerSpec) -> None:
        """Let its limits, the size of its next machine and its restart policy be those of `spec`.

        The owner's. Raises StorageFull.
        """
        now = self.spec()
        changed = msgspec.structs.replace(
            now, cpus=spec.cpus, memory_bytes=spec.memory_bytes, limits=spec.limits, restart=spec.restart
        )
        replace_file(self.dir / "spec.json", _encode(changed))
        note_container(self.paths, "update", changed)

    def connect(self, spec: ContainerSpec) -> None:
        """Let its networks be those of `spec`. The owner's. Raises StorageFull."""
        replace_file(
            self.dir / "spec.json", _encode(msgspec.structs.replace(self.spec(), network=spec.network))
        )

    def begin_again(self, ended: Exited) -> None:
        """Record that a container that ended so is being started again. The owner's.

        It has ended so until set_running(), but is_begun() tells.
        """
        self.set_exited(ended)
        replace_file(self.dir / "state.json", msgspec.json.encode(Created()))

    def is_begun(self) -> bool:
        """Whether its machine, if there is one, was started and never put on record as running."""
        return isinstance(self.started(), Created)

    def own(self) -> Lock:
        """The owner's lock. Raises InUse where another process owns the container, ContainerNotFound."""
        try:
            return take(self.dir / "lock", f"container {self.id[:12]} is owned by another process")
        except HostUnsupported as error:
            if self.dir.is_dir():
                raise
            raise self._removed() from error

    def is_owned(self) -> bool:
        """Whether some process owns it now."""
        return is_held(self.dir / "lock")

    def hold_alive(self) -> Lock:
        """The lock that the VMM is to inherit; whoever started it closes its own copy.

        Raises InUse where a VMM holds it.
        """
        return take(self.alive_path, f"container {self.id[:12]} still has a machine")

    def is_alive(self) -> bool:
        """Whether its VMM runs, or that of the pod that it is in."""
        return is_held(self.alive_path) or is_held(self.dir / "pod" / "alive")

    def remove(self) -> None:
        """Delete it. The owner's, once nothing runs. A crash leaves .<id>.gone or a link to nothing."""
        spec = self._readable()
        if self.cgroups_path.exists():  # its owner and its machine are gone, and nobody was here since
            from firkin.container.groups import remove_left

            remove_left(self.cgroups_path, self.id)
        gone = self.paths.containers_dir / f".{self.id}.gone"
        with disk_errors(self.dir):
            self.dir.rename(gone)
        if spec is not None:
            names.of(self.paths).release(spec.name, self.id)
            note_container(self.paths, "destroy", spec)
        remove_tree(gone)

    def _readable(self) -> ContainerSpec | None:
        try:
            return self.spec()
        except Corrupt:
            return None

    def started(self) -> Created | Running | Suspended:
        """What was last begun or suspended, whether or not it has ended since."""
        started: Created | Running | Suspended = self._read("state.json", Created | Running | Suspended)
        return started

    def _changed_ns(self) -> int:
        """When its state was last put on record."""
        try:
            return (self.dir / "state.json").stat().st_mtime_ns
        except FileNotFoundError as error:
            raise self._removed() from error

    def _exited(self, started: Created | Running | Suspended) -> Exited | None:
        """How the start `started` ended, where that is on record."""
        if not (self.dir / "exit.json").exists():
            return None
        exited: Exited = self._read("exit.json", Exited)
        earlier = isinstance(started, Running | Suspended) and exited.started_ns != started.started_ns
        return None if earlier else exited

    def _read(self, file: str, kind: Any) -> Any:
        path = self.dir / file
        try:
            with open(path, "rb") as opened:
                raw = opened.read(_MAX_FILE_BYTES)
            return json_decoder(kind).decode(raw)
        except FileNotFoundError as error:
            if not self.dir.is_dir():
                raise self._removed() from error
            raise Corrupt(f"container {self.id[:12]} has no {file}", hint=self._hint()) from error
        except (OSError, msgspec.DecodeError) as error:
            raise Corrupt(f"cannot read {path}: {error}", hint=self._hint()) from error

    def _removed(self) -> ContainerNotFound:
        return ContainerNotFound(f"container {self.id[:12]} was removed")

    def _hint(self) -> str:
        return f"`firkin rm -f {self.id[:12]}` removes what is left of it"


def create(
    paths: Paths, spec: ContainerSpec, disk: DiskRecord | None = None, *, kept: bool = False
) -> tuple[Record, Lock]:
    """Make the record of a new container, owned by the caller until the Lock is closed; with `kept` it stays
    whether or not it is started.

    Whoever gives its `disk` layers holds Store.adding() since it read who lists them. Raises NameInUse,
    StorageFull, UsageError where the spec is not text.
    """
    content = _encode(spec)
    record = Record(paths, spec.id)
    making = paths.containers_dir / f".{spec.id}.new"
    with disk_errors(making):
        paths.containers_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        making.mkdir(mode=0o700)
        for empty in ("alive", "lock"):
            (making / empty).touch(mode=0o600)
    lock = take(making / "lock", "a container that is being made is owned by another process")
    try:
        write_file(making / "spec.json", content)
        write_file(making / "state.json", msgspec.json.encode(Created(kept=kept)))
        if disk is not None:
            write_file(making / "disk.json", msgspec.json.encode(disk))
        if isinstance(spec.pod, Member):
            (making / "pod").symlink_to(f"../{spec.pod.pod}")
        with disk_errors(making):
            sync_dir(making)
        with names.of(paths).reserved(spec.name, spec.id), disk_errors(record.dir):
            making.rename(record.dir)
        sync_dir(paths.containers_dir)
    except BaseException:
        remove_tree(making)
        lock.close()
        raise
    note_container(paths, "create", spec)
    return record, lock


def find(paths: Paths, text: str) -> Record:
    """The record that `text` names, as Naming.lookup(). Raises ContainerNotFound, UsageError."""
    return Record(paths, names.of(paths).lookup(text))


def records(paths: Paths) -> Iterator[Record]:
    """All containers, in no order, those that cannot be read among them."""
    return (Record(paths, each) for each in names.of(paths).ids())


def _encode(spec: ContainerSpec) -> bytes:
    try:
        return msgspec.json.encode(spec)
    except UnicodeEncodeError as error:
        raise UsageError(
            f"an argument or variable of container {spec.name!r} is not UTF-8",
            hint="only exec takes any bytes",
        ) from error
