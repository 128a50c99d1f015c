"""Streams that are tied to descriptors of ours: every byte is copied, and then the writer is closed."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager

import pytest

from firkin.agent import AgentClient
from firkin.errors import ProcessError
from firkin.process import relay
from firkin.process.relay import Relays
from firkin.testing.check_agent import command, shell
from firkin.testing.fake_agent import fake_machine


@asynccontextmanager
async def started(spawn, **connected):
    async with fake_machine() as (_, sock), await AgentClient.open(sock, "m") as client:
        await client.start()
        yield await client.spawn(spawn, **connected)


def writing(path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT)


async def test_every_byte_reaches_the_file_before_its_end_is_told(tmp_path):
    async with started(shell("head -c 3000000 /dev/zero; echo err >&2")) as process:
        relays = Relays({"stdout": writing(tmp_path / "out"), "stderr": writing(tmp_path / "err")}, "it")
        rest = relays.begin(process)
        assert (await rest.wait()).ok
        await relays.settled()
    assert (tmp_path / "out").read_bytes() == bytes(3_000_000)
    assert (tmp_path / "err").read_bytes() == b"err\n"
    assert (await rest.stdout.read(), await rest.stderr.read()) == (b"", b"")


async def test_the_writer_of_a_pipe_is_closed_at_the_end():
    reading, written = os.pipe()
    async with started(command("echo", "all of it")) as process:
        Relays({"stdout": written}, "it").begin(process)
        with open(reading, "rb") as pipe:
            assert await asyncio.to_thread(pipe.read) == b"all of it\n"


async def test_an_output_that_nobody_takes_holds_up_no_other(tmp_path):
    reading, written = os.pipe()
    flood = "head -c 1000000 /dev/zero & echo apart >&2; wait"
    async with started(shell(flood), stdin=True) as process:
        relays = Relays({"stdout": written}, "it")
        rest = relays.begin(process)
        assert await rest.stderr.read() == b"apart\n"
        with open(reading, "rb") as pipe:
            assert len(await asyncio.to_thread(pipe.read)) == 1_000_000
        await relays.settled()
        assert relays.over


async def test_a_reader_that_goes_away_closes_the_output_to_the_process():
    reading, written = os.pipe()
    os.close(reading)
    async with started(shell("trap 'exit 7' PIPE; while echo more; do :; done")) as process:
        relays = Relays({"stdout": written}, "it")
        assert (await relays.begin(process).wait()).code == 7
        await relays.settled()


async def test_a_file_that_takes_no_more_is_an_error_that_names_it():
    async with started(command("echo", "too much")) as process:
        relays = Relays({"stdout": os.open("/dev/full", os.O_WRONLY)}, "'echo'")
        await relays.begin(process).wait()
        with pytest.raises(
            ProcessError, match="'echo': its standard output cannot be written: No space left"
        ):
            await relays.settled()


async def test_input_is_read_to_its_end_and_no_further_than_the_process_lives(tmp_path):
    (tmp_path / "in").write_bytes(b"x" * 500_000)
    async with started(command("wc", "-c"), stdin=True) as process:
        relays = Relays({"stdin": os.open(tmp_path / "in", os.O_RDONLY)}, "it")
        rest = relays.begin(process)
        assert rest.stdin is None
        assert (await rest.stdout.read()).strip() == b"500000"
    reading, written = os.pipe()
    async with started(command("true"), stdin=True) as process:
        relays = Relays({"stdin": reading}, "it")
        await relays.begin(process).wait()
        await relays.settled()
        assert relays.over
        with pytest.raises(BrokenPipeError):
            os.write(written, b"nobody reads")
    os.close(written)


async def test_what_a_process_left_behind_is_copied_on_and_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(relay, "LINGER_S", 0.05)
    reading, written = os.pipe()
    script = "exec 3<&0; (read line <&3; echo late) & echo early"
    async with started(shell(script), stdin=True) as process:
        relays = Relays({"stdout": written}, "it")
        await relays.begin(process).wait()
        await relays.settled()
        assert not relays.over
        await process.stdin.write(b"\n")
        with open(reading, "rb") as pipe:
            assert await asyncio.to_thread(pipe.read) == b"early\nlate\n"


async def test_an_end_leaves_no_descriptor_and_no_task(tmp_path):
    reading, written = os.pipe()
    async with started(shell("echo on >&2; sleep 1000"), stdin=True) as process:
        unused = Relays({"stdout": os.dup(written)}, "never begun")
        await unused.end()
        relays = Relays({"stdin": os.dup(reading), "stdout": os.dup(written)}, "it")
        rest = relays.begin(process)
        assert await rest.stderr.read() == b"on\n"
        await rest.signal(9)
        await rest.wait()
        await relays.end()
        assert relays.over
        assert unused.over
    os.close(reading)
    with pytest.raises(BrokenPipeError):
        os.write(written, b"nobody else has the other end")
    os.close(written)
