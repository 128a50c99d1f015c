"""From a saved machine to one that answers, and a whole `run --rm` of `true`, with its image in the store.

The floor is a bare machine of the same memory that is restored to an echoed byte; QEMU's own way to keep a
machine, savevm and loadvm, stands beside it, and podman beside the runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import firkin
from benchmarks.floor import echoing
from benchmarks.measure import Contender, Measures, Samples, command_times, take_turns, timed
from benchmarks.place import Place
from benchmarks.podman import podman
from benchmarks.table import Row
from firkin import machine as machines
from firkin.agent.client import AgentClient
from firkin.machine.spec import Disk, MachineSpec
from firkin.machine.start import boot
from firkin.settings import Settings

FACTOR = 1.3
COMMAND_LIMIT_S, API_LIMIT_S = 0.250, 0.150
_DISK_BYTES = 1 << 30


def rows(place: Place) -> Iterator[Row]:
    image = place.static_image
    settings = Settings.load(place.environ)
    with ExitStack() as stack:
        engine = stack.enter_context(firkin.Engine(settings))
        echo = stack.enter_context(echoing(settings))
        agent = Agent(place.root / "restored", settings, stack.enter_context(asyncio.Runner()))
        peer = stack.enter_context(podman(place))

        def through_api() -> None:
            with engine.run(image, ["true"]) as container:
                if not container.wait().ok:
                    raise RuntimeError("true is not true")

        def through_command() -> Measures:
            return command_times([place.firkin, "run", "--rm", image, "true"], place.environ)

        contenders = [
            Contender("floor", echo.restored),
            Contender("loadvm", echo.loaded),
            Contender("agent", agent.restored),
            Contender("api", lambda: {"whole": timed(through_api)}),
            Contender("command", through_command),
        ]
        if peer is not None:
            contenders.append(Contender("podman", peer.run))
            contenders.append(Contender("podman, no network", lambda: peer.run("none")))
        samples = take_turns(contenders, place.rounds, warmups=2)
        network = "" if peer is None else peer.network
    yield from _restores(samples)
    yield from _runs(samples, network)


class Agent:
    """firkin's own restore: from the template of a run to the agent's hello, and nothing else."""

    def __init__(self, directory: Path, settings: Settings, runner: asyncio.Runner) -> None:
        directory.mkdir()
        image, overlay = directory / "image", directory / "disk.qcow2"
        with image.open("xb") as file:
            file.truncate(_DISK_BYTES)
        machines.create_overlay(overlay, image, _DISK_BYTES)
        disk = Disk(path=overlay, format="qcow2", backing=image)
        self._spec = MachineSpec(
            name="restored", cpus=settings.cpus, memory_bytes=settings.memory_bytes, disks=(disk,)
        )
        self._settings = settings
        self._directory = directory
        self._runner = runner
        self._numbers = count()

    def restored(self) -> Measures:
        return {"whole": self._runner.run(self._restore())}

    async def _restore(self) -> float:
        directory = self._directory / str(next(self._numbers))
        directory.mkdir()
        begin = time.perf_counter()
        async with (
            boot(self._spec, settings=self._settings, dir=directory, run_dir=directory / "run") as machine,
            await AgentClient.open(machine.open_agent(), self._spec.name) as client,
        ):
            await machine.booted(client.start())
            took = time.perf_counter() - begin
        if not machine.forked:
            raise RuntimeError("it was not restored from a template")
        return took


def _restores(samples: Samples) -> Iterator[Row]:
    floor, ours = samples["floor"]["whole"], samples["agent"]["whole"]
    name = "bare restore"
    yield Row(
        "restore to the agent's answer",
        *(ours, "ms", f"<= {FACTOR} x floor", floor.median * FACTOR, floor, name),
    )
    yield Row("QEMU's loadvm of the bare machine", samples["loadvm"]["whole"], "ms", "", None, floor, name)


def _runs(samples: Samples, network: str) -> Iterator[Row]:
    for contender, what, limit_s in (
        ("command", "firkin run --rm ... true", COMMAND_LIMIT_S),
        ("api", "the same, API", API_LIMIT_S),
    ):
        ours, goal = samples[contender]["whole"], f"<= {limit_s * 1000:.0f} ms"
        if not network:
            yield Row(what, ours, "ms", goal, limit_s)
            continue
        for peer, name in (("podman", f"podman, {network}"), ("podman, no network",) * 2):
            yield Row(what, ours, "ms", goal, limit_s, samples[peer]["whole"], name)
