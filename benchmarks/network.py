"""Bytes through networks: from guest to guest, out of a guest, and into it by published ports.

The floor of a private network is a pair of machines without engine and switch, whose cards are joined by a
wire that looks at nothing. The user network and what is published on IPv4 are QEMU's own.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import Contender, Measures, take_turns, timed
from benchmarks.place import Place
from benchmarks.table import Row
from firkin.machine.qemu.files import card_socket
from firkin.machine.spec import MachineSpec
from firkin.settings import Settings
from firkin.wire.messages import Network
from tests.support.machines import Guest, busybox_disk, guest

NETWORK, ONE, TWO = "bench-net", "bench-one", "bench-two"
PORT = 5000
SIZE_BYTES = 16 << 20
_SINK = f"busybox nc -ll -p {PORT} -e busybox sh -c 'exec busybox cat > /dev/null'"
_DEADLINE_S = 120.0


def _sender(address: str, port: int = PORT) -> str:
    """A shell's words for SIZE_BYTES to there; again where nobody listens yet."""
    send = f"busybox head -c {SIZE_BYTES} /dev/zero | busybox nc {address} {port}"
    return f"tries=0; until {send}; do tries=$((tries + 1)); test $tries -lt 50 || exit 1; done"


def rows(place: Place) -> Iterator[Row]:
    import firkin

    with (
        _containers(place),
        _bare_pair(place) as bare,
        _host_sink() as host_port,
        firkin.Engine(Settings.load(place.environ)) as engine,
    ):
        one, two = engine.container(ONE), engine.container(TWO)
        ports = {":" in each.host_ip: each.host_port for each in one.ports}

        def in_guest(script: str) -> Measures:
            return {"whole": timed(lambda: two.exec(["sh", "-c", script]).output(check=True))}

        contenders = [
            Contender("wire", bare),
            Contender("switch", lambda: in_guest(_sender(ONE))),
            Contender("out", lambda: in_guest(_sender("10.0.2.2", host_port))),
            Contender("in", lambda: {"whole": timed(lambda: _poured("127.0.0.1", ports[False]))}),
            Contender("in6", lambda: {"whole": timed(lambda: _poured("::1", ports[True]))}),
        ]
        taken = take_turns(contenders, place.rounds, warmups=1)
    floor = taken["wire"]["whole"]
    yield Row("16 MiB from guest to guest", taken["switch"]["whole"], "ms", "", None, floor, "bare wire")
    yield Row("16 MiB out of a guest, user network", taken["out"]["whole"], "ms")
    four = taken["in"]["whole"]
    yield Row("16 MiB into a guest, published on IPv4", four, "ms")
    yield Row(
        "16 MiB into a guest, published on IPv6", taken["in6"]["whole"], "ms", "", None, four, "on IPv4"
    )


@contextmanager
def _containers(place: Place) -> Iterator[None]:
    run = [place.firkin, "run", "-d", "--network", NETWORK]
    published = ("-p", f"127.0.0.1::{PORT}", "-p", f"[::1]::{PORT}")
    image = place.static_image
    place.run([place.firkin, "network", "create", NETWORK])
    try:
        place.run([*run, "--name", ONE, *published, image, "sh", "-c", _SINK])
        reaching = ("--network", "user:host-loopback=true")
        place.run([*run, "--name", TWO, *reaching, image, "sleep", "100000"])
        yield
    finally:
        place.run([place.firkin, "rm", "-f", ONE, TWO])
        place.run([place.firkin, "network", "rm", NETWORK])


@contextmanager
def _host_sink() -> Iterator[int]:
    """The port of a server on the host's loopback that reads what it is told."""

    def read_all(client: socket.socket) -> None:
        with client:
            while client.recv(1 << 20):
                pass

    def serve() -> None:
        while True:
            try:
                client = server.accept()[0]
            except OSError:
                return
            threading.Thread(target=read_all, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


def _poured(address: str, port: int) -> None:
    """Send SIZE_BYTES there, and wait until they were read."""
    with socket.create_connection((address, port), timeout=_DEADLINE_S) as sock:
        sock.sendall(bytes(SIZE_BYTES))
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(1 << 16):
            pass


@contextmanager
def _bare_pair(place: Place) -> Iterator[Callable[[], Measures]]:
    """A pair of machines on a wire, and what sends from one to the other."""
    settings = Settings.load(place.environ)
    with TemporaryDirectory(prefix="fkpair", dir="/tmp") as name, asyncio.Runner() as runner:
        stack = AsyncExitStack()
        relay = None
        try:
            pair = [runner.run(_bare(stack, settings, Path(name) / each, each)) for each in ("1", "2")]
            sockets = [str(Path(name) / each / "run" / card_socket(0)) for each in ("1", "2")]
            argv = [sys.executable, "-m", "benchmarks.floor.relay", *sockets]
            relay = subprocess.Popen(argv, stdout=subprocess.PIPE, env=dict(os.environ))
            assert relay.stdout is not None
            if not relay.stdout.readline():
                raise RuntimeError("the bare wire could not be connected")
            runner.run(pair[0].sh(f"{_SINK} > /dev/null 2>&1 &"))

            def send() -> None:
                status, said = runner.run(pair[1].sh(_sender("10.99.0.1")))
                if status != 0:
                    raise RuntimeError(f"nothing went over the bare wire: {said}")

            yield lambda: {"whole": timed(send)}
        finally:
            if relay is not None:
                relay.kill()
                relay.communicate()
            runner.run(stack.aclose())


async def _bare(stack: AsyncExitStack, settings: Settings, directory: Path, number: str) -> Guest:
    directory.mkdir()
    spec = MachineSpec(
        name=f"bare-{number}",
        cpus=settings.cpus,
        memory_bytes=settings.memory_bytes,
        disks=(busybox_disk(directory),),
        network="none",
        cards=1,
    )
    it = await stack.enter_async_context(guest(spec, settings, directory))
    hwaddr = bytes((2, 0, 0, 0, 0, int(number)))  # the VMM gives the same to all
    addresses = (f"10.99.0.{number}/24",)
    await it.client.request(Network(interface="eth0", mtu=65520, hwaddr=hwaddr, addresses=addresses))
    return it
