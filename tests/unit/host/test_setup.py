"""`firkin setup` on a host with a fault: what it writes mends it, and can be taken back."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from firkin.cli.main import invoke
from firkin.host.asker import Asker
from firkin.host.remedies import File, plan
from firkin.host.written import Written
from firkin.settings import Settings
from tests.support.faulty_host import UID, World
from tests.support.home import Home, fresh_home
from tests.unit.host import test_provoked

Said = Callable[..., str]


@pytest.fixture
def world() -> Iterator[World]:
    test_provoked.baseline(UID)
    with fresh_home((UID, UID)) as home:
        yield World(home, UID)


def setup(world: World, *words: str) -> str:
    """What `firkin setup WORDS --no-run` prints. In the child."""
    os.environ.clear()
    os.environ.update(world.env)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        invoke(["setup", "--no-run", *words])
    return said.getvalue()


def config(world: World) -> Path:
    return world.home.root / "config"


def files_of(world: World) -> list[str]:
    return sorted(str(path) for path in world.home.root.rglob("*") if "/shown/" not in str(path))


@pytest.mark.root
@pytest.mark.parametrize(
    ("fault_id", "fault"),
    [
        ("policy-missing", test_provoked.no_policy),
        ("registries-missing", test_provoked.no_registries),
        ("storage-vfs", test_provoked.no_storage_conf),
    ],
)
def test_what_is_written_makes_the_finding_disappear_and_undo_brings_it_back(
    fault_id: str, fault: Callable[[World], None], world: World
) -> None:
    def question() -> dict[str, Any]:
        before, files = world.look(), files_of(world)
        said = setup(world)
        mended = world.look()
        again = setup(world)
        setup(world, "--undo")
        return {
            "before": fault_id in before,
            "mended": set(before) - set(mended) == {fault_id} and set(mended) <= set(before),
            "said": f": {fault_id}\n" in said,
            "again": "wrote" in again,
            "undone": sorted(world.look()) == sorted(before) and files_of(world) == files,
        }

    assert world.tells(fault, question) == {
        "before": True,
        "mended": True,
        "said": True,
        "again": False,
        "undone": True,
    }


@pytest.mark.root
def test_a_dry_run_writes_nothing(world: World) -> None:
    def question() -> list[Any]:
        before = files_of(world)
        said = setup(world, "--dry-run")
        return [said.count("would write"), files_of(world) == before]

    assert world.tells(test_provoked.no_policy, question) == [2, True]


@pytest.mark.root
def test_a_file_that_a_person_wrote_stays_and_its_difference_is_shown(world: World) -> None:
    conf = config(world) / "containers/storage.conf"
    theirs = '[storage]\ndriver = "vfs"\n'

    def fault(world: World) -> None:
        world.write(conf, theirs)

    def question() -> list[Any]:
        said = setup(world)
        return ['-driver = "vfs"\n+driver = "overlay"' in said, conf.read_text() == theirs]

    assert world.tells(fault, question) == [True, True]


@pytest.mark.root
def test_a_file_that_was_changed_since_survives_undo(world: World) -> None:
    policy = world.home.root / "home/.config/containers/policy.json"

    def question() -> list[Any]:
        setup(world)
        policy.write_text('{"default": [{"type": "reject"}]}')
        said = setup(world, "--undo")
        return [f"kept {policy}: it was changed since" in said, policy.exists()]

    assert world.tells(test_provoked.no_policy, question) == [True, True]


@pytest.mark.root
def test_a_registries_conf_that_says_something_is_not_hidden(world: World) -> None:
    def fault(world: World) -> None:
        world.write("/etc/containers/registries.conf", '[[registry]]\nlocation = "mirror.test"\n')

    def question() -> list[Any]:
        said = setup(world)
        return ["for you to decide: registries-missing" in said, (config(world) / "containers").exists()]

    assert world.tells(fault, question) == [True, False]


@pytest.mark.root
def test_commands_for_root_are_shown_in_one_block_or_run(world: World) -> None:
    def fault(world: World) -> None:
        test_provoked.subordinate_ids_of_others_only(world)
        world.program("sudo")
        (world.binaries / "sudo").write_text(f'#!/bin/sh\necho "$@" >> {world.home.work_dir}/asked\n')

    def question() -> list[Any]:
        shown = setup(world)
        asked = world.home.work_dir / "asked"
        unasked = not asked.exists()
        setup(world, "--sudo")
        return ["    sudo usermod --add-subuids" in shown, unasked, asked.read_text().split()[:2]]

    assert world.tells(fault, question) == [True, True, ["usermod", "--add-subuids"]]


def test_a_file_of_ours_is_brought_up_to_date(home: Home, settings: Settings) -> None:
    written = Written(home.root / "setup.json")
    old = File(path=str(home.work_dir / "a/b"), text="old\n", purpose="x")
    new = File(path=old.path, text="new\n", purpose="x")
    assert written.write([old]) == [old]
    assert written.untouched() == {old.path}
    assert written.write([new]) == [new]
    assert Path(old.path).read_text() == "new\n"
    assert written.undo() == ([old.path], [])
    assert list(home.work_dir.iterdir()) == []


def test_a_file_that_appears_meanwhile_is_not_written_over(home: Home) -> None:
    written = Written(home.root / "setup.json")
    file = File(path=str(home.work_dir / "conf"), text="ours\n", purpose="x")
    Path(file.path).write_text("theirs\n")
    assert written.write([file]) == []
    assert written.undo() == ([], [file.path])
    assert Path(file.path).read_text() == "theirs\n"


def test_where_systemd_runs_a_service_of_the_users_is_planned(home: Home, settings: Settings) -> None:
    asker = Asker(settings=settings, environ=home.environ())
    planned = plan(asker, [], systemd=True)
    assert "sudo loginctl enable-linger user" in planned.commands
    written = Written(home.root / "setup.json")
    written.write(planned.files)
    service = home.root / "config/systemd/user/firkin.service"
    wants = service.parent / "default.target.wants/firkin.service"
    assert wants.resolve() == service
    assert f"-m firkin.supervisor {settings.data_dir} {settings.run_dir}\n" in service.read_text()
    if judge := shutil.which("systemd-analyze"):
        verified = subprocess.run([judge, "verify", "--man=no", service], capture_output=True, text=True)
        assert str(service.name) not in verified.stderr, verified.stderr
    written.undo()
    assert list((home.root / "config").iterdir()) == []


def test_a_shell_is_told_what_may_follow(home: Home) -> None:
    from tests.support.command import FIRKIN

    environ = home.environ() | {"PATH": f"{Path(FIRKIN[0]).parent}:{os.environ['PATH']}"}
    script = (
        'eval "$(_FIRKIN_COMPLETE=bash_source firkin)"; COMP_WORDS=(firkin docto); COMP_CWORD=1; '
        '_firkin_completion firkin; echo "${COMPREPLY[@]}"'
    )
    ended = subprocess.run(["bash", "-c", script], env=environ, capture_output=True, text=True)
    assert ended.stdout == "doctor\n", ended
