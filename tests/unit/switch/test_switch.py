"""The switch of a private network, whose machines are sockets here and their frames made by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from firkin.agent.channel import Channel
from firkin.container.private_network import PrivateNetwork
from firkin.errors import FirkinError, InUse, OutcomeUnknown
from firkin.linux.unix_socket import connect, listen
from firkin.network import mac
from firkin.network.frames import BROADCAST, Lease, arp, why_not
from firkin.network.plug import Plug
from firkin.switch.forwarding import FLOODED_PER_S, Forwarding, Port
from firkin.switch.server import Server

NETWORK = PrivateNetwork(name="blue", id="ab" * 32, created_ns=1, subnet="10.89.0.0/24", gateway="10.89.0.1")
OWN = Lease(mac.packed(NETWORK.mac), bytes((10, 89, 0, 1)))


def lease(number: int) -> Lease:
    return Lease(bytes((2, 0, 0, 0, 0, number)), bytes((10, 89, 0, number)))


ONE, TWO = lease(2), lease(3)


def plug(number: int, path: Path, **changes: Any) -> Plug:
    words = {"container": f"{number:x}" * 64, "vmm": number, "names": (f"c{number}",)}
    return Plug(
        socket=str(path), mac=f"02:00:00:00:00:{number:02x}", address=f"10.89.0.{number}", **(words | changes)
    )


def framed(frame: bytes) -> bytes:
    return len(frame).to_bytes(4, "big") + frame


class Machine:
    """The VMM's end of a card: it listens, as QEMU does, and takes one connection at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listener = listen(path)
        self._listener.setblocking(False)
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def accept(self) -> None:
        sock, _ = await asyncio.get_running_loop().sock_accept(self._listener)
        self.reader, self.writer = await asyncio.open_unix_connection(sock=sock)

    def send(self, frame: bytes) -> None:
        self.writer.write(framed(frame))

    async def frame(self) -> bytes:
        async with asyncio.timeout(60):
            return await self.reader.readexactly(int.from_bytes(await self.reader.readexactly(4), "big"))

    def end(self) -> None:
        self._listener.close()
        self.writer.close()


@asynccontextmanager
async def served(path: Path) -> AsyncIterator[asyncio.Task[None]]:
    server = asyncio.create_task(Server(NETWORK, path).serve(lambda: None))
    await asyncio.sleep(0)
    try:
        yield server
    finally:
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)


async def owner_of(path: Path) -> Channel:
    return await Channel.open(connect(path), "the switch", lost=_lost)


def _lost(reason: str) -> FirkinError:
    return OutcomeUnknown(reason)


async def plugged(owner: Channel, machine: Machine, asked: Plug) -> None:
    await owner.request({"op": "plug", "plug": msgspec.to_builtins(asked)})
    async with asyncio.timeout(60):
        await machine.accept()


async def test_machines_reach_each_other_and_nobody_is_another(tmp_path: Path) -> None:
    one, two = Machine(tmp_path / "1"), Machine(tmp_path / "2")
    async with served(tmp_path / "s"), await owner_of(tmp_path / "s") as owner:
        await plugged(owner, one, plug(2, one.path))
        await plugged(owner, two, plug(3, two.path))
        one.send(arp(2, TWO, BROADCAST, TWO.address))  # dropped
        one.send(arp(2, Lease(ONE.mac, TWO.address), BROADCAST, bytes(4)))  # dropped
        one.send(hello := arp(1, ONE, BROADCAST, TWO.address))
        assert await two.frame() == hello
        two.send(answer := arp(2, TWO, ONE.mac, ONE.address))
        assert await one.frame() == answer
        one.send(arp(1, ONE, BROADCAST, OWN.address))
        introduced = await one.frame()
        assert why_not(introduced, OWN) == ""
        assert introduced[:6] == ONE.mac
    one.end()
    two.end()


async def test_it_outlives_its_owners_and_leaves_with_the_last_machine(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "1")
    async with served(tmp_path / "s") as server:
        async with await owner_of(tmp_path / "s") as owner:
            await plugged(owner, machine, plug(2, machine.path))
        async with await owner_of(tmp_path / "s") as heir:  # the port is as it was
            await heir.request({"op": "plug", "plug": msgspec.to_builtins(plug(2, machine.path))})
        machine.send(arp(1, ONE, BROADCAST, OWN.address))
        assert (await machine.frame())[:6] == ONE.mac
        assert not server.done()
        machine.end()
        async with asyncio.timeout(60):
            await server
    assert not (tmp_path / "s").exists()


async def test_addresses_that_a_running_container_has_are_refused_to_others(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "1")
    async with served(tmp_path / "s"), await owner_of(tmp_path / "s") as owner:
        await plugged(owner, machine, plug(2, machine.path))
        other = plug(2, machine.path, container="f" * 64)
        with pytest.raises(InUse, match=r"10\.89\.0\.2"):
            await owner.request({"op": "plug", "plug": msgspec.to_builtins(other)})
        with pytest.raises(FirkinError, match="does not know"):
            await owner.request({"op": "plug", "plug": {"container": 1}})
    machine.end()


async def test_who_leaves_hears_and_is_heard_no_more_and_its_card_is_free_for_another_network(
    tmp_path: Path,
) -> None:
    one, two = Machine(tmp_path / "1"), Machine(tmp_path / "2")
    async with served(tmp_path / "s"), await owner_of(tmp_path / "s") as owner:
        await plugged(owner, one, plug(2, one.path))
        await plugged(owner, two, plug(3, two.path))
        stranger = msgspec.to_builtins(plug(2, one.path, vmm=99))
        await owner.request({"op": "unplug", "plug": stranger})  # of another machine: it has no card here
        for _ in range(2):
            await owner.request({"op": "unplug", "plug": msgspec.to_builtins(plug(3, two.path))})
        async with asyncio.timeout(60):
            assert await two.reader.read() == b""
        one.send(arp(1, ONE, BROADCAST, TWO.address))
        one.send(arp(1, ONE, BROADCAST, OWN.address))
        assert (await one.frame())[:6] == ONE.mac
        other = plug(3, two.path, container="f" * 64)  # has its addresses now
        await plugged(owner, two, other)
        one.send(hello := arp(1, ONE, BROADCAST, TWO.address))
        assert await two.frame() == hello
    one.end()
    two.end()


async def test_a_vmm_that_sends_no_frames_loses_its_port(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "1")
    async with served(tmp_path / "s"), await owner_of(tmp_path / "s") as owner:
        await plugged(owner, machine, plug(2, machine.path))
        machine.writer.write((1 << 30).to_bytes(4, "big"))
        async with asyncio.timeout(60):
            assert await machine.reader.read() == b""
    machine.end()


async def test_one_that_does_not_read_holds_up_nobody(tmp_path: Path) -> None:
    one, two = Machine(tmp_path / "1"), Machine(tmp_path / "2")
    async with served(tmp_path / "s"), await owner_of(tmp_path / "s") as owner:
        await plugged(owner, one, plug(2, one.path))
        await plugged(owner, two, plug(3, two.path))
        two.writer.transport.pause_reading()  # type: ignore[attr-defined]
        large = TWO.mac + ONE.mac + b"\x08\x00\x45" + bytes(11) + ONE.address + TWO.address + bytes(60000)
        for _ in range(400):  # five times what may wait for it
            one.send(large)
            await one.writer.drain()
        one.send(arp(1, ONE, BROADCAST, OWN.address))
        assert (await one.frame())[12:14] == b"\x08\x06"
    one.end()
    two.end()


def test_frames_to_everybody_are_bounded() -> None:
    got: list[bytes] = []
    now_s = [100.0]
    forwarding = Forwarding(OWN, lambda _port, _frame: None, lambda: now_s[0])
    sender, receiver = (Port(each, got.append, lambda _: None) for each in (ONE, TWO))
    forwarding.ports.update({ONE.mac: sender, TWO.mac: receiver})
    for _ in range(int(2 * FLOODED_PER_S)):
        forwarding.receive(sender, arp(1, ONE, BROADCAST, TWO.address))
    assert len(got) == FLOODED_PER_S
    now_s[0] += 0.01
    for _ in range(int(FLOODED_PER_S)):
        forwarding.receive(sender, arp(1, ONE, BROADCAST, TWO.address))
    assert len(got) == pytest.approx(FLOODED_PER_S * 1.01, abs=1)
