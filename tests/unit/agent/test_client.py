"""The client against a fake agent: what its user sees when all is well, and when a peer cheats or dies."""

from __future__ import annotations

import asyncio
import os
import select
import socket
from contextlib import AsyncExitStack

import pytest

import firkin.agent.client as client_module
from firkin.agent import AgentClient
from firkin.errors import AgentError, CommandNotFound, MachineDied, OutcomeUnknown, WrongState
from firkin.process.output import output
from firkin.process.spec import ExitStatus
from firkin.testing.check_agent import command, container, expect, shell
from firkin.testing.fake_agent import FakeAgent, fake_machine
from firkin.wire import messages as wire
from firkin.wire.frames import Break, Control, Credit, Data, Eof, FrameParser, Sync, encode


async def test_a_start_sends_its_batch_without_waiting_for_the_agent():
    ours, theirs = socket.socketpair()
    async with await AgentClient.open(ours, "m") as client:
        process = client.register(shell("echo hi"))
        starting = asyncio.create_task(client.start([wire.Clock(sec=1, nsec=2), process.op]))
        await asyncio.sleep(0)
        frames = list(FrameParser().feed(theirs.recv(1 << 20)))
        assert [type(frame) for frame in frames] == [Sync, Control]
        starting.cancel()
        theirs.close()


async def test_a_started_process_of_the_boot_batch_is_ready_to_use():
    async with fake_machine() as (agent, sock), await AgentClient.open(sock, "m") as client:
        process = client.register(command("cat"), stdin=True)
        hello = await client.start([wire.Clock(sec=1, nsec=2), process.op])
        assert (hello.agent, hello.v) == ("fake", 1)
        assert process.pid > 0
        assert (await output(process, b"text")).stdout == b"text"
        assert [op.op for op in agent.heard] == ["clock", "spawn"]


async def test_every_reseeding_gives_the_agent_a_new_session_key():
    async with fake_machine() as (_, sock), await AgentClient.open(sock, "m") as client:
        assert client.session_key == b""
        hello = await client.start()
        keys = [client.session_key]
        assert keys == [hello.boot]
        await client.batch([wire.Clock(sec=1, nsec=2), wire.Entropy(seed=bytes(32))])
        keys.append(client.session_key)
        answer = await client.request(wire.Entropy(seed=bytes(32)))
        keys.append(client.session_key)
        assert keys[2] == answer["boot"]
        assert len(set(keys)) == 3
        assert {len(key) for key in keys} == {16}


async def test_an_agent_whose_session_key_is_none_is_refused():
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    loop = asyncio.get_running_loop()
    async with await AgentClient.open(ours, "m") as client:
        starting = asyncio.create_task(client.start())
        sync = await loop.sock_recv(theirs, 1 << 16)
        await loop.sock_sendall(theirs, sync + encode(control(**HELLO | {"boot": b"short"})))
        with pytest.raises(MachineDied):
            await starting


async def test_a_quiet_client_sends_nothing_and_keeps_it_for_later():
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    loop, parser = asyncio.get_running_loop(), FrameParser()
    async with await AgentClient.open(ours, "m") as client, AsyncExitStack() as quiet:
        starting = asyncio.create_task(client.start())
        process = client.register(command("cat"), stdin=True)
        sync = await loop.sock_recv(theirs, 1 << 16)
        await loop.sock_sendall(theirs, sync + encode(control(**HELLO)))
        await starting
        entering = asyncio.create_task(quiet.enter_async_context(client.quiet([wire.Freeze(container="c")])))
        (batch,) = parser.feed(await loop.sock_recv(theirs, 1 << 16))
        assert b"freeze" in batch.payload
        answer = control(re=1, ok={"results": [{}]})
        await loop.sock_sendall(theirs, encode(answer) + encode(Data(process.stdout.stream, 0, bytes(65536))))
        await entering

        asking = asyncio.create_task(client.request(wire.Sync()))
        writing = asyncio.create_task(process.stdin.write(b"typed"))
        assert len(await process.stdout.read()) == 65536
        await asyncio.sleep(0)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
        assert not writing.done()

        await quiet.aclose()
        await writing
        frames = []
        while len(frames) < 3:
            frames += parser.feed(await loop.sock_recv(theirs, 1 << 16))
        assert {type(frame) for frame in frames} == {Control, Credit, Data}
        theirs.close()
        with pytest.raises(OutcomeUnknown):
            await asking


async def test_a_refused_quiet_is_over():
    async with fake_machine() as (_, sock), await AgentClient.open(sock, "m") as client:
        await client.start()
        with pytest.raises(AgentError, match="No such"):
            async with client.quiet([wire.Freeze(container="c")]):
                raise AssertionError("the block was entered")
        assert await client.request(wire.Sync()) == {}


@pytest.mark.parametrize(("whole", "padding"), [(True, 0), (False, (1 << 20) + 16)])
async def test_who_knows_that_the_stream_is_whole_pads_nothing(whole, padding):
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    loop, received = asyncio.get_running_loop(), b""
    async with await AgentClient.open(ours, "m") as client:
        starting = asyncio.create_task(client.start(resume=True, whole=whole))
        while len(received) < padding + 29:
            received += await loop.sock_recv(theirs, 1 << 20)
        assert received[:padding] == bytes(padding)
        assert [type(frame) for frame in FrameParser().feed(received[padding:])] == [Sync]
        starting.cancel()
        theirs.close()


async def test_a_new_host_finds_nothing_frozen():
    async with fake_machine() as (agent, sock):
        async with await AgentClient.open(sock, "m") as first:
            await first.start([container("c")])
            await first.request(wire.Freeze(container="c"))
            with pytest.raises(AgentError, match="busy"):
                await first.request(wire.Freeze(container="c"))
        ours, theirs = socket.socketpair()
        await agent.attach(theirs)
        async with await AgentClient.open(ours, "m") as second:
            await second.start(resume=True)
            with pytest.raises(AgentError, match="Invalid"):
                await second.request(wire.Thaw(container="c"))


async def test_a_refused_boot_batch_says_why():
    async with fake_machine() as (_, sock), await AgentClient.open(sock, "m") as client:
        process = client.register(command("no-such-thing"))
        with pytest.raises(CommandNotFound, match="no-such-thing"):
            await client.start([process.op])


async def test_a_client_that_comes_back_gets_every_byte_from_where_it_says():
    async with fake_machine() as (agent, sock):
        first = await AgentClient.open(sock, "m")
        await first.start()
        process = await first.spawn(shell("for i in 1 2 3 4 5; do echo $i; done; cat"), stdin=True)
        await expect(process, b"5\n")
        await process.stdin.write(b"one ")
        await expect(process, b"one ")
        offset = process.stdout.offset
        await first.close()

        ours, theirs = socket.socketpair()
        await agent.attach(theirs)
        async with await AgentClient.open(ours, "m") as second:
            hello = await second.start(resume=True)
            (state,) = hello.procs
            found = second.processes[state.proc]
            assert found.pid == process.pid
            found.resume(stdout_offset=offset, stderr_offset=0)
            await found.stdin.write(b"two")
            found.stdin.close()
            done = await output(found)
            assert (done.stdout, done.ok) == (b"two", True)


async def test_what_an_earlier_client_was_sent_is_nobodys_offence():
    """It may be in the socket before the new client has said a word."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    loop = asyncio.get_running_loop()
    stale = encode(Data(7, 0, b"an earlier client's")) + encode(control(**HELLO)) + encode(Eof(7, 19))[:9]
    theirs.send(stale)
    async with await AgentClient.open(ours, "m") as client:
        while select.select([ours], [], [], 0)[0]:  # noqa: ASYNC110 - nobody is told when it was read
            await asyncio.sleep(0)
        starting = asyncio.create_task(client.start(resume=True, whole=True))
        sync = await loop.sock_recv(theirs, 1 << 16)
        await loop.sock_sendall(theirs, sync + encode(control(**HELLO)))
        assert (await starting).kernel == "k"


async def test_unacknowledged_output_is_sent_again_to_whoever_comes_next():
    async with fake_machine() as (agent, sock):
        first = await AgentClient.open(sock, "m")
        await first.start()
        process = await first.spawn(shell("echo abc; exit 4"))
        assert await process.stdout.read(2, acknowledge=False) == b"ab"
        assert await process.wait() == ExitStatus(code=4)
        await first.close()

        ours, theirs = socket.socketpair()
        await agent.attach(theirs)
        async with await AgentClient.open(ours, "m") as second:
            await second.start(resume=True)
            (found,) = second.processes.values()
            found.resume(stdout_offset=0, stderr_offset=0)
            done = await output(found)
            assert (done.stdout, done.status) == (b"abc\n", ExitStatus(code=4))
            await found.forget()
            assert second.processes == {}
            assert agent.processes == {}


async def test_processes_that_are_dismissed_together_are_forgotten_by_one_request(monkeypatch):
    monkeypatch.setattr(client_module, "_MOST_DISMISSED", 3)
    async with fake_machine() as (agent, sock), await AgentClient.open(sock, "m") as client:
        await client.start()
        processes = [await client.spawn(command("true")) for _ in range(3)]
        for process in processes:
            await process.wait()
        sent = []
        monkeypatch.setattr(
            client.channel,
            "post",
            lambda message, post=client.channel.post: sent.append(message) or post(message),
        )
        for process in processes:
            process.dismiss()
        await client.request(wire.Sync())
        assert [message["op"] for message in sent] == ["batch", "sync"]
        assert (client.processes, agent.processes) == ({}, {})


async def test_a_process_that_is_dismissed_alone_is_forgotten_soon(monkeypatch):
    monkeypatch.setattr(client_module, "_DISMISSAL_S", 0)
    async with fake_machine() as (agent, sock), await AgentClient.open(sock, "m") as client:
        await client.start()
        process = await client.spawn(command("true"))
        ended = asyncio.Event()
        process.when_ended(ended.set)
        await ended.wait()
        process.dismiss()
        await asyncio.sleep(0)  # the timer's turn
        await asyncio.sleep(0)
        await client.request(wire.Sync())
        assert (client.processes, agent.processes) == ({}, {})


async def test_new_processes_after_a_takeover_do_not_reuse_ids():
    async with fake_machine() as (agent, sock):
        first = await AgentClient.open(sock, "m")
        await first.start()
        old = await first.spawn(command("sleep", "1000"))
        await first.close()
        ours, theirs = socket.socketpair()
        await agent.attach(theirs)
        async with await AgentClient.open(ours, "m") as second:
            await second.start(resume=True)
            new = await second.spawn(shell("echo new"))
            assert new.proc > old.proc
            assert (await output(new)).stdout == b"new\n"


async def test_a_dead_machine_is_told_to_everybody_who_waits():
    agent_side, ours = socket.socketpair()
    agent = FakeAgent()
    await agent.attach(agent_side)
    async with await AgentClient.open(ours, "web") as client:
        await client.start()
        process = await client.spawn(shell("echo last; sleep 1000"))
        await expect(process, b"last\n")
        reading = asyncio.create_task(process.stdout.read())
        waiting = asyncio.create_task(process.wait())
        await asyncio.sleep(0)
        await agent.close()
        for task in (reading, waiting):
            with pytest.raises(MachineDied, match="web"):
                await task
        with pytest.raises(MachineDied):
            await client.request(wire.Sync())


async def test_a_request_whose_answer_is_lost_has_an_unknown_outcome():
    ours, theirs = socket.socketpair()
    async with await AgentClient.open(ours, "m") as client:
        asking = asyncio.create_task(client.request(wire.Sync()))
        await asyncio.sleep(0)
        theirs.close()
        with pytest.raises(OutcomeUnknown):
            await asking


async def test_poweroff_returns_when_the_machine_is_gone():
    async with fake_machine() as (_, sock), await AgentClient.open(sock, "m") as client:
        await client.start()
        await client.poweroff()
        assert client.channel.gone.is_set()


def control(**message):
    return Control(wire.encode_control(message))


HELLO = {"ev": "hello", "v": 1, "agent": "x", "boot": bytes(16), "kernel": "k", "procs": [], "containers": []}
PROC = {
    "proc": 9,
    "container": "",
    "pid": 1,
    "stdin": 0,
    "stdin_offset": 0,
    "stdout": 0,
    "stderr": 0,
    "exit": None,
}


@pytest.mark.parametrize(
    "offence",
    [
        [control(**HELLO)],
        [Sync(bytes(16))],
        [control(ev="exit", proc=7, code=0, signal=None, core=False, time_ns=0)],
        [control(ev="party")],
        [control(re=77, ok={})],
        [control(re="1", ok={})],
        [control(id=1, op="spawn")],
        [Control(b"\x93\x01\x02\x03")],
        [Control(b"\x91" * 100_000)],
        [Control(b"\xdf\xff\xff\xff\xff")],
        [Data(77, 0, b"x")],
        [Data(2, 5, b"gap")],
        [Data(2, 0, bytes(65536))] + [Data(2, 65536 * n, bytes(65536)) for n in range(1, 5)],
        [Eof(2, 1)],
        [Eof(2, 0), Data(2, 0, b"after the end")],
        [Credit(1, 1)],
        [Break(99)],
        [b"\xff" * 12],
    ],
    ids=repr,
)
async def test_an_offence_against_the_wire_ends_the_connection(offence):
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    loop = asyncio.get_running_loop()
    async with await AgentClient.open(ours, "m") as client:
        starting = asyncio.create_task(client.start())
        process = client.register(command("cat"), stdin=True)
        sync = await loop.sock_recv(theirs, 1 << 16)
        await loop.sock_sendall(theirs, sync + encode(control(**HELLO)))
        await starting
        await loop.sock_sendall(theirs, b"".join(x if isinstance(x, bytes) else encode(x) for x in offence))
        with pytest.raises(MachineDied):
            await process.wait()


async def test_an_end_that_was_told_before_is_the_error_of_whoever_waits():
    suspended = WrongState("container 'm' was suspended")
    async with fake_machine() as (_, sock), await AgentClient.open(sock, "m") as client:
        process = client.register(command("cat"), stdin=True)
        await client.start([process.op])
        reading = asyncio.create_task(process.stdout.read())
        await asyncio.sleep(0)
        client.part(suspended)
        await client.close()
        for waiting in (reading, process.wait()):
            with pytest.raises(WrongState) as caught:
                await waiting
            assert caught.value is suspended


async def test_a_hello_beyond_the_bounds_is_refused():
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    loop = asyncio.get_running_loop()
    async with await AgentClient.open(ours, "m") as client:
        starting = asyncio.create_task(client.start(resume=True))
        received = b""
        while not (sync := received.lstrip(b"\0")) or len(sync) < 28:
            received += await loop.sock_recv(theirs, 1 << 20)
        many = HELLO | {"procs": [PROC | {"proc": n} for n in range(2000)]}
        await loop.sock_sendall(theirs, os.urandom(100) + sync + encode(control(**many)))
        with pytest.raises(MachineDied):
            await starting


async def test_closing_the_client_keeps_the_process_running():
    async with fake_machine() as (agent, sock):
        async with await AgentClient.open(sock, "m") as client:
            await client.start()
            process = await client.spawn(command("sleep", "1000"))
        assert agent.processes[process.proc].exit is None
