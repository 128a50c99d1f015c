"""Forks of running containers, and containers that go on from a snapshot: who they are, and that all go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from firkin.engine.container import Container
from firkin.engine.engine import Engine
from firkin.engine.heir import Wishes
from firkin.engine.options import ExecOptions
from firkin.engine.words import run_options
from firkin.process.output import output
from firkin.settings import Settings
from tests.support.home import Home
from tests.support.images import busybox_tar

pytestmark = pytest.mark.machine

HERE = Wishes(detached=False)
COUNTER = "i=0; while :; do i=$((i+1)); echo $i; sleep 0.05; done"


@pytest.fixture
async def engine(settings: Settings, home: Home) -> AsyncIterator[Engine]:
    """An engine with busybox."""
    archive = home.root / "busybox.tar"
    archive.write_bytes(busybox_tar())
    async with Engine(settings) as engine:
        await engine.import_image(archive, "busybox", changes=["CMD sh"])
        yield engine
    archive.unlink()


async def said(container: Container, *command: str) -> str:
    """What a command in it prints."""
    done = await output(await container.exec(ExecOptions(command=command)))
    assert done.status.code == 0, done
    return done.stdout.decode().strip()


async def numbers(container: Container, count: int) -> list[int]:
    """The first `count` numbers that its counter printed, as far as its log has them."""
    process = await container.attach(replay=True)
    text = b""
    try:
        async with asyncio.timeout(30):
            while text.count(b"\n") < count:
                text += await process.stdout.read()
    finally:
        process.stdout.close()
        process.stderr.close()
    return [int(line) for line in text.split(b"\n")[:-1]][:count]


async def test_a_fork_goes_on_where_its_parent_was_and_the_parent_too(engine: Engine) -> None:
    parent = await engine.run(run_options("busybox", ["sh", "-c", COUNTER], name="parent"))
    await numbers(parent, 5)
    forks = await engine.fork("parent", 2, HERE)
    for fork in forks:
        mine = await numbers(fork, 5)
        assert mine == list(range(mine[0], mine[0] + 5))
        assert mine[0] > 5
    assert len({(await numbers(fork, 1))[0] for fork in forks}) == 1
    assert await numbers(parent, 30) == list(range(1, 31))
