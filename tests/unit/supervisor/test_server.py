"""The supervisor without a machine: how it is found, what it refuses, when it leaves."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from contextlib import asynccontextmanager

import pytest

from firkin.container import logs, record
from firkin.container.locks import holders
from firkin.container.naming import new_id
from firkin.container.record import Created, Exited, Running
from firkin.container.spec import ContainerSpec
from firkin.engine import supervised
from firkin.errors import ContainerNotFound, HostUnsupported, ProtocolError, WrongState
from firkin.linux.unix_socket import connect
from firkin.process.spec import ExitStatus, ProcessSpec
from firkin.pytest.leaks import dismiss_supervisor, processes_of
from firkin.supervisor import server
from firkin.supervisor.lock import SupervisorLock


@asynccontextmanager
async def serving(settings):
    settings.paths.run.mkdir(mode=0o700, exist_ok=True, parents=True)
    ready = asyncio.Event()
    supervisor = asyncio.create_task(server.Supervisor(settings).serve(ready.set))
    await ready.wait()
    try:
        yield supervisor
    finally:
        supervisor.cancel()
        await asyncio.gather(supervisor, return_exceptions=True)


def make(settings, **more):
    spec = ContainerSpec(
        id=new_id(),
        name="web",
        image="i",
        image_digest="sha256:" + "0" * 64,
        rootfs_key="k",
        process=ProcessSpec(args=("x",)),
        created_ns=time.time_ns(),
        hostname="h",
        **more,
    )
    made, lock = record.create(settings.paths, spec)
    lock.close()
    return made


def machine_holding(alive):
    return subprocess.Popen(["sleep", "1000"], pass_fds=[alive.fd])


async def test_it_leaves_when_it_has_nothing_to_do(settings, monkeypatch):
    monkeypatch.setattr(server, "IDLE_S", 0.05)
    async with serving(settings) as supervisor:
        await asyncio.wait_for(supervisor, 10)
    assert not settings.paths.supervisor_socket_path.exists()


async def test_it_stays_while_somebody_is_connected(settings, monkeypatch):
    monkeypatch.setattr(server, "IDLE_S", 0.01)
    async with serving(settings) as supervisor:
        channel = await supervised._connected(settings)
        for _ in range(20):
            assert await channel.request({"op": "ping"}) == {}
        assert not supervisor.done()
        await channel.close()
        await asyncio.wait_for(supervisor, 10)


async def test_it_refuses_what_is_not_for_it(settings):
    foreground = make(settings)
    with foreground.own():  # else it is a dead owner's, and tidied
        await _refused(settings, foreground)


async def _refused(settings, foreground):
    async with serving(settings), await supervised._connected(settings) as channel:
        with pytest.raises(ContainerNotFound):
            await supervised.run(settings, new_id())
        with pytest.raises(WrongState, match="not one for the supervisor"):
            await supervised.run(settings, foreground.id)
        for odd in ({"op": "party"}, {"op": "run"}, {"op": "run", "container": "../..", "settings": {}}):
            with pytest.raises(ProtocolError):
                await channel.request(odd)
        assert await channel.request({"op": "ping"}) == {}


async def test_garbage_costs_only_the_one_who_sends_it(settings):
    async with serving(settings), await supervised._connected(settings) as channel:
        sock = connect(settings.paths.supervisor_socket_path)
        sock.sendall(b"\xff" * 100)
        sock.setblocking(False)
        assert await asyncio.get_running_loop().sock_recv(sock, 1) == b""
        sock.close()
        assert await channel.request({"op": "ping"}) == {}


async def test_a_record_that_cannot_be_read_keeps_nobody_else_from_being_taken_over(settings):
    broken = make(settings, detached=True)
    (broken.dir / "spec.json").write_bytes(b"{")
    with broken.hold_alive() as alive:
        holder = machine_holding(alive)
    async with serving(settings):
        await supervised.wake(settings)
    assert holder.poll() is None
    holder.kill()
    holder.wait()


async def test_a_machine_whose_start_was_not_put_on_record_is_killed(settings):
    half = make(settings, detached=True)
    with half.hold_alive() as alive:
        machine = machine_holding(alive)
    assert machine.pid in holders(half.alive_path)
    async with serving(settings):
        await supervised.wake(settings)
        assert machine.wait(10) == -9
        assert half.state() == Created()
        half.own().close()  # whoever tidies may still look at it for a moment


async def test_a_second_start_that_was_cut_off_leaves_no_machine_and_its_first_end(settings):
    ended = make(settings)
    ended.set_running(Running(pid=1, started_ns=1, accelerator="tcg"))
    first = Exited(status=ExitStatus(code=3), finished_ns=2, started_ns=1)
    ended.begin_again(first)
    with ended.hold_alive() as alive:
        machine = machine_holding(alive)
    async with serving(settings):
        await supervised.wake(settings)
        assert machine.wait(10) == -9
    assert ended.state() == first
    ended.own().close()  # whoever tidies may still look at it for a moment


async def test_a_machine_that_is_still_writing_down_is_left_alone(settings):
    ended = make(settings, detached=True)
    ended.set_running(Running(pid=1, started_ns=1, accelerator="tcg"))
    ended.set_exited(Exited(status=ExitStatus(code=3), finished_ns=2, started_ns=1))
    with ended.hold_alive() as alive:
        machine = machine_holding(alive)
    async with serving(settings):
        await supervised.wake(settings)
        assert machine.poll() is None
    machine.kill()
    machine.wait()


async def test_what_a_foreground_command_runs_is_left_alone(settings):
    foreground = make(settings)
    with foreground.hold_alive() as alive:
        machine = machine_holding(alive)
    foreground.set_running(Running(pid=machine.pid, started_ns=1, accelerator="tcg"))
    async with serving(settings):
        await supervised.wake(settings)
        assert machine.poll() is None
    machine.kill()
    machine.wait()


async def test_a_running_record_without_its_machine_ends_on_record(settings):
    gone = make(settings, detached=True)
    gone.set_running(Running(pid=1, started_ns=1, accelerator="tcg"))
    async with serving(settings) as supervisor:
        await supervised.wake(settings)
        async for _ in logs.follow(gone.log_path, (gone.dir / "exit.json").exists):
            pass
        assert not supervisor.done()
    assert gone.state().reason == "its machine ended"


async def test_it_is_started_by_whoever_needs_it_and_stopped_by_its_word(settings, home):
    await supervised.shutdown(settings)
    await asyncio.gather(*(supervised.wake(settings) for _ in range(4)))
    (one,) = [left for left in processes_of(str(home.root)) if "firkin.supervisor" in left.command]
    assert os.stat(settings.paths.supervisor_socket_path).st_mode & 0o777 == 0o600
    assert os.getsid(one.pid) == one.pid
    assert os.readlink(f"/proc/{one.pid}/cwd") == "/"
    assert SupervisorLock.take(settings.paths.supervisor_lock_path) is None
    await supervised.shutdown(settings)
    dismiss_supervisor(str(home.root))
    assert not settings.paths.supervisor_socket_path.exists()


async def test_a_supervisor_that_cannot_start_says_why(settings, tmp_path):
    settings.paths.run.mkdir(parents=True, exist_ok=True)
    settings.paths.supervisor_lock_path.mkdir()
    with pytest.raises(HostUnsupported, match=r"supervisor\.lock: Is a directory"):
        await supervised.wake(settings)


def test_its_entry_refuses_a_bad_call():
    ended = subprocess.run([sys.executable, "-m", "firkin.supervisor", "x"], capture_output=True)
    assert ended.returncode != 0
