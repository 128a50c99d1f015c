"""A verb's session: signals cancel the work, which cleans up; a bad name keeps no other from being served."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from firkin.cli.main import invoke
from firkin.container.record import create
from firkin.container.spec import ContainerSpec
from firkin.process.spec import ProcessSpec
from firkin.pytest.home import Home
from firkin.settings import Settings
from tests.unit.cli.test_command_line import environ

WORKER = """
import asyncio
from firkin.cli.main import main
from firkin.cli import ps
from firkin.cli.session import with_session

async def work(session):
    print("ready", flush=True)
    try:
        await asyncio.sleep(1000)
    finally:
        await asyncio.sleep(0.01)
        print("cleaned up", flush=True)

ps.command.callback = lambda **_: with_session(work)
import sys
sys.argv = ["firkin", "ps"]
main()
"""


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_a_verb_after_its_clean_up(number: signal.Signals, status: int) -> None:
    argv = [sys.executable, "-c", WORKER]
    with subprocess.Popen(argv, stdout=-1, stderr=-1, text=True, env=environ()) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(number)
        assert child.communicate(timeout=30) == ("cleaned up\n", "")
    assert child.returncode == status


@pytest.fixture
def settings(home: Home) -> Settings:
    return Settings.load(home.environ())


def made(settings: Settings, digit: str, name: str) -> str:
    """The id of a container that was made and never started."""
    spec = ContainerSpec(
        id=digit * 64, name=name, image="busybox", image_digest="sha256:" + "0" * 64, rootfs_key="k",
        process=ProcessSpec(args=("true",)), created_ns=1, hostname=name,
    )  # fmt: skip
    _, lock = create(settings.paths, spec)
    lock.close()
    return spec.id


def test_a_bad_name_keeps_no_other_from_being_served(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    made(settings, "a", "first")
    made(settings, "b", "second")
    assert invoke(["rm", "first", "nope", "second"]) == 125
    said = capsys.readouterr()
    assert said.out == "first\nsecond\n"
    assert said.err == "firkin: no such container: 'nope'\n  hint: `firkin ps -a` lists them\n"


def test_a_record_that_cannot_be_read_is_reported_and_can_be_removed(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = made(settings, "a", "broken")
    made(settings, "b", "whole")
    (settings.paths.container_dir(broken) / "spec.json").write_text("{")
    assert invoke(["ps", "-a", "--format", "{{.Names}}"]) == 125
    said = capsys.readouterr()
    assert said.out == "whole\n"
    assert "spec.json" in said.err
    assert "hint: `firkin rm -f aaaaaaaaaaaa` removes what is left of it" in said.err
    assert invoke(["rm", broken]) == 125
    assert invoke(["rm", "-f", broken]) == 0
    capsys.readouterr()
    assert invoke(["ps", "-aq"]) == 0
    assert capsys.readouterr().out == "bbbbbbbbbbbb\n"


def test_inspect_shows_what_it_finds_and_reports_what_it_does_not(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    made(settings, "a", "there")
    assert invoke(["inspect", "-f", "{{.Name}} {{.State.Status}}", "nope", "there"]) == 125
    said = capsys.readouterr()
    assert said.out == "there created\n"
    assert said.err.startswith("firkin: there is no container and no image 'nope'\n")
    assert invoke(["inspect", "--type", "image", "there"]) == 125
    assert invoke(["inspect", "-f", "{{.Nmae}}", "there"]) == 125
    assert "has no .Nmae; it has Id, Name" in capsys.readouterr().err
