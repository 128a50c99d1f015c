"""Real machines: they boot, they are held by their walls, and they end when they should."""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from firkin import machine as machines
from firkin.agent.client import AgentClient
from firkin.errors import MachineDied
from firkin.events import Event, subscribed
from firkin.linux import landlock
from firkin.machine.spec import MachineSpec, PublishedPort, Share
from firkin.pytest.home import Home
from firkin.settings import Settings
from firkin.wire.messages import Mount
from tests.support.machines import BUSYBOX, busybox_disk, guest, spawn_op, status_of

pytestmark = pytest.mark.machine

_SETTINGS = """
cd /proc/sys/net/ipv4; busybox cat ip_unprivileged_port_start ping_group_range
busybox grep -o '.none.' /sys/block/vda/queue/scheduler; busybox cat ../ipv6/conf/eth0/disable_ipv6
"""


@pytest.mark.parametrize(("templates", "how"), [(8, "machine.restore"), (0, "machine.boot")])
async def test_a_machine_starts_runs_a_container_and_powers_off(
    settings: Settings, tmp_path: Path, templates: int, how: str
) -> None:
    settings = msgspec.structs.replace(settings, templates=templates)
    spec = MachineSpec(name="web", disks=(busybox_disk(tmp_path),))
    image = (tmp_path / "image.ext4").read_bytes()
    seen: list[Event] = []
    with subscribed(seen.append):
        async with guest(spec, settings, tmp_path) as it:
            status, output = await it.sh(
                "echo written > /root/file; busybox cat /root/file; busybox hostname; exit 3"
            )
            assert (status, output) == (3, "written\nguest")
            _, output = await it.sh(_SETTINGS)
            assert output.split() == ["0", "0", "2147483647", "[none]", "1"]
            await it.client.poweroff()
            ended = await it.machine.wait()
            assert ended.clean
            assert ended.reason == "powered off"
    ours = [event for event in seen if event.fields.get("machine") == spec.name]  # and not its template's
    stages = [(event.name, event.phase) for event in ours if event.phase != "point"]
    assert stages == [(name, phase) for name in ("machine.start", how) for phase in ("begin", "end")]
    assert (tmp_path / "image.ext4").read_bytes() == image
    assert "No errors" in _output(["qemu-img", "check", str(tmp_path / "disk.qcow2")])


async def test_the_vmm_is_held_by_every_wall(settings: Settings, tmp_path: Path) -> None:
    spec = MachineSpec(name="walled", disks=(busybox_disk(tmp_path),))
    async with guest(spec, settings, tmp_path) as it:
        status, walls = status_of(it.machine.pid), it.machine.confinement
        assert walls is not None
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
        assert status["CapEff"] == status["CapPrm"] == "0" * 16
        assert status["Uid"].split() == [str(walls.uid)] * 4
        assert walls.landlock_abi == landlock.abi()
        if os.geteuid() == 0:
            assert walls.uid != 0
            assert status["CapBnd"] == "0" * 16


async def test_a_killed_vmm_is_noticed_at_once(settings: Settings, tmp_path: Path) -> None:
    async with machines.boot(
        MachineSpec(name="killed"), settings=settings, dir=tmp_path, run_dir=tmp_path / "run"
    ) as machine:
        waiting = asyncio.ensure_future(machine.wait())
        await asyncio.sleep(0)
        begin = time.monotonic()
        os.kill(machine.pid, signal.SIGKILL)
        assert "SIGKILL" in (await waiting).reason
        assert time.monotonic() - begin < 1
        with pytest.raises(MachineDied, match="killed"):
            machine.open_agent()
        await machine.stop()


_OWNER = """
import asyncio, sys
from pathlib import Path
from firkin import machine
from firkin.machine.spec import MachineSpec, Share
from firkin.settings import Settings

async def main():
    directory = Path(sys.argv[1])
    spec = MachineSpec(name="orphan", shares=(Share(tag="s", source=directory),))
    async with machine.boot(spec, settings=Settings.load(), dir=directory, run_dir=directory / "run") as it:
        print(it.pid, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def test_a_machine_and_its_daemons_die_with_an_owner_that_was_killed(home: Home, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", _OWNER, str(tmp_path)]
    with subprocess.Popen(argv, env=home.environ(), stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        vmm = int(owner.stdout.readline())
        pidfd = os.pidfd_open(vmm)
        daemons = [os.pidfd_open(pid) for pid in _processes_with(str(tmp_path), "virtiofsd")]
        assert daemons
        owner.kill()
    for fd in (pidfd, *daemons):
        assert select.select([fd], [], [], 10)[0], "it lives on without its owner"
        os.close(fd)


async def test_a_detached_machine_lives_on_and_is_adopted(settings: Settings, tmp_path: Path) -> None:
    run_dir, alive = tmp_path / "run", tmp_path / "alive"
    spec = MachineSpec(name="detached", disks=(busybox_disk(tmp_path),))
    alive_fd = os.open(alive, os.O_RDWR | os.O_CREAT)
    fcntl.flock(alive_fd, fcntl.LOCK_EX)
    async with machines.boot(
        spec, settings=settings, dir=tmp_path, run_dir=run_dir, lifetime="detached", alive_fd=alive_fd
    ) as first:
        os.close(alive_fd)
        client = await AgentClient.open(first.open_agent(), machine="detached")
        hello = await first.booted(client.start())
        await client.close()
    with alive.open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)

    known = {"accelerator": first.accelerator, "ports": first.ports, "dir": tmp_path, "run_dir": run_dir}
    with pytest.raises(MachineDied):
        machines.adopt("another", pid=first.pid, **known)  # type: ignore[arg-type]
    adopted = machines.adopt("detached", pid=first.pid, **known)  # type: ignore[arg-type]
    client = await AgentClient.open(adopted.open_agent(), machine="detached")
    assert (await adopted.booted(client.start(resume=True))).boot == hello.boot
    await client.close()
    await adopted.stop()
    with alive.open() as lock:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    await first.stop()
    with pytest.raises(MachineDied):
        machines.adopt("detached", pid=first.pid, **known)  # type: ignore[arg-type]


async def test_a_paused_machine_stands_still_until_it_is_resumed(settings: Settings, tmp_path: Path) -> None:
    spec = MachineSpec(name="paused", disks=(busybox_disk(tmp_path),))
    async with guest(spec, settings, tmp_path) as it:
        await it.machine.pause()
        answer = asyncio.ensure_future(it.sh("echo awake"))
        assert not (await asyncio.wait((answer,), timeout=0.5))[0]
        await it.machine.resume()
        assert await answer == (0, "awake")


async def test_shares_show_what_they_should_and_are_read_only_where_asked(
    settings: Settings, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("one")
    (source / "neighbour").write_text("secret")
    shares = (
        Share(tag="rw", source=source),
        Share(tag="ro", source=source, readonly=True),
        Share(tag="one", source=source / "file"),
        Share(tag="onero", source=source / "file", readonly=True),
    )
    # The guest does not ask for read-only mounts: the host must enforce it.
    mounts = [Mount(type="virtiofs", source=share.tag, target=f"/mnt/{share.tag}") for share in shares]
    spec = MachineSpec(name="shares", disks=(busybox_disk(tmp_path),), shares=shares)
    async with guest(spec, settings, tmp_path, mounts) as it:
        assert await it.sh(
            "busybox cat /mnt/rw/file && echo -n two > /mnt/rw/file && busybox mkdir /mnt/rw/new"
        ) == (
            0,
            "one",
        )
        assert (source / "file").read_text() == "two"
        assert (source / "new").is_dir()
        for command in (
            "echo x > /mnt/ro/file",
            "busybox rm /mnt/ro/file",
            "busybox touch /mnt/ro/x",
            "echo x > /mnt/onero/file",
        ):
            status, output = await it.sh(command)
            assert status != 0
            assert "Read-only file system" in output
        assert await it.sh("busybox ls -a /mnt/one") == (0, ".\n..\nfile")
        assert (await it.sh("busybox touch /mnt/one/more"))[0] != 0
        assert await it.sh("busybox cat /mnt/onero/file") == (0, "two")
        assert await it.sh("echo -n three > /mnt/one/file") == (0, "")
        assert (await it.sh("busybox cat /mnt/one/../neighbour"))[0] != 0
    assert (source / "file").read_text() == "three"
    assert sorted(path.name for path in source.iterdir()) == ["file", "neighbour", "new"]


async def test_a_published_port_reaches_the_guest(settings: Settings, tmp_path: Path) -> None:
    ports = PublishedPort.parse("127.0.0.1::8000")
    spec = MachineSpec(name="net", disks=(busybox_disk(tmp_path),), ports=ports)
    async with guest(spec, settings, tmp_path) as it:
        serve = [BUSYBOX, "nc", "-ll", "-p", "8000", "-e", BUSYBOX, "echo", "from inside"]
        await it.client.spawn(spawn_op(serve))
        assert await it.sh("until busybox nc 127.0.0.1 8000; do :; done 2>/dev/null") == (0, "from inside")
        reader, writer = await asyncio.open_connection("127.0.0.1", it.machine.ports[0].host_port)
        assert await asyncio.wait_for(reader.read(), 20) == b"from inside\n"
        writer.close()


_CONNECT = """
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
int main(int argc, char **argv) { /* ADDRESS PORT [DEVICE]: says whether it connected */
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
    struct timeval patience = {3, 0};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, argv[1], &to.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (argc > 3 && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, argv[3], 5))
        return puts("cannot bind");
    puts(connect(fd, (void *)&to, sizeof to) ? "refused" : "connected");
    return 0;
}
"""


async def test_a_service_on_the_hosts_loopback_is_out_of_the_guests_reach(
    settings: Settings, tmp_path: Path
) -> None:
    """Also for whoever binds to the interface, which passes the guest's routes, as anybody may."""
    disk = busybox_disk(tmp_path, {"connect": _compiled(tmp_path, _CONNECT)})
    with socket.create_server(("127.0.0.1", 0)) as listener:
        service = listener.getsockname()[1]
        async with guest(MachineSpec(name="net", disks=(disk,)), settings, tmp_path) as it:
            for address in ("10.0.2.2", "10.0.2.3", "10.0.2.4", "10.0.2.15", "127.0.0.1"):
                assert await it.sh(f"connect {address} {service}") == (0, "refused")
                assert await it.sh(f"connect {address} {service} eth0") == (0, "refused")
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


async def test_the_hosts_other_addresses_are_reached(settings: Settings, tmp_path: Path) -> None:
    """Through the same card: what is refused above is refused for the right reason."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("this host has no network")
        address = probe.getsockname()[0]
    disk = busybox_disk(tmp_path, {"connect": _compiled(tmp_path, _CONNECT)})
    with socket.create_server((address, 0)) as listener:
        async with guest(MachineSpec(name="net", disks=(disk,)), settings, tmp_path) as it:
            assert await it.sh(f"connect {address} {listener.getsockname()[1]}") == (0, "connected")


async def test_a_machine_without_network_has_no_interface_but_loopback(
    settings: Settings, tmp_path: Path
) -> None:
    spec = MachineSpec(name="alone", disks=(busybox_disk(tmp_path),), network="none")
    async with guest(spec, settings, tmp_path) as it:
        assert await it.sh("busybox ls /sys/class/net") == (0, "lo")


async def test_sockets_may_lie_deeper_than_a_socket_path_reaches(settings: Settings, tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 80) / ("e" * 80)
    directory.mkdir(parents=True)
    async with machines.boot(
        MachineSpec(name="deep"), settings=settings, dir=directory, run_dir=directory / "run"
    ) as machine:
        async with await AgentClient.open(machine.open_agent(), machine="deep") as client:
            assert (await machine.booted(client.start())).kernel
        await machine.pause()
        await machine.resume()


def _compiled(directory: Path, source: str) -> Path:
    program = directory / "program"
    (directory / "program.c").write_text(source)
    subprocess.run(["gcc", "-static", "-o", program, directory / "program.c"], check=True)
    return program


def _output(argv: list[str]) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def _processes_with(mark: str, program: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            if mark in command and program in command:
                found.append(int(entry.name))
    return found
