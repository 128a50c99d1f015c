"""A machine's cards: what a request asks for is there, and nothing of an earlier one; iproute2 judges."""

from __future__ import annotations

import errno
import json
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.guest.test_c import FLAGS, GUEST

PARTS = ["network.c", "netlink.c", "arp.c", "card.c", "msgpack.c", "fields.c", "failure.c", "util.c"]
FIRST, SECOND = bytes.fromhex("525400aabb01"), bytes.fromhex("525400aabb02")
USER = {
    "interface": "eth0",
    "addresses": ["10.0.2.15/32"],
    "routes": [
        {"dst": "10.0.2.3/32"},
        {"dst": "default", "via": "10.0.2.3", "onlink": True},
        {"dst": "10.0.2.0/24", "kind": "prohibit"},
    ],
}


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("ask") / "ask_network"
    sources = [GUEST / "tests/ask_network.c", *(GUEST / part for part in PARTS)]
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    subprocess.run(["gcc", *FLAGS, *sanitize, *map(str, sources), "-o", str(program)], check=True)
    return program


class Net:
    """A network namespace with a card, eth0, whose other end is `peer`."""

    def __init__(self, pid: int) -> None:
        self.enter = ["nsenter", f"--net=/proc/{pid}/ns/net"]
        self.agent: subprocess.Popen[bytes]

    def network(self, **fields: Any) -> str:
        """What the agent answers, "" when it is content."""
        request = msgspec.msgpack.encode({"op": "network", **fields})
        assert self.agent.stdin is not None
        assert self.agent.stdout is not None
        self.agent.stdin.write(struct.pack("<I", len(request)) + request)
        self.agent.stdin.flush()
        answer = self.agent.stdout.readline()
        assert answer, "the agent is gone"
        return answer.decode().strip()

    def start_program(self) -> None:
        """What a `spawn` means to the network."""
        assert self.agent.stdin is not None
        self.agent.stdin.write(struct.pack("<I", 0))

    def run(self, *argv: str) -> str:
        return subprocess.run([*self.enter, *argv], check=True, capture_output=True, text=True).stdout

    def link(self, name: str = "eth0") -> dict[str, Any]:
        (link,) = json.loads(self.run("ip", "-json", "link", "show", name))
        return link

    def addresses(self) -> list[str]:
        """Those that somebody gave it, which the kernel's own link-local ones are not."""
        (link,) = json.loads(self.run("ip", "-json", "address", "show", "dev", "eth0"))
        return sorted(f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"] if a["scope"] != "link")

    def routes(self) -> list[str]:
        return sorted(line.strip() for line in self.run("ip", "route", "show").splitlines())


_PIPES: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}


@pytest.fixture
def net(ask: Path, namespaces: None) -> Iterator[Net]:
    if shutil.which("ip") is None:
        pytest.skip("no ip: apt install iproute2")
    with subprocess.Popen(["unshare", "--net", "sh", "-c", "echo on; exec cat"], **_PIPES) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdout.readline()
        it = Net(holder.pid)
        it.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "peer")
        it.run("ip", "link", "set", "peer", "up")
        it.run("ip", "link", "set", "lo", "up")
        with subprocess.Popen([*it.enter, ask], **_PIPES) as it.agent:
            assert it.agent.stdin is not None
            assert it.agent.stdout is not None
            assert it.agent.stdout.readline() == b"up\n"
            yield it
            it.agent.stdin.close()
            assert it.agent.wait(timeout=20) == 0
        holder.stdin.close()


def test_a_card_gets_what_was_asked_for(net):
    assert net.network(**USER, mtu=1400, hwaddr=FIRST) == ""
    link = net.link()
    assert (link["mtu"], link["address"], "UP" in link["flags"]) == (1400, "52:54:00:aa:bb:01", True)
    assert net.addresses() == ["10.0.2.15/32"]
    assert net.routes() == [
        "10.0.2.3 dev eth0 scope link",
        "default via 10.0.2.3 dev eth0 onlink",
        "prohibit 10.0.2.0/24",
    ]


def test_a_card_without_ipv6_has_it_again_with_an_address_of_it_and_none_that_others_tell_of(net):
    net.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6")
    assert net.network(**USER) == ""
    assert "inet6" not in net.run("ip", "address", "show", "dev", "eth0")
    six = {"addresses": ["fec0::f/128"], "routes": [{"dst": "fec0::3/128"}]}
    assert net.network(interface="eth0", **six) == ""
    assert net.addresses() == ["fec0::f/128"]
    assert "fec0::3 dev eth0" in net.run("ip", "-6", "route", "show")
    assert net.run("cat", "/proc/sys/net/ipv6/conf/eth0/accept_ra") == "0\n"


def test_a_card_that_was_only_brought_up_is_not_taken_down_to_get_its_addresses(net):
    """What brought it up before its machine was a template is not done again in each fork."""
    witness = "203.0.113.0/24 dev eth0 scope link"
    net.run("ip", "route", "add", "203.0.113.0/24", "dev", "eth0")
    assert net.network(**USER) == ""
    assert witness in net.routes()
    assert net.network(**USER, mtu=1400) == ""
    assert witness not in net.routes()


def test_a_request_that_is_done_is_not_done_again_until_a_program_may_have_undone_it(net):
    """A fork repeats what its template was told, and that costs nothing."""
    witness = "203.0.113.0/24 dev eth0 scope link"
    assert net.network(**USER) == ""
    net.run("ip", "route", "add", "203.0.113.0/24", "dev", "eth0")
    assert net.network(**USER) == ""
    assert witness in net.routes()
    net.start_program()
    for _ in range(2):
        assert net.network(**USER) == ""
        assert witness not in net.routes()
        net.run("ip", "route", "add", "203.0.113.0/24", "dev", "eth0")
    refused = net.network(interface="eth0", addresses=["nonsense"])
    assert "nonsense" in refused
    assert net.network(**USER) == ""
    assert net.addresses() == ["10.0.2.15/32"]


def test_the_same_request_may_be_made_again(net):
    assert net.network(**USER, hwaddr=FIRST) == ""
    before = (net.addresses(), net.routes(), net.link()["address"])
    assert net.network(**USER, hwaddr=FIRST) == ""
    assert (net.addresses(), net.routes(), net.link()["address"]) == before
    assert net.network(**USER) == ""
    assert (net.addresses(), net.routes(), net.link()["address"]) == before


def test_a_forks_card_has_nothing_left_of_its_parents(net):
    parent = ["10.1.0.2/24", "10.1.0.3/24", "192.0.2.1/32", "2001:db8::2/64", "fd00::7/128"]
    routes = [{"dst": "default", "via": "10.1.0.1"}, {"dst": "198.51.100.0/24", "via": "10.1.0.9"}]
    assert net.network(interface="eth0", hwaddr=FIRST, addresses=parent, routes=routes) == ""
    assert net.addresses() == sorted(parent)
    child = [{"dst": "default", "via": "10.2.0.1"}]
    addresses = ["10.2.0.2/24", "2001:db8:2::2/64"]
    assert net.network(interface="eth0", hwaddr=SECOND, addresses=addresses, routes=child) == ""
    assert net.link()["address"] == "52:54:00:aa:bb:02"
    assert "UP" in net.link()["flags"]
    assert net.addresses() == addresses
    assert net.routes() == [
        "10.2.0.0/24 dev eth0 proto kernel scope link src 10.2.0.2",
        "default via 10.2.0.1 dev eth0",
    ]
    assert "2001:db8::" not in net.run("ip", "-6", "route")
    assert net.run("ip", "neighbour", "show", "dev", "eth0") == ""


def test_a_card_of_which_only_the_hardware_address_differs_is_not_taken_down(net):
    """A fork on the network of its parent, whose programs may have added what is theirs."""
    witness = "203.0.113.0/24 dev eth0 scope link"
    assert net.network(**USER) == ""
    net.start_program()
    net.run("ip", "route", "add", "203.0.113.0/24", "dev", "eth0")
    before = net.routes()
    assert witness in before
    assert net.network(**USER, hwaddr=SECOND) == ""
    assert (net.link()["address"], net.routes()) == ("52:54:00:aa:bb:02", before)
    assert net.addresses() == ["10.0.2.15/32"]
    assert net.network(interface="eth0", addresses=["10.0.2.15/32"], routes=[{"dst": "nonsense"}]) != ""
    assert net.network(**USER, hwaddr=FIRST) == ""
    assert (net.link()["address"], witness in net.routes()) == ("52:54:00:aa:bb:01", False)
    assert set(net.routes()) == set(before) - {witness}


def test_a_card_with_a_new_address_announces_each_of_its_ipv4_addresses_and_others_announce_nothing(net):
    """Else the other end goes on sending to the address that it had, as QEMU's network does in a fork."""
    with subprocess.Popen([*net.enter, sys.executable, "-c", ARP_LISTENER, "peer"], **_PIPES) as listener:
        assert listener.stdin is not None
        assert listener.stdout is not None
        assert listener.stdout.readline() == b"listening\n"
        assert net.network(**USER) == ""
        for hwaddr in (FIRST, SECOND):
            addresses = ["10.0.2.15/32", "2001:db8::2/64", "192.0.2.1/24"]
            assert net.network(interface="eth0", hwaddr=hwaddr, addresses=addresses) == ""
        heard = [bytes.fromhex(listener.stdout.readline().decode()) for _ in range(4)]
        listener.stdin.close()
        assert listener.stdout.read() == b""
    assert heard == [
        announcement(hwaddr, socket.inet_aton(ip))
        for hwaddr in (FIRST, SECOND)
        for ip in ("10.0.2.15", "192.0.2.1")
    ]


# Prints each ARP frame that it receives on an interface, until its standard input ends.
ARP_LISTENER = """
import select, socket, sys
ETH_P_ARP = 0x0806
frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP))
frames.bind((sys.argv[1], ETH_P_ARP))
print("listening", flush=True)
while frames in select.select([frames, sys.stdin], [], [])[0]:
    print(frames.recv(65536).hex(), flush=True)
"""


def announcement(hwaddr: bytes, ip: bytes) -> bytes:
    """RFC 5227 section 2.3, in the layout of RFC 826: a request to all, for the sender's own address."""
    ethernet = b"\xff" * 6 + hwaddr + b"\x08\x06"
    return ethernet + bytes.fromhex("0001 0800 06 04 0001") + hwaddr + ip + bytes(6) + ip


def test_more_addresses_than_one_answer_holds_are_all_taken_back(net):
    many = [f"10.{a}.{b}.1/24" for a in range(4) for b in range(250)]
    assert net.network(interface="eth0", addresses=many) == ""
    assert len(net.addresses()) == 1000
    assert net.network(**USER) == ""
    assert net.addresses() == ["10.0.2.15/32"]


def test_other_cards_and_the_loopback_keep_what_they_have(net):
    net.run("ip", "address", "add", "10.9.0.1/24", "dev", "peer")
    assert net.network(**USER, hwaddr=FIRST) == ""
    assert net.network(interface="lo", addresses=["127.0.0.9/32"]) == ""
    (lo,) = json.loads(net.run("ip", "-json", "address", "show", "dev", "lo"))
    assert {a["local"] for a in lo["addr_info"]} >= {"127.0.0.1", "127.0.0.9"}
    (peer,) = json.loads(net.run("ip", "-json", "address", "show", "dev", "peer"))
    assert "10.9.0.1" in {a["local"] for a in peer["addr_info"]}


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({"interface": "eth9"}, f"{errno.ENODEV} link: eth9"),
        ({"interface": "x" * 40}, f"{errno.ENODEV} link: {'x' * 40}"),
        ({"hwaddr": b"12345"}, f"{errno.EINVAL} request: hwaddr"),
        ({"addresses": ["10.0.0.1/33"]}, f"{errno.EINVAL} address: 10.0.0.1/33"),
        ({"routes": [{"dst": "default", "kind": "blackhole"}]}, f"{errno.EINVAL} route: kind blackhole"),
        ({"routes": [{"dst": "default", "via": "10.77.0.1"}]}, f"{errno.ENETUNREACH} route: default"),
    ],
)
def test_what_cannot_be_done_is_told(net, fields, answer):
    assert net.network(**{"interface": "eth0", **fields}) == answer
    assert net.network(**USER) == ""
