"""What a forked machine's agent is asked, in a real one: identity, freeze, a card that is set up again."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from pathlib import Path

import msgspec
import pytest

from firkin.agent.client import AgentClient
from firkin.errors import AgentError
from firkin.machine.spec import MachineSpec
from firkin.network.guest import guest_network
from firkin.network.spec import NetworkSpec
from firkin.settings import Settings
from firkin.wire.messages import Clock, Entropy, Freeze, Identity, Thaw
from tests.support.machines import BUSYBOX, Guest, busybox_disk, guest, spawn_op

pytestmark = pytest.mark.machine

PARENT, CHILD = "0123456789abcdef" * 2, "fedcba9876543210" * 2
WHO = "busybox hostname; busybox cat /etc/machine-id /proc/sys/kernel/random/boot_id"


async def test_a_fork_is_somebody_else_in_one_batch(settings: Settings, tmp_path: Path) -> None:
    spec = MachineSpec(name="parent", disks=(busybox_disk(tmp_path),))
    async with guest(spec, settings, tmp_path) as it:
        await it.sh(f"echo {PARENT} > /etc/machine-id")
        parent, key = (await it.sh(WHO))[1].split(), it.client.session_key
        network = guest_network(NetworkSpec()).cards[0]
        now_ns = time.time_ns() + 3600 * 10**9
        await it.client.batch(
            [
                Clock(sec=now_ns // 10**9, nsec=now_ns % 10**9),
                Entropy(seed=os.urandom(256)),
                Identity(container="c", rename="child", hostname="child", machine_id=CHILD),
                msgspec.structs.replace(network, hwaddr=bytes.fromhex("525400aabb02")),
            ]
        )
        child = (await _sh(it, WHO)).split()
        assert child[:2] == ["child", CHILD]
        assert parent[2] != child[2]
        assert it.client.session_key != key
        assert int(await _sh(it, "busybox date +%s")) >= now_ns // 10**9
        assert await _sh(it, "busybox cat /sys/class/net/eth0/address") == "52:54:00:aa:bb:02"
        routes = await _sh(it, "busybox ip -4 address show eth0; busybox ip route")
        assert routes.count("10.0.2.15") == 1
        assert "default via 10.0.2.3 dev eth0" in routes


async def test_a_frozen_disk_is_whole_while_the_machine_runs(settings: Settings, tmp_path: Path) -> None:
    disk = busybox_disk(tmp_path)
    async with guest(MachineSpec(name="frozen", disks=(disk,)), settings, tmp_path) as it:
        await it.sh("echo before > /root/before")
        await it.client.request(Freeze(container="c"))
        with pytest.raises(AgentError, match="busy"):
            await it.client.request(Freeze(container="c"))
        writer = await it.client.spawn(spawn_op([BUSYBOX, "sh", "-c", "echo after > /root/after"]))
        frozen = tmp_path / "frozen.raw"
        await _output("qemu-img", "convert", "-U", "-O", "raw", str(disk.path), str(frozen))
        await _output("e2fsck", "-fn", str(frozen))
        files = await _output("debugfs", "-R", "ls -p /root", str(frozen))
        assert "/before/" in files
        assert "/after/" not in files
        assert writer.exit is None
        await it.client.request(Thaw(container="c"))
        assert (await writer.wait()).code == 0
        with pytest.raises(AgentError, match="Invalid"):
            await it.client.request(Thaw(container="c"))


async def test_a_host_that_dies_leaves_no_disk_frozen(settings: Settings, tmp_path: Path) -> None:
    spec = MachineSpec(name="left", disks=(busybox_disk(tmp_path),))
    async with guest(spec, settings, tmp_path) as it:
        await it.client.request(Freeze(container="c"))
        writer = await it.client.spawn(spawn_op([BUSYBOX, "sh", "-c", "echo x > /root/x; echo written"]))
        await it.client.close()
        async with await AgentClient.open(it.machine.open_agent(), machine=spec.name) as second:
            await second.start(resume=True)
            process = second.processes[writer.proc]
            process.resume(stdout_offset=0, stderr_offset=0)
            assert await process.stdout.read() == b"written\n"


async def test_hosts_that_come_and_go_at_once_are_all_answered(settings: Settings, tmp_path: Path) -> None:
    """The port's driver hears of a host by another way than of its bytes, and may hear of it later."""
    spec = MachineSpec(name="busy", disks=(busybox_disk(tmp_path),))
    async with guest(spec, settings, tmp_path) as it:
        writer = await it.client.spawn(spawn_op([BUSYBOX, "yes"]))
        await writer.stdout.read()
        client, seen = it.client, 0
        for _ in range(100):
            client.channel.connection.abort()
            await client.channel.gone.wait()
            client = await AgentClient.open(it.machine.open_agent(), machine=spec.name)
            await asyncio.wait_for(client.start(resume=True), timeout=20)
            found = client.processes[writer.proc]
            found.resume(stdout_offset=seen, stderr_offset=0)
            data = await found.stdout.read(2)
            assert data == (b"y\n" * 2)[seen % 2 :][: len(data)]
            seen = found.stdout.offset
        await client.close()


async def _output(*argv: str) -> str:
    """What a tool of this host says, which has to be content."""
    ran = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


async def _sh(it: Guest, script: str) -> str:
    """The output of `script` in the container that was renamed."""
    op = msgspec.structs.replace(spawn_op([BUSYBOX, "sh", "-c", script]), container="child")
    process = await it.client.spawn(op)
    output = b""
    while data := await process.stdout.read():
        output += data
    assert (await process.wait()).code == 0
    return output.decode().strip()
