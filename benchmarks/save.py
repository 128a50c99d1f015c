"""A running container is kept with its memory, and goes on: how long that takes, and for how long it stands
still.

One that sleeps, and one whose program writes to memory all the while. QEMU's savevm of such a machine stands
beside it: there the guest stands still from its beginning to its end. Each has a machine of its own, alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import firkin
from benchmarks.measure import Contender, Measures, Taken, take_turns, timed
from benchmarks.monitor import Monitor
from benchmarks.place import Place
from benchmarks.table import Row
from firkin import events
from firkin.linux import unix_socket
from firkin.settings import Settings

MEMORY_BYTES = 256 << 20
LIMIT_S, PAUSE_LIMIT_S = 0.300, 0.050
PROGRAMS = {
    "sleeps": "sleep 1000000",
    "writes": "while dd if=/dev/urandom of=/dev/shm/block bs=4k count=64 2>/dev/null; do usleep 20000; done",
}
_SETTLE_S = 0.5
"""For which a container runs before it is kept."""

Save = Callable[[firkin.Container], Measures]


def rows(place: Place) -> Iterator[Row]:
    settings, image = Settings.load(place.environ), place.static_image
    told: list[events.Event] = []

    def kept(container: firkin.Container) -> Measures:
        told.clear()
        begin = time.perf_counter()
        snapshot = container.snapshot()
        whole = time.perf_counter() - begin
        snapshot.remove()
        saved = next(each.fields for each in told if each.name == "machine.saved")
        return {"whole": whole, "machine": saved["took_s"], "paused": saved["paused_s"]}

    def savevm(container: firkin.Container) -> Measures:
        with Monitor(unix_socket.connect(settings.paths.qmp_socket_path(container.id))) as monitor:
            return {"whole": timed(lambda: monitor.human("savevm bench"))}

    with events.subscribed(told.append), firkin.Engine(settings) as engine:

        def contender(name: str, program: str, save: Save) -> Contender:
            def once() -> Measures:
                with engine.run(image, ["sh", "-c", program], memory=MEMORY_BYTES) as container:
                    time.sleep(_SETTLE_S)
                    return save(container)

            return Contender(name, once)

        samples = take_turns(
            [
                *(contender(name, program, kept) for name, program in PROGRAMS.items()),
                *(contender(f"savevm, {name}", program, savevm) for name, program in PROGRAMS.items()),
            ],
            place.rounds,
        )
    for name in PROGRAMS:
        yield from _rows(name, samples[name], samples[f"savevm, {name}"])


def _rows(name: str, ours: Taken, savevm: Taken) -> Iterator[Row]:
    peer = savevm["whole"]
    limit, pause = f"<= {LIMIT_S * 1000:.0f} ms", f"<= {PAUSE_LIMIT_S * 1000:.0f} ms"
    size = f"{MEMORY_BYTES >> 20} MiB"
    yield Row(
        f"snapshot of a machine of {size} that {name}", ours["whole"], "ms", limit, LIMIT_S, peer, "savevm"
    )
    yield Row("of that, the saving of the machine", ours["machine"], "ms", "", None, peer, "savevm")
    yield Row("of that, it stands still", ours["paused"], "ms", pause, PAUSE_LIMIT_S, peer, "savevm")
