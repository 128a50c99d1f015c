"""The journal: nothing that was written down is lost to a reader or a follower, whatever else goes on."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from firkin.container import journal
from firkin.container.journal import Happening, note, read
from firkin.engine.happenings import Wanted, happenings
from firkin.errors import UsageError
from firkin.events import Event, subscribed
from firkin.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(data=tmp_path / "data", run=tmp_path / "run")


def actions(paths: Paths) -> list[str]:
    return [each.action for each in read(paths)]


def test_what_a_crash_tore_hurts_no_other_line(paths: Paths) -> None:
    note(paths, "container", "start", "a", {"name": "web"})
    with paths.events_path.open("ab") as log:
        log.write(b'\n{"type": "contai')
    note(paths, "container", "die", "a", {"exitCode": "3"})
    assert actions(paths) == ["start", "die"]
    assert [each.attributes for each in read(paths)] == [{"name": "web"}, {"exitCode": "3"}]


def test_it_stays_bounded_and_keeps_the_last(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MAX_BYTES", 4096)
    for number in range(300):
        note(paths, "container", f"exec{number}", "a", {})
    kept = actions(paths)
    assert kept == [f"exec{number}" for number in range(300 - len(kept), 300)]
    assert len(kept) > 20
    assert sum(path.stat().st_size for path in paths.events_path.parent.iterdir()) < 3 * 4096


def test_what_cannot_be_written_down_keeps_nothing_from_happening(paths: Paths) -> None:
    paths.data.mkdir()
    (paths.data / "events").write_text("in the way")
    told: list[Event] = []
    with subscribed(told.append):
        note(paths, "container", "start", "a", {})
    assert [each.name for each in told] == ["journal.lost"]


async def test_a_follower_hears_everything_while_the_log_is_moved_aside(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "MAX_BYTES", 4096)
    following = happenings(paths, Wanted(), since_ns=0, until_ns=None)
    async with asyncio.timeout(60):
        for first in range(0, 300, 10):
            for number in range(first, first + 10):
                note(paths, "container", f"exec{number}", "a", {})
            heard = [(await anext(following)).action for _ in range(10)]
            assert heard == [f"exec{number}" for number in range(first, first + 10)]
    assert (paths.events_path.parent / "log.1").exists()


async def test_only_what_is_wanted_between_two_times_is_told(paths: Paths) -> None:
    note(paths, "container", "start", "0123", {"name": "web", "image": "busybox", "tier": "front"})
    note(paths, "container", "die", "4567", {"name": "db", "image": "postgres"})
    note(paths, "image", "pull", "busybox:latest", {"name": "busybox:latest"})
    everything = list(read(paths))

    async def told(*filters: str, until_ns: int | None = None) -> list[Happening]:
        until_ns = until_ns or everything[-1].time_ns + 1
        wanted = Wanted.parse(filters)
        return [each async for each in happenings(paths, wanted, since_ns=0, until_ns=until_ns)]

    start, die, pull = everything
    assert await told() == everything
    assert await told(until_ns=die.time_ns) == [start]
    assert await told("type=container") == [start, die]
    assert await told("event=die", "event=pull") == [die, pull]
    assert await told("container=web") == await told("container=01") == [start]
    assert await told("image=postgres") == [die]
    assert await told("image=busybox:latest") == [pull]
    assert await told("label=tier=front") == await told("label=tier") == [start]
    assert await told("label=tier=back") == []
    with pytest.raises(UsageError, match="filter"):
        Wanted.parse(["colour=red"])


def test_the_log_is_its_owners_alone(paths: Paths) -> None:
    note(paths, "image", "tag", "x", {})
    assert os.stat(paths.events_path).st_mode & 0o777 == 0o600
