"""Forks of running containers, and what goes on from snapshots: who they are, and that all go on."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from firkin.engine.container import Container
from firkin.engine.engine import Engine
from firkin.engine.heir import Wishes
from firkin.engine.options import ExecOptions
from firkin.engine.owner import OwnedContainer
from firkin.engine.words import run_options
from firkin.errors import MemoryFull, Misfit, NameInUse, PortInUse, UsageError, WrongState
from firkin.events import Event, subscribed
from firkin.machine.spec import PublishedPort
from firkin.process.output import output
from firkin.pytest.command import Command
from firkin.pytest.home import Home
from firkin.settings import Settings
from firkin.snapshot.record import Snapshot

pytestmark = pytest.mark.machine

HERE = Wishes(detached=False)
COUNTER = ["sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; sleep 0.2; done"]
SLEEPER = ["sleep", "1000000"]
HOSTNAME_PLEASE = b"GET /hostname HTTP/1.0\r\n\r\n"
MACHINE_ID = "0123456789abcdef0123456789abcdef"


@pytest.fixture
async def engine(settings: Settings, home: Home, busybox: Command) -> AsyncIterator[Engine]:
    """An engine with busybox."""
    async with Engine(settings) as engine:
        yield engine
    assert list((home.data_dir / "snapshots").glob(".*")) == []


@pytest.fixture(scope="session")
def witness(shared_dir: Path) -> bytes:
    """tests/support/witness.c, compiled."""
    source, program = (
        Path(__file__).parents[1] / "support" / "witness.c",
        shared_dir / f"witness-{os.getpid()}",
    )
    subprocess.run(["gcc", "-O2", "-static", "-o", program, source], check=True)
    return program.read_bytes()


async def run(engine: Engine, command: list[str], **words: object) -> OwnedContainer:
    return await engine.run(run_options("busybox", command, **words))  # type: ignore[arg-type]


async def said(container: Container, *command: str, typed: bytes = b"") -> str:
    """What a command in it prints."""
    process = await container.exec(ExecOptions(command=command, stdin=bool(typed)))
    done = await output(process, typed)
    assert done.status.code == 0, done
    return done.stdout.decode().strip()


async def lines(container: Container, count: int) -> list[str]:
    """The first `count` lines that its process wrote, as far as its log has them."""
    process = await container.attach(replay=True)
    text = b""
    try:
        async with asyncio.timeout(60):
            while text.count(b"\n") < count:
                piece = await process.stdout.read()
                assert piece, "it ended"
                text += piece
    finally:
        process.stdout.close()
        process.stderr.close()
    return text.decode().split("\n")[:count]


async def numbers(container: Container, count: int) -> list[int]:
    return list(map(int, await lines(container, count)))


def names(engine: Engine) -> set[str]:
    return {each.spec.name for each in engine.containers(all=True)}


# --- all go on ---------------------------------------------------------------------------------------------


async def test_forks_go_on_where_their_parent_was_and_the_parent_too(engine: Engine) -> None:
    parent = await run(engine, COUNTER, name="parent")
    await numbers(parent, 5)
    forks = await engine.fork("parent", 2, HERE)
    begun = {(await numbers(fork, 1))[0] for fork in forks}
    assert len(begun) == 1
    (first,) = begun
    assert first > 5
    for fork in forks:
        assert await numbers(fork, 10) == list(range(first, first + 10))
    assert await numbers(parent, first + 10) == list(range(1, first + 11))


async def test_a_fork_outlives_its_parent_with_all_that_they_shared(engine: Engine) -> None:
    parent = await run(engine, SLEEPER, name="parent")
    await said(parent, "sh", "-c", "echo shared > /file")
    (fork,) = await engine.fork("parent", 1, HERE)
    await said(fork, "sh", "-c", "echo mine > /mine")
    await parent.remove(force=True)
    assert await said(fork, "cat", "/file", "/mine") == "shared\nmine"
    (child,) = await engine.fork(fork.id, 1, HERE)
    assert await said(child, "cat", "/file", "/mine") == "shared\nmine"
    assert await said(child, "hostname") == child.id[:12]


async def test_what_parent_and_forks_write_to_their_disks_is_their_own(engine: Engine) -> None:
    parent = await run(engine, SLEEPER, name="parent")
    forks = await engine.fork("parent", 2, HERE)
    for each in (parent, *forks):
        await said(each, "sh", "-c", "hostname > /who; sync")
    for each in (parent, *forks):
        assert await said(each, "cat", "/who") == each.id[:12]


async def test_a_snapshot_is_gone_on_from_again_and_again(engine: Engine) -> None:
    parent = await run(engine, COUNTER, name="parent")
    await numbers(parent, 3)
    kept = await parent.snapshot("moment")
    assert kept.machine is not None
    await parent.remove(force=True)
    first = await engine.restore("moment", Wishes(name="one", detached=False))
    begun = (await numbers(first, 3))[0]
    again = await engine.restore("moment", Wishes(name="two", detached=False))
    assert (await numbers(again, 3))[0] == begun
    forks = await engine.fork_snapshot("moment", 2, Wishes(name="kid", detached=False))
    assert [fork.name for fork in forks] == ["kid-1", "kid-2"]
    assert {(await numbers(fork, 1))[0] for fork in forks} == {begun}


async def test_the_first_exec_in_a_fork_costs_one_request(engine: Engine) -> None:
    await run(engine, SLEEPER, name="parent")
    (fork,) = await engine.fork("parent", 1, HERE)
    assert isinstance(fork, OwnedContainer)
    channel = fork._keeper.running().client.channel
    before = channel._last_request
    process = await fork.exec(ExecOptions(command=("true",)))
    assert channel._last_request == before + 1
    assert (await process.wait()).code == 0


# --- each is somebody --------------------------------------------------------------------------------------


@pytest.mark.parametrize("cpus", [1, 2])
async def test_no_program_of_a_fork_runs_before_it_has_the_time_and_randomness_of_its_own(
    engine: Engine, witness: bytes, cpus: int
) -> None:
    """Processes that count all the time find the clock set at the same count in every fork."""
    wait = "until [ -x /witness ]; do sleep 0.2; done; exec /witness $1"
    parent = await run(engine, ["sh", "-c", wait, "sh", str(cpus)], name="parent", cpus=cpus)
    await said(parent, "sh", "-c", "cat > /new; chmod 755 /new; mv /new /witness", typed=witness)
    await lines(parent, 1)
    await parent.snapshot("moment")
    await parent.remove(force=True)
    await asyncio.sleep(2.5)  # what the clock is to jump over
    found = []
    for _ in range(2):
        fork = await engine.restore("moment", HERE)
        told = [line.split() for line in await lines(fork, cpus)]
        found.append({number: (count, random) for number, count, random in told})
        await fork.remove(force=True)
    one, two = found
    assert one.keys() == two.keys() == {str(number) for number in range(cpus)}
    for number in one:
        assert one[number][0] == two[number][0], "it ran before the clock was set"
        assert one[number][1] != two[number][1], "it was given its sibling's randomness"


async def test_each_fork_has_an_identity_of_its_own(engine: Engine) -> None:
    parent = await run(engine, SLEEPER, name="parent")
    await said(parent, "sh", "-c", f"echo {MACHINE_ID} > /etc/machine-id")
    everybody = [parent, *await engine.fork("parent", 2, HERE)]
    seen: dict[str, set[str]] = {}
    for each in everybody:
        assert isinstance(each, OwnedContainer)
        facts = {
            "id": each.id,
            "name": each.name,
            "host name": await said(each, "hostname"),
            "/etc/hostname": await said(each, "cat", "/etc/hostname"),
            "/etc/hosts": await said(each, "tail", "-1", "/etc/hosts"),
            "HOSTNAME": await said(each, "sh", "-c", "echo $HOSTNAME"),
            "machine-id": await said(each, "cat", "/etc/machine-id"),
            "boot id": await said(each, "cat", "/proc/sys/kernel/random/boot_id"),
            "network card": await said(each, "cat", "/sys/class/net/eth0/address"),
            "urandom": await said(each, "sh", "-c", "head -c 16 /dev/urandom | od -An -tx1"),
            "session key": each._keeper.running().client.session_key.hex(),
        }
        assert facts["host name"] == facts["/etc/hostname"] == facts["HOSTNAME"] == each.id[:12]
        assert facts["/etc/hosts"].split() == ["10.0.2.15", each.id[:12]]
        assert abs(int(await said(each, "date", "+%s")) - time.time()) < 5
        for name, value in facts.items():
            seen.setdefault(name, set()).add(value)
    assert {name for name, values in seen.items() if len(values) < 3} == set()
    assert await said(parent, "cat", "/etc/machine-id") == MACHINE_ID


async def test_a_fork_is_reached_on_ports_of_its_own(engine: Engine) -> None:
    serve = ["nc", "-ll", "-p", "80", "-e", "hostname"]
    parent = await run(engine, serve, name="parent", publish=["127.0.0.1::80"])
    await answer(parent)
    forks = await engine.fork("parent", 2, HERE)
    for each in (parent, *forks):
        assert await answer(each) == each.id[:12]
    assert len({port_of(each) for each in (parent, *forks)}) == 3


async def test_forks_of_who_was_asked_just_before_answer_though_they_begin_nothing(engine: Engine) -> None:
    """They announce their cards' new addresses: the VMM may know the old (tests/guest/test_network.py)."""
    serve = ["sh", "-c", "httpd -p 80 -h /etc; while sleep 0.3; do echo tick; done"]
    parent = await run(engine, serve, name="parent", publish=["127.0.0.1::80"])
    await answer(parent, HOSTNAME_PLEASE)
    forks = await engine.fork("parent", 4, HERE)
    for each in (*forks, parent):
        async with asyncio.timeout(20):
            assert (await once(each, HOSTNAME_PLEASE)).endswith(f"\r\n\r\n{each.id[:12]}")


def port_of(container: Container) -> int:
    (port,) = container.state.ports  # type: ignore[union-attr]
    assert isinstance(port, PublishedPort)
    return port.host_port


async def answer(container: Container, request: bytes = b"") -> str:
    """What its server says, once it listens."""
    async with asyncio.timeout(30):
        while not (text := await once(container, request)):
            pass
    return text


async def once(container: Container, request: bytes = b"") -> str:
    """What its server says to `request`, or "" where the connection ends without a word."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(container))
    try:
        writer.write(request)
        return (await reader.read()).decode().strip()
    except ConnectionResetError:
        return ""
    finally:
        writer.close()


# --- what is refused, and what is left then ----------------------------------------------------------------


async def test_more_forks_than_this_host_carries_are_refused_before_anything_is_made(engine: Engine) -> None:
    await run(engine, SLEEPER, name="parent", memory="1g")
    heard: list[Event] = []
    with subscribed(heard.append), pytest.raises(MemoryFull, match=r"1000 machines of 1\.07GB need"):
        await engine.fork("parent", 1000, HERE)
    assert heard == []
    with pytest.raises(UsageError):
        await engine.fork("parent", 0, HERE)
    assert names(engine) == {"parent"}


async def test_all_forks_run_or_none_is_left(engine: Engine, home: Home) -> None:
    parent = await run(engine, COUNTER, name="parent")
    port = PublishedPort.parse("127.0.0.1:47651:80")
    with pytest.raises(PortInUse):
        await engine.fork("parent", 2, Wishes(name="kid", detached=False, ports=port))
    assert names(engine) == {"parent"}
    assert len(list((home.run_dir / "c").iterdir())) == 1
    (fork,) = await engine.fork("parent", 1, Wishes(name="kid", detached=False, ports=port))
    with pytest.raises(NameInUse):
        await engine.fork("parent", 1, Wishes(name="kid", detached=False))
    assert port_of(fork) == 47651
    seen = len(await numbers(parent, 1))
    assert await numbers(parent, seen + 5) == list(range(1, seen + 6))


async def test_what_goes_on_from_a_snapshot_wants_the_same_ports(engine: Engine) -> None:
    parent = await run(engine, SLEEPER, name="parent", publish=["127.0.0.1:47652:80"])
    await parent.snapshot("moment")
    with pytest.raises(PortInUse):
        await engine.restore("moment", HERE)
    assert names(engine) == {"parent"}
    await parent.remove(force=True)
    assert port_of(await engine.restore("moment", HERE)) == 47652


async def test_a_container_that_shares_a_directory_keeps_its_memory_to_itself(
    engine: Engine, tmp_path: Path
) -> None:
    parent = await run(engine, SLEEPER, name="parent", volumes=[f"{tmp_path}:/mnt"])
    with pytest.raises(UsageError, match="shares") as refused:
        await parent.snapshot()
    assert "--disk-only" in refused.value.hint
    assert (await parent.snapshot("disk", disk_only=True)).machine is None
    with pytest.raises(UsageError, match="shares"):
        await engine.fork("parent", 1, HERE)
    assert names(engine) == {"parent"}


async def test_what_does_not_fit_is_refused_by_its_name_or_begins_anew_on_its_disk(
    engine: Engine, home: Home
) -> None:
    parent = await run(engine, COUNTER, name="parent")
    await said(parent, "sh", "-c", "echo kept > /file; sync")
    kept = await parent.snapshot("moment")
    await parent.remove(force=True)
    alter(home, kept, "qemu", {"version": "7", "sha256": "0" * 64})
    with pytest.raises(Misfit, match="its QEMU was 7"):
        await engine.restore("moment", HERE)
    assert names(engine) == set()
    fresh, reason = await engine.restore_or_boot("moment", HERE)
    assert "its QEMU was 7" in reason
    assert (await numbers(fresh, 2)) == [1, 2]
    assert await said(fresh, "cat", "/file") == "kept"


def alter(home: Home, kept: Snapshot, field: str, value: object) -> None:
    """Change a field of what a snapshot's machine was saved with."""
    path = home.data_dir / "snapshots" / kept.id / "saved.json"
    saved = json.loads(path.read_bytes())
    path.chmod(0o600)
    path.write_text(json.dumps(saved | {field: value}))


async def test_what_has_ended_is_not_forked(engine: Engine) -> None:
    parent = await run(engine, ["true"], name="parent")
    await parent.wait()
    with pytest.raises(WrongState, match="not running"):
        await engine.fork("parent", 1, HERE)
