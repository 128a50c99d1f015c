"""firkin.run() and the asynchronous API: what they give, what they raise, and that nothing stays behind."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

import firkin
from firkin import Engine, Settings
from firkin.pytest import leaks
from firkin.pytest.command import Command
from firkin.pytest.home import Home

pytestmark = pytest.mark.machine


@pytest.fixture(autouse=True)
def clean(home: Home, busybox: Command) -> Iterator[None]:
    """The image is there before; nothing but it is there afterwards."""
    with Engine() as engine:
        yield
        assert engine.containers(all=True) == []
    assert list((home.run_dir / "c").glob("*")) == []
    assert list(leaks.processes_of(str(home.root))) == []


def test_run_is_to_containers_what_subprocess_run_is_to_programs() -> None:
    output = firkin.run(
        "busybox", ["sh", "-c", "cat; echo $A >&2; exit 5"], input="in", env={"A": "err"}, text=True
    )
    assert (output.stdout, output.stderr, output.status.code) == ("in", "err\n", 5)


def test_run_raises_what_check_asks_for_and_brings_the_output() -> None:
    with pytest.raises(firkin.CommandFailed, match="exit status 9: last line") as failed:
        firkin.run("busybox", ["sh", "-c", "echo first >&2; echo last line >&2; exit 9"], check=True)
    assert failed.value.output.stderr == b"first\nlast line\n"


def test_run_ends_what_takes_too_long() -> None:
    with pytest.raises(firkin.Timeout, match=r"took longer than 0.5 s"):
        firkin.run("busybox", ["sleep", "1000"], timeout=0.5)


def test_run_without_input_reads_its_end() -> None:
    assert firkin.run("busybox", ["cat"]).stdout == b""


async def test_the_asynchronous_words_are_the_same() -> None:
    async with firkin.AsyncEngine() as engine:
        async with engine.run("busybox", ["sleep", "1000"], hostname="boat") as box:
            assert (await box.exec(["hostname"]).output(text=True)).stdout == "boat\n"
            async with box.exec(["cat"], stdin=True) as cat:
                assert cat.stdin is not None
                await cat.stdin.write(b"one\ntwo\n")
                cat.stdin.close()
                assert [line async for line in cat.stdout] == [b"one\n", b"two\n"]
                assert (await cat.wait()).ok
            with pytest.raises(firkin.Timeout, match="wait for container"):
                await box.wait(timeout=0.1)
        assert await engine.containers(all=True) == []
        kept = await engine.run("busybox", ["echo", "kept"], auto_remove=False)
        assert (await kept.output(text=True)).stdout == "kept\n"
        again = await engine.container(kept.name)
        assert [record.data async for record in again.logs()] == [b"kept\n"]
        assert again.inspect()["State"]["ExitCode"] == 0
        await again.remove()


def test_a_taken_port_is_an_error_that_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(firkin.PortInUse, match=str(port)):
            firkin.run("busybox", ["true"], publish=[f"127.0.0.1:{port}:80"])


def test_a_host_without_qemu_is_told_what_to_install(home: Home) -> None:
    settings = Settings.load(home.environ(), qemu="no-such-qemu")
    with pytest.raises(firkin.HostUnsupported, match="no-such-qemu") as refused:
        firkin.run("busybox", ["true"], settings=settings)
    assert "install" in refused.value.hint


def test_a_machine_that_does_not_come_up_in_time_is_one_clear_error(home: Home) -> None:
    settings = Settings.load(home.environ(), boot_timeout_s=0.05)
    with pytest.raises(firkin.BootFailed, match=r"did not reach its agent within 0.05 s"):
        firkin.run("busybox", ["true"], settings=settings)


def test_an_image_that_is_not_here_and_may_not_be_pulled_is_an_error() -> None:
    with pytest.raises(firkin.ImageNotFound, match="no-such-image"):
        firkin.run("no-such-image", ["true"], pull="never")


def test_an_engine_that_is_closed_says_so() -> None:
    engine = Engine()
    engine.close()
    engine.close()
    with pytest.raises(RuntimeError, match="closed"):
        engine.run("busybox", ["true"])
