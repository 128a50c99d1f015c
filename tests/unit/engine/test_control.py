"""A container's control socket, from both sides: what an owner serves is what a client sees."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
from contextlib import AsyncExitStack

import pytest

from firkin.agent import AgentClient
from firkin.container import record
from firkin.container.naming import new_id
from firkin.container.record import Exited, Running
from firkin.container.spec import ContainerSpec
from firkin.engine import control
from firkin.engine.options import ExecOptions
from firkin.engine.remote import RemoteContainer
from firkin.errors import (
    AgentError,
    CommandNotFound,
    ContainerNotFound,
    InUse,
    MachineDied,
    OutcomeUnknown,
    WrongState,
)
from firkin.linux.unix_socket import connect
from firkin.paths import Paths
from firkin.process.output import output
from firkin.process.spec import ExitStatus, ProcessSpec, TerminalSize
from firkin.testing.check_agent import command, expect, shell
from firkin.testing.fake_agent import fake_machine
from firkin.wire.messages import ProcessRow, Ps, Terminal, convert


class Owner:
    """Owns one container on a fake machine, the simplest way."""

    def __init__(self, paths):
        spec = ContainerSpec(
            id=new_id(),
            name="web",
            image="i",
            image_digest="sha256:" + "0" * 64,
            rootfs_key="k",
            process=ProcessSpec(args=("x",)),
            created_ns=1,
            hostname="h",
        )
        self.paths = paths
        self.record, self.lock = record.create(paths, spec)
        self.spec = spec
        self.revived = 0

    async def start(self, script, alive=None, **more):
        self.alive = alive or self.record.hold_alive()
        self.stack = AsyncExitStack()
        self.agent, sock = await self.stack.enter_async_context(fake_machine())
        self.client = await self.stack.enter_async_context(await AgentClient.open(sock, "web"))
        await self.client.start()
        self.main = await self.client.spawn(shell(script, **more), stdin=True)
        self.record.set_running(Running(pid=1, started_ns=1, accelerator="tcg"))
        path = self.paths.control_socket_path(self.spec.id)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.serving = control.serve(self, path)
        await self.serving.__aenter__()
        return self

    async def end(self):
        """The process has ended: record it, let the clients go."""
        status = await self.main.wait()
        self.alive.close()
        self.record.set_exited(Exited(status=status, finished_ns=2, started_ns=1))
        await self.serving.__aexit__(None, None, None)
        await self.stack.aclose()
        self.lock.close()

    async def attach(self, *, stdin=False, replay=False):
        return self.main

    async def exec(self, options):
        terminal = options.terminal and Terminal(rows=options.terminal.rows, cols=options.terminal.cols)
        read = not options.detach
        spawn = command(*options.command, terminal=terminal)
        return await self.client.spawn(spawn, stdin=options.stdin, stdout=read, stderr=read)

    async def stop(self, timeout_s=None, *, again=False):
        await self.main.signal(signal.SIGKILL)
        await self.main.wait()

    async def kill(self, number):
        await self.main.signal(number)

    async def wait(self):
        return await self.main.wait()

    async def remove(self, *, force=False):
        await self.stop()

    async def top(self):
        return convert((await self.client.request(Ps(container=""))).get("processes"), list[ProcessRow])


@pytest.fixture
def paths(tmp_path):
    return Paths(tmp_path / "data", tmp_path / "run")


@pytest.fixture
def owner(paths):
    return Owner(paths)


def remote(owner, revive=None):
    async def nobody():
        owner.revived += 1

    return RemoteContainer(owner.record, revive=revive or nobody)


async def test_the_socket_is_for_its_user_alone(owner, paths):
    await owner.start("true")
    path = paths.control_socket_path(owner.spec.id)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(path.parent).st_mode) == 0o700
    await owner.end()
    assert not path.exists()


async def test_exec_carries_streams_and_status(owner):
    await owner.start("sleep 1000")
    data = os.urandom(3_000_000)
    process = await remote(owner).exec(ExecOptions(command=("cat",), stdin=True))
    done = await output(process, data)
    assert (done.stdout, done.status) == (data, ExitStatus(code=0))
    process = await remote(owner).exec(ExecOptions(command=("sh", "-c", "echo out; echo err >&2; exit 9")))
    assert process.stdin is None
    done = await output(process)
    assert (done.stdout, done.stderr, done.status) == (b"out\n", b"err\n", ExitStatus(code=9))
    await owner.stop()
    await owner.end()


async def test_a_refusal_keeps_its_kind_and_its_words(owner):
    await owner.start("sleep 1000")
    with pytest.raises(CommandNotFound, match="no-such-command") as caught:
        await remote(owner).exec(ExecOptions(command=("no-such-command",)))
    assert "PATH" in caught.value.hint
    await owner.stop()
    with pytest.raises(AgentError):
        await remote(owner).kill(15)
    await owner.end()


async def test_a_terminal_is_resized_and_signalled_through_the_socket(owner):
    await owner.start("sleep 1000")
    options = ExecOptions(
        command=("sh", "-c", "read x; stty size; sleep 1000"), stdin=True, terminal=TerminalSize(1, 2)
    )
    process = await remote(owner).exec(options)
    await process.resize(33, 44)
    await process.stdin.write(b"\n")
    await expect(process, b"33 44\r\n")
    await process.signal(signal.SIGKILL)
    assert await process.wait() == ExitStatus(signal=signal.SIGKILL)
    await owner.stop()
    await owner.end()


async def test_a_client_that_leaves_breaks_the_pipe_of_what_it_started(owner):
    await owner.start("sleep 1000")
    process = await remote(owner).exec(ExecOptions(command=("yes",)))
    await process.stdout.read(10)
    process._channel.connection.abort()
    (yes,) = (p for p in owner.client.processes.values() if p is not owner.main)
    assert await yes.wait() == ExitStatus(signal=signal.SIGPIPE)
    await owner.stop()
    await owner.end()


async def test_closing_a_stream_at_the_client_closes_it_at_the_process(owner):
    await owner.start("sleep 1000")
    process = await remote(owner).exec(ExecOptions(command=("yes",)))
    process.stdout.close()
    assert await process.wait() == ExitStatus(signal=signal.SIGPIPE)
    await owner.stop()
    await owner.end()


async def test_input_that_nobody_reads_is_told_to_the_client(owner):
    await owner.start("sleep 1000")
    options = ExecOptions(command=("sh", "-c", "exec <&-; echo closed; exec sleep 1000"), stdin=True)
    process = await remote(owner).exec(options)
    await expect(process, b"closed\n")
    with pytest.raises(BrokenPipeError):
        await process.stdin.write(bytes(1 << 22))
    await process.signal(signal.SIGKILL)
    await owner.stop()
    await owner.end()


async def test_attached_clients_get_the_last_byte_before_the_owner_leaves(owner):
    await owner.start("read x; head -c 3000000 /dev/zero; echo end; exit 4")
    process = await remote(owner).attach(stdin=True)
    await process.stdin.write(b"go\n")
    await process.stdout.read(1)
    ending = asyncio.create_task(owner.end())
    done = await output(process)
    assert len(done.stdout) == 3_000_003
    assert done.stdout.endswith(b"end\n")
    assert done.status == ExitStatus(code=4)
    await ending


async def test_waiting_stopping_and_removing_go_to_the_owner(owner):
    await owner.start("sleep 1000")
    waiting = asyncio.create_task(remote(owner).wait())
    with pytest.raises(WrongState, match="is running"):
        await remote(owner).remove()
    rows = await remote(owner).top()
    assert ("/bin/sh", "-c", "sleep 1000") in [row.args for row in rows]
    await remote(owner).stop(1)
    assert await waiting == ExitStatus(signal=signal.SIGKILL)
    await owner.end()


async def test_who_removes_waits_or_stops_one_that_is_just_ending_waits_for_its_owner(owner, paths):
    await owner.start("exit 3")
    status = await owner.main.wait()
    owner.record.set_exited(Exited(status=status, finished_ns=2, started_ns=1))
    tasks = [asyncio.create_task(work) for work in (remote(owner).wait(), remote(owner).stop())]
    done, _ = await asyncio.wait(tasks, timeout=0.2)
    assert not done
    await owner.end()
    assert await asyncio.gather(*tasks) == [status, None]
    with owner.record.own():
        removing = asyncio.create_task(remote(owner).remove())
        done, _ = await asyncio.wait((removing,), timeout=0.2)
        assert not done
    await removing
    assert not owner.record.dir.exists()


async def test_an_ended_container_is_read_from_disk(owner, paths):
    await owner.start("exit 3")
    await owner.end()
    ended = remote(owner)
    assert await ended.wait() == ExitStatus(code=3)
    await ended.stop()
    for refused in (ended.attach(), ended.exec(ExecOptions(command=("true",))), ended.kill(9), ended.top()):
        with pytest.raises(WrongState, match="is not running"):
            await refused
    assert [each async for each in ended.logs(follow=True)] == []
    await ended.remove()
    with pytest.raises(ContainerNotFound):
        _ = ended.state
    assert list(record.records(paths)) == []


async def test_a_container_without_an_owner_is_given_one(owner):
    alive = owner.record.hold_alive()
    owner.record.set_running(Running(pid=1, started_ns=1, accelerator="tcg"))
    owner.lock.close()

    async def revive():
        owner.revived += 1
        owner.lock = owner.record.own()
        await owner.start("exit 6", alive)

    assert await remote(owner, revive).wait() == ExitStatus(code=6)
    assert owner.revived == 1
    await owner.end()


async def test_a_machine_that_dies_is_no_end_of_output(owner):
    await owner.start("echo first; sleep 1000")
    process = await remote(owner).attach()
    await expect(process, b"first\n")
    await owner.agent.close()
    with pytest.raises(MachineDied):
        await process.stdout.read()
    with pytest.raises(MachineDied):
        await process.wait()
    owner.alive.close()
    await owner.serving.__aexit__(None, None, None)
    await owner.stack.aclose()


async def test_an_owner_that_dies_leaves_an_unknown_outcome(owner):
    await owner.start("echo first; sleep 1000")
    process = await remote(owner).attach()
    await expect(process, b"first\n")
    reading = asyncio.create_task(process.stdout.read())
    await asyncio.sleep(0)
    await control_server_dies(owner)
    with pytest.raises(OutcomeUnknown, match="owner of container 'web' was lost"):
        await reading
    await owner.stop()
    await owner.end()


async def control_server_dies(owner):
    frame = owner.serving.gen.ag_frame
    for session in tuple(frame.f_locals["server"]._sessions):
        session.channel.connection.abort()


async def test_garbage_on_the_socket_ends_that_connection_only(owner, paths):
    await owner.start("sleep 1000")
    sock = connect(paths.control_socket_path(owner.spec.id))
    sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
    sock.setblocking(False)
    assert await asyncio.get_running_loop().sock_recv(sock, 1) == b""
    sock.close()
    assert await remote(owner).top()
    await owner.stop()
    await owner.end()


async def test_somebody_elses_container_is_not_removed_under_it(owner):
    with pytest.raises(InUse), owner.record.own():
        pass
    owner.lock.close()
    await remote(owner).remove()
    assert list(record.records(owner.paths)) == []


async def test_waiting_for_a_container_that_ends_while_it_is_being_adopted_gives_its_status(owner):
    alive = owner.record.hold_alive()
    owner.record.set_running(Running(pid=1, started_ns=1, accelerator="tcg"))
    owner.lock.close()

    async def revive():
        owner.record.set_exited(Exited(status=ExitStatus(code=7), finished_ns=2, started_ns=1))
        alive.close()

    assert await remote(owner, revive).wait() == ExitStatus(code=7)


async def test_a_container_that_was_never_started_is_not_waited_for(owner):
    owner.lock.close()
    with pytest.raises(WrongState, match="never started"):
        await remote(owner).wait()


async def test_a_detached_process_writes_into_nothing_when_its_client_has_left(owner, tmp_path):
    await owner.start("sleep 1000")
    script = f"seq 100000 && echo written > {tmp_path}/done"
    process = await remote(owner).exec(ExecOptions(command=("sh", "-c", script), detach=True))
    process._channel.connection.abort()
    (spawned,) = (p for p in owner.client.processes.values() if p is not owner.main)
    assert await spawned.wait() == ExitStatus(code=0)
    assert (tmp_path / "done").read_text() == "written\n"
    await owner.stop()
    await owner.end()
