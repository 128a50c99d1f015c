"""The caller's descriptors onto a process: files, pipes and terminals as input, readers that go away."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import termios
from contextlib import asynccontextmanager

import pytest

from firkin.agent import AgentClient
from firkin.errors import ProcessError
from firkin.process import stdio, terminal
from firkin.process.output import output
from firkin.process.spec import ExitStatus, TerminalSize
from firkin.testing.check_agent import command, shell
from firkin.testing.fake_agent import fake_machine
from firkin.wire.messages import Terminal


@asynccontextmanager
async def machine():
    async with fake_machine() as (_, sock), await AgentClient.open(sock, "m") as client:
        await client.start()
        yield client


@pytest.fixture
def pipe():
    fds = os.pipe()
    yield fds
    for fd in fds:
        try:
            os.close(fd)
        except OSError:
            pass


async def test_a_regular_file_streams_through_to_another(tmp_path):
    data = bytes(range(256)) * 20_000
    (tmp_path / "in").write_bytes(data)
    async with machine() as client:
        process = await client.spawn(command("cat"), stdin=True)
        with open(tmp_path / "in", "rb") as source, open(tmp_path / "out", "wb") as sink:
            outcome = await stdio.connect(process, stdin_fd=source.fileno(), stdout_fd=sink.fileno())
        assert outcome is stdio.Outcome.ENDED
        assert await process.wait() == ExitStatus(code=0)
    assert (tmp_path / "out").read_bytes() == data


async def test_dev_null_is_an_input_that_ends_at_once(tmp_path):
    async with machine() as client:
        process = await client.spawn(shell("cat; echo over"), stdin=True)
        with open("/dev/null", "rb") as source, open(tmp_path / "out", "wb") as sink:
            await stdio.connect(process, stdin_fd=source.fileno(), stdout_fd=sink.fileno())
    assert (tmp_path / "out").read_bytes() == b"over\n"


async def test_output_and_error_stay_apart_and_a_silent_input_holds_nothing_up(tmp_path, pipe):
    async with machine() as client:
        process = await client.spawn(shell("echo out; echo err >&2"), stdin=True)
        with open(tmp_path / "out", "wb") as out, open(tmp_path / "err", "wb") as err:
            outcome = await stdio.connect(
                process, stdin_fd=pipe[0], stdout_fd=out.fileno(), stderr_fd=err.fileno()
            )
    assert outcome is stdio.Outcome.ENDED
    assert (tmp_path / "out").read_bytes() == b"out\n"
    assert (tmp_path / "err").read_bytes() == b"err\n"


async def test_a_reader_that_goes_away_is_told():
    reading, writing = os.pipe()
    os.close(reading)
    async with machine() as client:
        process = await client.spawn(command("yes"))
        outcome = await stdio.connect(process, stdin_fd=None, stdout_fd=writing)
        assert outcome is stdio.Outcome.BROKEN
        await process.signal(signal.SIGKILL)
    os.close(writing)


async def test_a_reader_that_stops_reading_stalls_the_process_but_not_us(pipe):
    async with machine() as client:
        process = await client.spawn(command("yes"))
        copying = asyncio.create_task(stdio.connect(process, stdin_fd=None, stdout_fd=pipe[1]))
        other = await output(await client.spawn(shell("echo alive")))
        assert other.stdout == b"alive\n"
        copying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await copying


async def test_the_detach_keys_leave_the_process_running(tmp_path):
    ours, theirs = pty.openpty()
    async with machine() as client:
        process = await client.spawn(shell("cat", terminal=Terminal(rows=1, cols=1)), stdin=True)
        with open(tmp_path / "out", "wb") as out, terminal.raw(theirs):
            os.write(ours, b"leave")
            outcome = await stdio.connect(
                process,
                stdin_fd=theirs,
                stdout_fd=out.fileno(),
                typed=lambda data: (b"", True) if b"leave" in data else (data, False),
            )
        assert outcome is stdio.Outcome.DETACHED
        await process.signal(signal.SIGKILL)
        assert await process.wait() == ExitStatus(signal=signal.SIGKILL)
    os.close(ours)
    os.close(theirs)


async def test_what_a_process_leaves_behind_does_not_hold_its_caller(tmp_path, monkeypatch):
    monkeypatch.setattr(stdio, "_LINGER_S", 0.05)
    async with machine() as client:
        process = await client.spawn(shell("sleep 1000 & echo done"))
        with open(tmp_path / "out", "wb") as out:
            assert await stdio.connect(process, stdin_fd=None, stdout_fd=out.fileno()) is stdio.Outcome.ENDED
    assert (tmp_path / "out").read_bytes() == b"done\n"


async def test_the_terminal_is_as_it_was_after_raw_mode():
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    with terminal.raw(theirs):
        assert termios.tcgetattr(theirs) != before
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


async def test_a_changed_terminal_is_told_to_the_process():
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    told: asyncio.Queue[tuple[int, int]] = asyncio.Queue()

    async def resize(rows, cols):
        told.put_nowait((rows, cols))

    with terminal.resizes(theirs, resize):
        assert await told.get() == (24, 80)
        termios.tcsetwinsize(theirs, (50, 132))
        os.kill(os.getpid(), signal.SIGWINCH)
        assert await told.get() == (50, 132)
    assert terminal.size(theirs) == TerminalSize(50, 132)
    os.close(ours)
    os.close(theirs)


async def test_output_gives_up_on_a_process_that_says_too_much():
    async with machine() as client:
        process = await client.spawn(command("yes"))
        with pytest.raises(ProcessError, match="more than 100kB"):
            await output(process, limit_bytes=100_000)
        assert await process.wait() == ExitStatus(signal=signal.SIGPIPE)


async def test_output_keeps_every_byte_up_to_its_limit_and_drops_the_rest_only_when_told():
    async with machine() as client:
        said = shell("head -c 300000 /dev/zero; head -c 1000 /dev/zero >&2; exit 3")
        whole = await output(await client.spawn(said), limit_bytes=300_000)
        assert (len(whole.stdout), len(whole.stderr), whole.truncated) == (300_000, 1000, False)
        cut = await output(await client.spawn(said), limit_bytes=999, truncate=True)
        assert (len(cut.stdout), len(cut.stderr), cut.truncated) == (999, 999, True)
        assert cut.status == ExitStatus(code=3)
        with pytest.raises(ProcessError, match=r"999 bytes\) to its standard"):
            await output(await client.spawn(said), limit_bytes=999)


async def test_output_does_not_deadlock_when_the_process_ignores_its_input():
    async with machine() as client:
        done = await output(await client.spawn(shell("exec <&-; echo deaf"), stdin=True), bytes(1 << 20))
        assert done.stdout == b"deaf\n"


async def test_pieces_of_any_size_are_kept_in_their_order():
    script = "for i in 1 2 3; do printf $i; head -c 100000 /dev/zero; printf $i >&2; done"
    async with machine() as client:
        done = await output(await client.spawn(shell(script)))
        cut = await output(await client.spawn(shell(script)), limit_bytes=100_001, truncate=True)
    assert done.stdout == b"".join(number + bytes(100_000) for number in (b"1", b"2", b"3"))
    assert (cut.stdout, cut.stderr, cut.truncated) == (b"1" + bytes(100_000), b"123", True)
