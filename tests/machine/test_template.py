"""Templates in real machines: made once, made whole or not at all, never in the way of a start."""

from __future__ import annotations

import asyncio
import hashlib
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from firkin.errors import BootFailed
from firkin.events import Event, subscribed
from firkin.machine import begin as begin_module
from firkin.machine import template
from firkin.machine.saved import MEMORY, SAVED, STATE
from firkin.machine.spec import MachineSpec
from firkin.pytest.home import Home
from firkin.settings import Settings
from tests.support.machines import busybox_disk, guest

pytestmark = pytest.mark.machine

WHOLE = {MEMORY, STATE, SAVED}


@pytest.fixture
def templates(home: Home) -> Path:
    """This test's own templates: none."""
    path = home.data_dir / "templates"
    path.unlink()
    return path


@pytest.fixture
def spec(tmp_path: Path) -> MachineSpec:
    return MachineSpec(name="web", disks=(busybox_disk(tmp_path),), network="none", memory_bytes=128 << 20)


@asynccontextmanager
async def events_of(spec: MachineSpec, settings: Settings, directory: Path) -> AsyncIterator[list[Event]]:
    """What is told while a machine of `spec` starts and works."""
    seen: list[Event] = []
    with subscribed(seen.append):
        async with guest(spec, settings, directory) as it:
            assert await it.sh("echo works > /root/works; busybox cat /root/works") == (0, "works")
            yield seen


def told(seen: list[Event], name: str) -> list[Event]:
    return [event for event in seen if event.name == name and event.phase != "begin"]


def only(templates: Path) -> Path:
    (path,) = templates.iterdir()
    assert {each.name for each in path.iterdir()} == WHOLE
    return path


async def test_the_first_start_makes_the_template_and_the_second_finds_it(
    templates: Path, spec: MachineSpec, settings: Settings, tmp_path: Path, home: Home
) -> None:
    async with events_of(spec, settings, tmp_path) as seen:
        made = only(templates)
    assert len(told(seen, "template.make")) == 1
    assert len(told(seen, "machine.restore")) == 1
    digest = hashlib.sha256((made / MEMORY).read_bytes()).digest()
    async with events_of(spec, settings, tmp_path) as seen:
        assert only(templates) == made
    assert not told(seen, "template.make")
    assert hashlib.sha256((made / MEMORY).read_bytes()).digest() == digest
    assert not list(home.run_dir.iterdir())


async def test_a_template_that_was_damaged_is_made_again(
    templates: Path, spec: MachineSpec, settings: Settings, tmp_path: Path
) -> None:
    async with events_of(spec, settings, tmp_path):
        made = only(templates)
    (made / STATE).unlink()
    (made / STATE).write_bytes(b"not what it was")
    async with events_of(spec, settings, tmp_path) as seen:
        assert only(templates) == made
    assert [len(told(seen, name)) for name in ("template.corrupt", "template.make", "machine.cold")] == [
        1,
        1,
        0,
    ]


async def test_a_template_whose_forks_do_not_come_up_is_removed_and_made_again(
    templates: Path, spec: MachineSpec, settings: Settings, tmp_path: Path
) -> None:
    async with events_of(spec, settings, tmp_path):
        made = only(templates)
    (made / MEMORY).chmod(0o600)
    with open(made / MEMORY, "r+b") as memory:
        memory.truncate(0)
        memory.truncate(spec.memory_bytes)
    brief = msgspec.structs.replace(spec, boot_timeout_s=5)
    with pytest.raises(BootFailed, match="web") as failed:
        async with events_of(brief, settings, tmp_path):
            pass
    assert "try again" in failed.value.hint
    assert not list(templates.glob("[!.]*"))
    async with events_of(spec, settings, tmp_path) as seen:
        assert only(templates) == made
    assert len(told(seen, "template.make")) == 1


async def test_a_template_that_is_removed_under_a_start_is_made_again(
    templates: Path, spec: MachineSpec, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with events_of(spec, settings, tmp_path):
        made = only(templates)
    launch = begin_module.launch

    def launched(*arguments: object) -> object:
        monkeypatch.setattr(begin_module, "launch", launch)
        template.remove(made)
        return launch(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(begin_module, "launch", launched)
    async with events_of(spec, settings, tmp_path) as seen:
        assert only(templates) == made
    assert len(told(seen, "template.make")) == 1


_STARTER = """
import asyncio, sys
from pathlib import Path
from firkin.events import subscribed
from firkin.machine.spec import Disk, MachineSpec
from firkin.machine.start import boot
from firkin.settings import Settings

def say(event):
    if event.name.startswith("template") or event.name in ("machine.cold", "machine.command"):
        print(event.name, event.phase, *event.fields.values(), flush=True)

async def main():
    directory = Path(sys.argv[1])
    disk = Disk(path=Path(sys.argv[2]), format="raw", readonly=True)
    spec = MachineSpec(name="web", disks=(disk,), network="none", memory_bytes=128 << 20)
    async with boot(spec, settings=Settings.load(), dir=directory, run_dir=directory / "run") as it:
        (await it.booted(it.first_answer())).close()
        print("answered", flush=True)

with subscribed(say):
    asyncio.run(main())
"""


def starter(home: Home, tmp_path: Path, name: str) -> subprocess.Popen[str]:
    """A process that starts a machine, and says what it does about templates."""
    (tmp_path / name).mkdir()
    disk = tmp_path / "disk.raw"
    disk.write_bytes(bytes(1 << 20))
    argv = [sys.executable, "-c", _STARTER, str(tmp_path / name), str(disk)]
    return subprocess.Popen(argv, env=home.environ(), stdout=subprocess.PIPE, text=True)


def test_of_many_who_want_the_same_template_one_makes_it(templates: Path, home: Home, tmp_path: Path) -> None:
    starters = [starter(home, tmp_path, name) for name in ("one", "two", "three")]
    said = [process.communicate(timeout=120)[0] for process in starters]
    assert [process.returncode for process in starters] == [0, 0, 0]
    assert all("answered" in each for each in said)
    assert sum(each.count("template.make end") for each in said) == 1
    assert not any("machine.cold" in each for each in said)
    only(templates)


def test_a_maker_that_is_killed_leaves_what_the_next_one_tidies(
    templates: Path, home: Home, tmp_path: Path
) -> None:
    with starter(home, tmp_path, "killed") as killed:
        assert killed.stdout is not None
        until(killed.stdout, "machine.command")  # the template's VMM is about to start
        killed.kill()
    (left,) = templates.iterdir()
    assert left.name.endswith(".new")
    with starter(home, tmp_path, "next") as following:
        said = following.communicate(timeout=120)[0]
    assert "answered" in said
    assert "template.make end" in said
    only(templates)
    assert not list(home.run_dir.iterdir())


def test_whoever_waits_for_a_maker_that_is_killed_makes_the_template(
    templates: Path, home: Home, tmp_path: Path
) -> None:
    with starter(home, tmp_path, "killed") as killed:
        assert killed.stdout is not None
        until(killed.stdout, "machine.command")
        killed.send_signal(signal.SIGSTOP)
        with starter(home, tmp_path, "waiting") as waiting:
            assert waiting.stdout is not None
            assert not select.select([waiting.stdout], [], [], 1)[0]
            killed.kill()
            assert "template.make end" in waiting.communicate(timeout=120)[0]
    only(templates)


def until(lines: Iterator[str], word: str) -> None:
    assert any(line.startswith(word) for line in lines)


def _canceller(tasks: list[asyncio.Task[None]], name: str) -> Callable[[Event], object]:
    return lambda event: event.name == name and tasks[0].cancel()


async def test_a_start_that_is_cancelled_while_it_makes_a_template_leaves_nothing(
    templates: Path, spec: MachineSpec, settings: Settings, tmp_path: Path, home: Home
) -> None:
    async def start() -> None:
        async with events_of(spec, settings, tmp_path):
            pass

    for name in ("template.make", "machine.confined", "machine.boot"):
        tasks: list[asyncio.Task[None]] = []
        with subscribed(_canceller(tasks, name)):
            tasks.append(asyncio.create_task(start()))
            with pytest.raises(asyncio.CancelledError):
                await tasks[0]
        assert not list(templates.iterdir())
        assert not list(home.run_dir.glob("t*"))
    async with events_of(spec, settings, tmp_path):
        only(templates)


@pytest.fixture
def mounted(templates: Path) -> Iterator[Callable[[str], None]]:
    """Gives the templates a disk of their own, of a size."""
    templates.mkdir()
    yield lambda size: _run("mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(templates))
    _run("umount", str(templates))


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True)


@pytest.mark.root
@pytest.mark.parametrize(("size", "boots"), [("16m", 1), ("160m", 2)], ids=["before", "meanwhile"])
async def test_a_full_disk_makes_no_template_but_a_machine_that_boots(
    templates: Path,
    mounted: Callable[[str], None],
    spec: MachineSpec,
    settings: Settings,
    tmp_path: Path,
    size: str,
    boots: int,
) -> None:
    mounted(size)

    def fill(event: Event) -> None:
        if event.name == "machine.command" and boots == 2 and not (templates / "full").exists():
            (templates / "full").write_bytes(bytes(150 << 20))

    with subscribed(fill):
        async with events_of(spec, settings, tmp_path) as seen:
            assert not [path for path in templates.iterdir() if path.name != "full"]
    (cold,) = told(seen, "machine.cold")
    assert "no space left" in str(cold.fields["reason"])
    assert len(told(seen, "machine.boot")) == boots


async def test_no_templates_are_made_where_they_are_turned_off(
    templates: Path, spec: MachineSpec, settings: Settings, tmp_path: Path
) -> None:
    off = msgspec.structs.replace(settings, templates=0)
    async with events_of(spec, off, tmp_path) as seen:
        assert not templates.exists()
    (cold,) = told(seen, "machine.cold")
    assert "turned off" in str(cold.fields["reason"])
