"""Published ports before the VMM starts."""

from __future__ import annotations

import socket

import pytest

from firkin.errors import PortInUse, UsageError
from firkin.machine.spec import PublishedPort
from firkin.network.publish import claim_ports


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_port_that_is_left_open_is_chosen_and_free(protocol: str) -> None:
    (port,) = claim_ports(PublishedPort.parse(f"127.0.0.1::80/{protocol}"))
    assert port.host_port > 0
    assert claim_ports([port]) == (port,)


def test_several_open_ports_are_different() -> None:
    ports = claim_ports(PublishedPort.parse("127.0.0.1::80-89"))
    assert len({port.host_port for port in ports}) == 10


@pytest.mark.parametrize(("protocol", "kind"), [("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)])
def test_a_taken_port_is_named_before_anything_starts(protocol: str, kind: int) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if protocol == "tcp":
            taken.listen()
        number = taken.getsockname()[1]
        with pytest.raises(PortInUse, match=f"127.0.0.1:{number}:80/{protocol}"):
            claim_ports(PublishedPort.parse(f"127.0.0.1:{number}:80/{protocol}"))


def test_the_same_port_twice_is_taken() -> None:
    (port,) = claim_ports(PublishedPort.parse("127.0.0.1::80"))
    with pytest.raises(PortInUse):
        claim_ports([port, port])


def test_an_address_of_another_host_cannot_be_published_on() -> None:
    with pytest.raises(UsageError, match=r"192\.0\.2\.1"):
        claim_ports(PublishedPort.parse("192.0.2.1:8080:80"))
