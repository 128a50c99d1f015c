"""Sources: where the machines of a pool come from: an image, or a snapshot, of which each is a fork.

The rule: every machine has an identity, a disk and ports of its own, and goes with all that it wrote. While
one is begun, nobody waits for it who does something else: that is done by a thread of the pool's own.
"""

from __future__ import annotations

from functools import partial

import msgspec

from firkin.aio.worker import Worker
from firkin.engine.admission import machine_bytes
from firkin.engine.begin import Begun, begin
from firkin.engine.engine import Engine
from firkin.engine.heir import Wishes, own_ports
from firkin.engine.life_words import check_mortal
from firkin.engine.options import RunOptions
from firkin.engine.owner import OwnedContainer
from firkin.errors import UsageError
from firkin.snapshot.record import Snapshot


class OfImage:
    """Containers as Engine.run() starts them from `options`. Raises UsageError for what only one can have."""

    def __init__(self, engine: Engine, options: RunOptions) -> None:
        if options.name:
            raise UsageError(f"a pool's machines cannot all be {options.name!r}", hint="leave out the name")
        check_mortal(options)
        for port in options.ports:
            if port.host_port:
                raise UsageError(
                    f"a pool's machines cannot all be at port {port.host_port} of the host",
                    hint=f"leave that to be chosen: ::{port.guest_port}",
                )
        self._engine = engine
        self._options = msgspec.structs.replace(options, auto_remove=True)
        self._worker = Worker("firkin pool")

    @property
    def each_bytes(self) -> int:
        chosen = self._options.memory_bytes
        return machine_bytes(self._engine.settings.memory_bytes if chosen is None else chosen)

    async def start(self) -> OwnedContainer:
        """Raises as Engine.run(). What is always to be pulled is pulled for the first."""
        beginning = partial(begin, self._options, self._engine.settings)
        begun = await self._worker.do(beginning, _abort)
        container = await self._engine.run(self._options, begun=begun)
        if self._options.pull == "always":
            self._options = msgspec.structs.replace(self._options, pull="missing")
        return container

    def close(self) -> None:
        """No more are started, and none runs."""
        self._worker.close()


class OfSnapshot:
    """Containers that go on from `snapshot`."""

    def __init__(self, engine: Engine, snapshot: Snapshot) -> None:
        self._engine = engine
        self._snapshot = snapshot
        ports = own_ports(snapshot.spec.ports)
        self._wishes = Wishes(ports=ports, auto_remove=True, detached=False)

    @property
    def each_bytes(self) -> int:
        return machine_bytes(self._snapshot.spec.memory_bytes)

    async def start(self) -> OwnedContainer:
        """Raises as Engine.restore()."""
        container = await self._engine.restore(self._snapshot.id, self._wishes)
        assert isinstance(container, OwnedContainer)  # it is not detached
        return container

    def close(self) -> None:
        """No more are started, and none runs."""


def _abort(begun: Begun | None) -> None:
    if begun is not None:
        begun.abort()
