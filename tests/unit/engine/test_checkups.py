"""Checkups: what becomes of probes that end, hang, or are overtaken by what happens to the container."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from firkin.container import record as records
from firkin.container.health import OUTPUT_BYTES, HealthCheck
from firkin.container.health_record import health_of
from firkin.container.journal import read
from firkin.container.record import Record, Running
from firkin.container.spec import ContainerSpec
from firkin.engine.checkups import Checkups
from firkin.engine.chores import Chores
from firkin.engine.connection import Connection
from firkin.engine.keeper import Keeper
from firkin.engine.options import ExecOptions
from firkin.engine.spawned import SpawnedProcess
from firkin.errors import CommandNotFound, NotListening, WrongState
from firkin.paths import Paths
from firkin.process.spec import ExitStatus, ProcessSpec
from firkin.wire.sockets import Place

SPEC = ContainerSpec(
    id="a" * 64, name="web", image="i", image_digest="sha256:" + "0" * 64, rootfs_key="k",
    process=ProcessSpec(args=("true",)), created_ns=1, hostname="h",
)  # fmt: skip
CHECK = HealthCheck(test=("CMD", "look"), interval_s=3600, timeout_s=60, retries=1)
DUE = Running(pid=1, started_ns=7, accelerator="tcg")
"""It was started long ago."""


class FakeStream:
    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.closed = asyncio.Event()

    async def read(self, _: int = 0) -> bytes:
        if not self.pieces:
            return b""
        if (piece := self.pieces.pop(0)) == b"never":
            await asyncio.Event().wait()
        return piece

    def close(self) -> None:
        self.closed.set()


class FakeSpawned:
    """A process that has ended, unless told otherwise."""

    def __init__(self, *said: bytes, code: int | None = 0) -> None:
        self.stdout, self.stderr = FakeStream(*said), FakeStream()
        self.killed = asyncio.Event()
        self._code = code

    async def wait(self) -> ExitStatus:
        if self._code is None:
            await self.killed.wait()
        return ExitStatus(code=self._code or 0)

    async def kill(self) -> None:
        self.killed.set()


class FakeKeeper:
    """A running container."""

    def __init__(self, record: Record) -> None:
        self.record, self.spec = record, SPEC
        self.state = DUE
        self.chores = Chores()
        self.asked = self.ill = 0
        self.over = False

    @property
    def paused(self) -> bool:
        return self.state.paused

    def running(self) -> None:
        self.asked += 1
        if self.over or self.paused:
            raise WrongState("container 'web' is not running")


@pytest.fixture
def keeper(tmp_path: Path) -> FakeKeeper:
    record, lock = records.create(Paths(tmp_path / "data", tmp_path / "run"), SPEC)
    lock.close()
    return FakeKeeper(record)


def checkups(keeper: FakeKeeper, process: Any, check: HealthCheck = CHECK) -> Checkups:
    """Those of a container in which each check is `process`: an error, or what is awaited for it."""

    async def spawn(options: ExecOptions) -> SpawnedProcess:
        assert options.command == ("look",)
        if isinstance(process, Exception):
            raise process
        if isinstance(process, asyncio.Future):
            return cast(SpawnedProcess, await process)
        return cast(SpawnedProcess, process)

    async def dial(place: Place) -> Connection:
        raise process

    async def fallen_ill() -> None:
        keeper.ill += 1

    return Checkups(cast(Keeper, keeper), check, spawn, dial, fallen_ill)


async def turns() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_probe_is_on_record_and_a_change_is_told_once(keeper: FakeKeeper) -> None:
    for _ in range(2):
        probe = await checkups(keeper, FakeSpawned(b"well\n")).probe()
        assert (probe.exit_code, probe.output) == (0, "well\n")
    health = health_of(keeper.record, keeper.state)
    assert (health.status, len(health.log)) == ("healthy", 2)
    told = [each.action for each in read(keeper.record.paths) if each.action.startswith("health")]
    assert told == ["health_status: healthy"]
    goes_on = checkups(keeper, FakeSpawned(b"ill\n", code=3))
    assert (await goes_on.probe()).exit_code == 3
    assert health_of(keeper.record, keeper.state).status == "unhealthy"


async def test_only_the_beginning_of_what_it_says_is_kept_and_a_held_stream_holds_nobody(
    keeper: FakeKeeper,
) -> None:
    talker = FakeSpawned(b"x" * OUTPUT_BYTES, b"y", b"never")
    probe = await checkups(keeper, talker).probe()
    assert (probe.exit_code, probe.output) == (0, "x" * OUTPUT_BYTES)
    assert talker.stdout.closed.is_set()


async def test_what_takes_too_long_is_killed_even_where_it_starts_later(keeper: FakeKeeper) -> None:
    quick = msgspec.structs.replace(CHECK, timeout_s=0.01)
    stuck = FakeSpawned(b"so far", code=None)
    probe = await checkups(keeper, stuck, quick).probe()
    assert (probe.exit_code, probe.output) == (-1, "Health check exceeded timeout (0.01s): so far")
    await asyncio.wait_for(stuck.killed.wait(), 60)
    late: asyncio.Future[FakeSpawned] = asyncio.get_running_loop().create_future()
    assert (await checkups(keeper, late, quick).probe()).exit_code == -1
    late.set_result(FakeSpawned(code=None))
    await asyncio.wait_for(late.result().killed.wait(), 60)


async def test_a_command_that_is_not_there_has_failed(keeper: FakeKeeper) -> None:
    probe = await checkups(keeper, CommandNotFound("command not found in container: 'look'")).probe()
    assert (probe.exit_code, probe.output) == (-1, "command not found in container: 'look'")


async def test_a_port_that_nobody_listens_at_has_failed(keeper: FakeKeeper) -> None:
    refused = NotListening("cannot connect to port 7 in container: Connection refused")
    port = msgspec.structs.replace(CHECK, test=("TCP", "7"))
    probe = await checkups(keeper, refused, port).probe()
    assert (probe.exit_code, probe.output) == (1, str(refused))
    broken = msgspec.structs.replace(CHECK, test=("HTTP", "gopher://x"))
    assert (await checkups(keeper, refused, broken).probe()).exit_code == -1


async def test_what_is_to_be_done_with_an_unhealthy_one_is_done_once(keeper: FakeKeeper) -> None:
    check = msgspec.structs.replace(CHECK, on_failure="kill", retries=2)
    async with keeper.chores:
        looking = checkups(keeper, FakeSpawned(code=1), check)
        await looking.probe()
        await turns()
        assert keeper.ill == 0
        for _ in range(2):
            await looking.probe()
            await turns()
            assert keeper.ill == 1


async def test_what_was_paused_meanwhile_says_nothing(keeper: FakeKeeper) -> None:
    starts: asyncio.Future[FakeSpawned] = asyncio.get_running_loop().create_future()
    probing = asyncio.ensure_future(checkups(keeper, starts).probe())
    await turns()
    for paused in (True, False):  # it goes on before the check has ended
        keeper.state = msgspec.structs.replace(keeper.state, paused=paused)
    starts.set_result(FakeSpawned(code=1))
    with pytest.raises(WrongState, match="was paused during its health check"):
        await probing
    assert health_of(keeper.record, keeper.state).log == ()


async def test_one_that_ends_or_stands_still_is_not_asked_again_and_again(keeper: FakeKeeper) -> None:
    async with keeper.chores:
        keeper.over = True
        checkups(keeper, FakeSpawned()).begin()
        await turns()
        assert keeper.asked == 1, "and then once in an interval"
        keeper.over, keeper.state = False, msgspec.structs.replace(DUE, paused=True)
        checkups(keeper, FakeSpawned()).begin()
        await turns()
        assert keeper.asked == 1


async def test_one_that_is_due_is_looked_at_at_once(keeper: FakeKeeper) -> None:
    found: asyncio.Future[FakeSpawned] = asyncio.get_running_loop().create_future()
    async with keeper.chores:
        checkups(keeper, found).begin()
        found.set_result(process := FakeSpawned())
        await asyncio.wait_for(process.stdout.closed.wait(), 60)
