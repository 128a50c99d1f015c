"""What a container reaches, and who reaches it: names, the outside, published datagrams."""

from __future__ import annotations

import dataclasses
import socket
import sys
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.home import Home
from tests.support.outside import GREETING, NAME, WEB

pytestmark = [pytest.mark.machine, pytest.mark.slow]

_CHECKOUT = Path(__file__).parents[2]
_ECHO = """
use IO::Socket::INET;
my $socket = IO::Socket::INET->new(LocalPort => 9000, Proto => "udp") or die;
while ($socket->recv(my $said, 1500)) { $socket->send("echo $said") }
"""


@pytest.fixture
def outside(firkin: Command) -> Command:
    """The command, run in a world of its own (see tests.support.outside)."""
    world = ("unshare", "--mount", "--net", sys.executable, "-m", "tests.support.outside")
    return dataclasses.replace(firkin, program=(*world, *firkin.program), cwd=_CHECKOUT)


@pytest.mark.root
def test_a_container_finds_names_and_reaches_the_outside(outside: Command, stocked: Home) -> None:
    visit = (
        f"getent ahostsv4 {NAME} | head -n 1; cat < /dev/tcp/{NAME}/80; getent hosts other.test || echo none"
    )
    ended = outside("run", "--rm", "debian", "bash", "-c", visit, check=True)
    address, greeting, other = ended.stdout.splitlines()
    assert address.split()[0] == WEB
    assert greeting == GREETING.decode().strip()
    assert other == "none"


@pytest.mark.root
def test_a_container_without_network_reaches_nothing(outside: Command, stocked: Home) -> None:
    visit = f"getent hosts {NAME} || echo no name; cat < /dev/tcp/{WEB}/80 || echo no way; ls /sys/class/net"
    ended = outside("run", "--rm", "--network", "none", "debian", "bash", "-c", visit, check=True)
    assert ended.stdout.splitlines() == ["no name", "no way", "lo"]


def test_a_published_datagram_port_answers(firkin: Command, stocked: Home) -> None:
    publish = ("-p", "127.0.0.1::9000/udp")
    firkin("run", "-d", "--name", "echo", *publish, "debian", "perl", "-e", _ECHO, check=True)
    ports = firkin("inspect", "--format", "{{json .NetworkSettings.Ports}}", "echo", check=True).stdout
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.2)
        client.connect(("127.0.0.1", _host_port(ports)))
        assert _ask(client, b"hello") == b"echo hello"
    firkin("rm", "-f", "echo", check=True)


def _host_port(ports_json: str) -> int:
    import json

    (bound,) = json.loads(ports_json)["9000/udp"]
    return int(bound["HostPort"])


def _ask(client: socket.socket, question: bytes) -> bytes:
    """Its answer. Datagrams may be lost, above all while nobody listens yet."""
    for _ in range(150):
        try:
            client.send(question)
            return client.recv(1500)
        except (TimeoutError, ConnectionRefusedError):
            continue
    raise AssertionError("no answer in 30 s")
