"""Heirs: the containers that an engine starts from snapshots, and from other containers as they are now.

The rule: whoever asks for several is told first whether this host carries them, and gets all of them or none.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import msgspec

from firkin.container import names
from firkin.container.locks import Lock
from firkin.container.record import Record
from firkin.engine.container import Container
from firkin.errors import Misfit
from firkin.events import event
from firkin.paths import Paths

if TYPE_CHECKING:
    from firkin.container.spec import ContainerSpec
    from firkin.engine.heir import Wishes
    from firkin.snapshot.record import Snapshot
    from firkin.store.store import Store


class Heirs(ABC):
    """What an Engine does with snapshots, by what it does with containers."""

    paths: Paths

    @property
    @abstractmethod
    def store(self) -> Store: ...

    @abstractmethod
    async def container(self, name_or_id: str) -> Container: ...

    @abstractmethod
    def _require_open(self) -> None: ...

    @abstractmethod
    async def _begun(self, found: Record, lock: Lock, *, detached: bool) -> Container: ...

    async def restore(self, snapshot: str, wishes: Wishes | None = None) -> Container:
        """A new container that goes on from `snapshot`, a name or an id: the supervisor's, or with
        `wishes.detached` false this engine's.

        With a disk only, its process begins anew on that disk. Raises SnapshotNotFound, NameInUse, Misfit
        where its memory cannot go on here, and what booting raises; then nothing is left of it.
        """
        from firkin.engine.heir import Wishes
        from firkin.engine.socket_words import check_sockets
        from firkin.snapshot.record import find

        wishes = wishes or Wishes()
        names.check_wanted(wishes.name, self.paths)
        check_sockets(wishes.published_sockets or ())
        with self.store.adding():
            begun = self._heir(find(self.paths, snapshot), wishes)
        return await self._begun(*begun, detached=wishes.detached)

    async def restore_or_boot(self, snapshot: str, wishes: Wishes) -> tuple[Container, str]:
        """restore(), or where its memory cannot go on here, a new start on its disk; and why that was, or "".

        Raises as restore(), but for Misfit.
        """
        try:
            return await self.restore(snapshot, wishes), ""
        except Misfit as error:
            reason = str(error)
        event("snapshot.cold", snapshot=snapshot, reason=reason)
        return await self.restore(snapshot, msgspec.structs.replace(wishes, cold=True)), reason

    async def fork(self, name_or_id: str, n: int, wishes: Wishes) -> list[Container]:
        """`n` containers that go on from where a running one is now, which goes on itself.

        What they start from is gone once they run. Raises MemoryFull, StorageFull where this host does not
        carry so many, and what Container.snapshot() and restore() raise; then none is left.
        """
        container = await self.container(name_or_id)
        each = self._admitted(n, container.spec, wishes)
        async with container.lend() as snapshot:
            return await self._forked(snapshot, each)

    async def fork_snapshot(self, snapshot: str, n: int, wishes: Wishes) -> list[Container]:
        """`n` containers that go on from `snapshot`, on ports of their own. Raises as fork()."""
        from firkin.snapshot.record import find

        each = self._admitted(n, find(self.paths, snapshot).spec, wishes)
        with self.store.adding():
            return await self._forked(find(self.paths, snapshot), each)

    def _admitted(self, n: int, spec: ContainerSpec, wishes: Wishes) -> list[Wishes]:
        """The wishes for each of `n` heirs of `spec`, where this host carries them."""
        from firkin.engine.admission import admit, host_facts
        from firkin.engine.forks import check_sockets, each_of

        check_sockets(n, wishes, spec)
        each = each_of(n, wishes, spec.ports)
        for wished in each:
            names.check_wanted(wished.name, self.paths)
        admit(n, spec, host_facts(self.paths))
        return each

    async def _forked(self, snapshot: Snapshot, each: list[Wishes]) -> list[Container]:
        from firkin.engine.forks import begin_all

        async def begin(wishes: Wishes) -> Container:
            return await self._begun(*self._heir(snapshot, wishes), detached=wishes.detached)

        return await begin_all(begin, each)

    def _heir(self, snapshot: Snapshot, wishes: Wishes) -> tuple[Record, Lock]:
        from firkin.engine.heir import record_heir

        if not wishes.detached:
            self._require_open()
        return record_heir(self.paths, snapshot, wishes)
