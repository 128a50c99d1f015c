"""Machines that are saved while they run: nothing of them is lost, and whatever happens to the save, they go
on.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from firkin.errors import Corrupt, FirkinError, MachineDied, MachineError, Misfit, StorageFull
from firkin.machine import mirror as mirrors
from firkin.machine.qemu.migration import Migration, runs
from firkin.machine.save import recover, save
from firkin.machine.saved import load
from firkin.machine.spec import MachineSpec
from firkin.settings import Settings
from tests.support.machines import BUSYBOX, Guest, busybox_disk, guest, spawn_op
from tests.support.saves import child, fork, save_to, save_with_disk

pytestmark = pytest.mark.machine

_PAIRS = """
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
enum { PAGES = 2048, WORDS = 4096 / 8 };
static volatile uint64_t here[PAGES][WORDS], there[PAGES][WORDS];
int main(void) { /* whatever is written is written twice, far apart, and compared for ever */
    int fd = open("/dev/shm/pairs", O_CREAT | O_WRONLY | O_TRUNC, 0644);
    uint64_t random = 88172645463325252;
    for (unsigned long rounds = 0;; rounds++) {
        for (int i = 0; i < 20000; i++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            unsigned page = random % PAGES, word = random / PAGES % WORDS;
            here[page][word]++;
            there[PAGES - 1 - page][word]++;
        }
        int lost = 0;
        for (int page = 0; page < PAGES; page++)
            lost += !!memcmp((void *)here[page], (void *)there[PAGES - 1 - page], 4096);
        char line[64];
        int length = snprintf(line, sizeof line, "%d %020lu", lost, rounds);
        pwrite(fd, line, length, 0);
    }
}
"""


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that notices when one of its writes is lost, and says so in /dev/shm/pairs."""
    directory = tmp_path_factory.mktemp("pairs")
    (directory / "pairs.c").write_text(_PAIRS)
    subprocess.run(["gcc", "-O1", "-static", "-o", directory / "pairs", directory / "pairs.c"], check=True)
    return directory / "pairs"


@pytest.fixture
def spec(tmp_path: Path) -> MachineSpec:
    return MachineSpec(name="web", disks=(busybox_disk(tmp_path),))


@pytest.fixture
async def web(spec: MachineSpec, settings: Settings, tmp_path: Path) -> AsyncIterator[Guest]:
    async with guest(spec, settings, tmp_path) as it:
        yield it


async def told(it: Guest, script: str) -> str:
    status, output = await it.sh(script)
    assert status == 0, output
    return output


async def works(it: Guest) -> None:
    """It runs, with its disk."""
    assert await told(it, "echo works > /root/works; busybox cat /root/works") == "works"


# --- what is saved goes on ---------------------------------------------------------------------------------


async def test_a_fork_goes_on_with_memory_and_disk_of_that_moment(
    web: Guest, spec: MachineSpec, settings: Settings, tmp_path: Path
) -> None:
    await told(web, "echo before > /root/disk; echo before > /dev/shm/memory")
    saved, now, _ = await save_with_disk(web, spec, settings, tmp_path / "saved")
    await told(web, "echo after > /root/disk; echo after > /dev/shm/memory; busybox sync")
    look = "busybox cat /root/disk /dev/shm/memory"
    forked = child(now, "fork", tmp_path / "fork")
    async with fork(load(saved.dir), forked, settings, tmp_path / "fork") as it:
        assert (await told(it, look)).split() == ["before", "before"]
        await told(it, "echo mine > /root/disk; echo mine > /dev/shm/memory; busybox sync")
    assert (await told(web, look)).split() == ["after", "after"]


async def test_no_write_of_a_guest_is_lost_however_it_writes_while_it_is_saved(
    pairs: Path, settings: Settings, tmp_path: Path
) -> None:
    """Also when that happens again and again, and in forks of forks."""
    spec = MachineSpec(name="busy", disks=(busybox_disk(tmp_path, {"pairs": pairs}),))
    async with guest(spec, settings, tmp_path) as it:
        await it.client.spawn(spawn_op(["/bin/pairs"]), stdout=False, stderr=False)
        await _two_more_rounds(it)
        for number in range(4):
            directory = tmp_path / f"fork{number}"
            saved, spec, _ = await save_with_disk(it, spec, settings, tmp_path / f"saved{number}")
            async with fork(saved, child(spec, "fork", directory), settings, directory) as forked:
                await _two_more_rounds(forked)
                again, _, _ = await save_with_disk(
                    forked, child(spec, "again", tmp_path / f"again{number}"), settings, directory / "saved"
                )
            grandchild = child(spec, "grandchild", tmp_path / f"grandchild{number}")
            async with fork(again, grandchild, settings, tmp_path / f"grandchild{number}") as last:
                await _two_more_rounds(last)
        await _two_more_rounds(it)


async def _two_more_rounds(it: Guest) -> None:
    """Let the pairs be written and compared from here on, and none be lost."""
    first = None
    async with asyncio.timeout(60):
        while True:
            lost, rounds = map(
                int, (await told(it, "until busybox grep . /dev/shm/pairs; do :; done 2>/dev/null")).split()
            )
            assert not lost, f"{lost} pages differ"
            first = rounds if first is None else first
            if rounds >= first + 2:
                return


async def test_forks_never_write_to_the_memory_that_they_start_from(
    web: Guest, spec: MachineSpec, settings: Settings, tmp_path: Path
) -> None:
    saved, now, _ = await save_with_disk(web, spec, settings, tmp_path / "saved")
    before = _digests(saved.dir)
    for number in range(3):
        directory = tmp_path / f"fork{number}"
        async with fork(saved, child(now, "fork", directory), settings, directory) as it:
            await told(it, "busybox dd if=/dev/urandom of=/dev/shm/much bs=1M count=20 2>/dev/null")
            for fd in Path(f"/proc/{it.machine.pid}/fdinfo").iterdir():
                if os.path.realpath(f"/proc/{it.machine.pid}/fd/{fd.name}") == str(saved.memory_path):
                    flags = dict(line.split(":\t") for line in fd.read_text().splitlines() if "\t" in line)
                    assert int(flags["flags"], 8) & os.O_ACCMODE == os.O_RDONLY
    assert _digests(saved.dir) == before


def _digests(directory: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}


async def test_what_a_guest_writes_while_its_disk_gets_a_new_top_is_all_there(
    web: Guest, spec: MachineSpec, settings: Settings, tmp_path: Path
) -> None:
    count = "i=0; while :; do i=$((i+1)); echo $i; done"
    writer = await web.client.spawn(spawn_op([BUSYBOX, "sh", "-c", f"{count} > /root/count"]))
    for number in range(5):
        _, spec, _ = await save_with_disk(web, spec, settings, tmp_path / f"saved{number}")
    await writer.signal(signal.SIGKILL)
    await writer.wait()
    check = (
        "n=$(busybox wc -l < /root/count); busybox seq $n > /dev/shm/all;"
        " busybox head -n $n /root/count | busybox cmp - /dev/shm/all && echo $n"
    )
    counted = int(await told(web, check))
    assert counted > 100
    await told(web, "busybox sync")
    forked = child(spec, "fork", tmp_path / "fork")
    assert len(forked.disks[0].layers) == 5


async def test_a_paused_machine_is_saved_as_it_is_and_stays_paused(
    web: Guest, spec: MachineSpec, settings: Settings, tmp_path: Path
) -> None:
    await told(web, "echo here > /dev/shm/memory")
    await web.machine.pause()
    tmp_path.joinpath("saved").mkdir()
    cost = await save(web.machine, spec, settings, tmp_path / "saved")
    assert cost.paused_s == 0
    assert not await runs(web.machine)
    await web.machine.resume()
    await works(web)


async def test_a_machine_that_is_to_stop_stands_still_when_it_is_saved(
    web: Guest, spec: MachineSpec, settings: Settings, tmp_path: Path
) -> None:
    saved, _ = await save_to(web, spec, settings, tmp_path / "saved", stop=True)
    assert not await runs(web.machine)
    await web.machine.stop()
    async with fork(saved, spec, settings, tmp_path / "fork") as it:
        await works(it)


# --- a save that fails -------------------------------------------------------------------------------------


async def _fails(it: Guest, spec: MachineSpec, settings: Settings, directory: Path) -> FirkinError:
    directory.mkdir(exist_ok=True)
    with pytest.raises(FirkinError) as caught:
        await save(it.machine, spec, settings, directory, silence=it.client.quiet)
    assert caught.value.hint
    return caught.value


async def test_a_save_without_room_says_so_and_the_machine_goes_on(
    web: Guest, spec: MachineSpec, settings: Settings, tmp_path: Path, small_disk: Path
) -> None:
    error = await _fails(web, spec, settings, small_disk / "saved")
    assert isinstance(error, StorageFull)
    assert str(small_disk) in str(error)
    await works(web)
    saved, now, _ = await save_with_disk(web, spec, settings, tmp_path / "elsewhere")
    async with fork(saved, child(now, "fork", tmp_path / "fork"), settings, tmp_path / "fork") as it:
        await works(it)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MiB."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


STATES = ["active", "pre-switchover", "completed"]


@pytest.mark.parametrize("state", STATES)
async def test_a_machine_goes_on_when_its_mirror_is_killed(
    web: Guest, spec: MachineSpec, settings: Settings, tmp_path: Path, state: str
) -> None:
    def kill() -> None:
        os.kill(next(_mirrors(web)), signal.SIGKILL)

    with _at(state, kill, again=True):  # a save that was outrun has a second mirror
        error = await _fails(web, spec, settings, tmp_path / "saved")
    assert isinstance(error, MachineError)
    assert "SIGKILL" in str(error)
    assert list(_mirrors(web)) == []
    await works(web)
    await save_with_disk(web, spec, settings, tmp_path / "again")
    await works(web)


@pytest.mark.parametrize("state", STATES)
async def test_a_save_ends_with_its_machine(
    web: Guest, spec: MachineSpec, settings: Settings, tmp_path: Path, state: str
) -> None:
    with _at(state, lambda: os.kill(web.machine.pid, signal.SIGKILL)):
        error = await _fails(web, spec, settings, tmp_path / "saved")
    assert isinstance(error, MachineDied)
    assert "web" in str(error)
    assert list(_mirrors(web)) == []


async def test_a_save_that_is_cancelled_at_any_moment_leaves_the_machine_running(
    web: Guest, spec: MachineSpec, settings: Settings, tmp_path: Path
) -> None:
    for number, state in enumerate(["launch", "setup", *STATES, "mirror"]):
        (directory := tmp_path / f"saved{number}").mkdir()
        begun = asyncio.get_running_loop().time()
        task = asyncio.create_task(
            save(web.machine, spec, settings, directory, silence=web.client.quiet, standing_still=_nothing)
        )
        with _at(state, task.cancel), pytest.raises(asyncio.CancelledError):
            await task
        assert await runs(web.machine), state
        await works(web)
        assert list(_mirrors(web)) == []
        assert asyncio.get_running_loop().time() - begun < 30
    await save_with_disk(web, spec, settings, tmp_path / "at-last")


async def _nothing() -> None:
    pass


async def test_what_the_caller_cannot_do_meanwhile_is_the_error_and_the_machine_goes_on(
    web: Guest, spec: MachineSpec, settings: Settings, tmp_path: Path
) -> None:
    class Refused(Exception): ...

    async def refuse() -> None:
        assert not await runs(web.machine)
        raise Refused

    with pytest.raises(Refused):
        await save_to(web, spec, settings, tmp_path / "saved", standing_still=refuse)
    assert await runs(web.machine)
    await works(web)


async def test_an_owner_that_died_during_a_save_leaves_a_machine_that_can_be_let_go_on(
    web: Guest, spec: MachineSpec, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(*_: object) -> None:
        pass

    class Killed(BaseException): ...

    async def kill() -> None:
        raise Killed

    monkeypatch.setattr("firkin.machine.save._recover", dies)
    with pytest.raises(Killed):
        await save_to(web, spec, settings, tmp_path / "saved", standing_still=kill)
    await recover(web.machine)
    assert await runs(web.machine)
    await works(web)
    await recover(web.machine)
    await works(web)


def _mirrors(it: Guest) -> Iterator[int]:
    """The pids of mirrors of this guest that live."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environ = (entry / "environ").read_bytes()
            except OSError:
                continue
            if f"FIRKIN_MACHINE={it.machine.run_dir}/mirror".encode() in environ:
                yield int(entry.name)


@contextmanager
def _at(state: str, act: object, *, again: bool = False) -> Iterator[None]:
    """`act()` once, or `again` and again, as soon as the migration of a machine stands at `state`; "launch"
    is the mirror's start, "mirror" when that writes its own state.
    """
    done = False

    def once() -> None:
        nonlocal done
        if again or not done:
            done = True
            act()  # type: ignore[operator]

    with pytest.MonkeyPatch.context() as patch:
        heard, launch, begin = Migration._next, mirrors.launch, Migration.send

        async def told_status(self: Migration) -> str:
            status = await heard(self)
            if status == state and not self._machine.name.endswith("-mirror"):
                once()
            return status

        def launched(*arguments: object) -> object:
            started = launch(*arguments)  # type: ignore[arg-type]
            if state == "launch":
                once()
            return started

        async def sent(self: Migration, *arguments: object, **more: object) -> None:
            if state == "mirror" and self._machine.name.endswith("-mirror"):
                once()
            await begin(self, *arguments, **more)  # type: ignore[arg-type]

        patch.setattr(Migration, "_next", told_status)
        patch.setattr(Migration, "send", sent)
        patch.setattr(mirrors, "launch", launched)
        yield
    assert done, f"it never stood at {state}"


# --- what is on disk ----------------------------------------------------------------------------------------


async def test_a_machine_that_was_saved_elsewhere_says_what_differs(
    web: Guest, spec: MachineSpec, settings: Settings, tmp_path: Path
) -> None:
    saved, now, _ = await save_with_disk(web, spec, settings, tmp_path / "saved")
    larger = msgspec.structs.replace(child(now, "fork", tmp_path / "fork"), memory_bytes=512 << 20)
    with pytest.raises(Misfit, match="memory was 268435456, and would be 536870912"):
        async with fork(saved, larger, settings, tmp_path / "fork"):
            pass


async def test_a_state_that_qemu_does_not_take_is_an_error_in_its_words(
    web: Guest, spec: MachineSpec, settings: Settings, tmp_path: Path
) -> None:
    saved, now, _ = await save_with_disk(web, spec, settings, tmp_path / "saved")
    state = bytearray(saved.state_path.read_bytes())
    state[len(state) // 2 :] = bytes(len(state) - len(state) // 2)
    os.chmod(saved.state_path, 0o600)
    saved.state_path.write_bytes(state)
    with pytest.raises(Corrupt, match=str(saved.state_path)):
        load(saved.dir)
    forked = child(now, "fork", tmp_path / "fork")
    with pytest.raises(FirkinError) as caught:
        async with fork(saved, forked, settings, tmp_path / "fork"):
            pass
    assert caught.value.hint
