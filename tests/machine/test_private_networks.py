"""Private networks: machines find and reach each other by name there, and cannot be anybody else."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest

from firkin.container.record import Running, find
from firkin.pytest.command import Command
from firkin.pytest.home import Home
from firkin.pytest.leaks import SUPERVISOR, processes_of, wait_until_gone
from firkin.settings import Settings

pytestmark = [pytest.mark.machine, pytest.mark.slow]

_SPOOF = """
my ($target, $own, $claimed) = map { pack("H12", $_) } @ARGV[0, 1, 2];
my @mine = split /\\./, $ARGV[3];
my @theirs = split /\\./, $ARGV[4];
my $to = pack("C4", split /\\./, $ARGV[5]);
socket(my $raw, 17, 3, 0x0300) or die "socket: $!";  # AF_PACKET, SOCK_RAW, ETH_P_ALL
open(my $file, "<", "/sys/class/net/eth1/ifindex") or die;
my $card = pack("SnlSCCa8", 17, 0x0806, int(<$file>), 1, 0, 6, $target);
sub arp { my ($mac, $sender, $address) = @_;
    my $body = pack("nnCCn", 1, 0x0800, 6, 4, 2) . $sender . pack("C4", @$address) . $target . $to;
    send($raw, $target . $mac . pack("n", 0x0806) . $body . ("\\0" x 18), 0, $card) or die "send: $!";
}
arp($own, $own, \\@theirs);          # another's address
arp($claimed, $claimed, \\@theirs);  # from another's card
arp($own, $claimed, \\@mine);        # with another's card
"""


def _inside(firkin: Command, name: str, script: str) -> str:
    return firkin("exec", name, "sh", "-c", script, check=True).stdout


def _card(firkin: Command, name: str) -> dict[str, Any]:
    shown = firkin("inspect", "--format", "{{json .NetworkSettings.Networks.blue}}", name, check=True)
    card: dict[str, Any] = json.loads(shown.stdout)
    return card


def _switches(home: Home, network: str = "") -> list[int]:
    """The processes that are switches of this test's networks, or of that one."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            words = (directory / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        ours = b"firkin.switch" in words and any(os.fsencode(home.root) in word for word in words)
        if ours and network in ("", words[-2].decode()):
            found.append(int(directory.name))
    return found


def test_machines_reach_each_other_by_name_whoever_dies_and_nobody_is_another(
    firkin: Command, stocked: Home
) -> None:
    firkin(
        "network", "create", "--ipv6", "--subnet", "10.90.0.0/24", "--label", "of=test", "blue", check=True
    )
    on_blue = ("run", "-d", "--network", "blue")
    firkin(*on_blue, "--name", "one", "--network-alias", "db", "busybox", "sleep", "inf", check=True)
    firkin(*on_blue, "--name", "two", "--ip", "10.90.0.77", "debian", "sleep", "inf", check=True)

    cards = {name: _card(firkin, name) for name in ("one", "two")}
    assert [card["IPAddress"] for card in cards.values()] == ["10.90.0.2", "10.90.0.77"]
    for name, card in cards.items():
        own = _inside(firkin, name, "cat /sys/class/net/eth1/address /sys/class/net/eth1/mtu")
        assert own.split() == [card["MacAddress"], "65520"]
    seen = _inside(firkin, "one", "ip address show dev eth1; ip route; cat /etc/resolv.conf /etc/hosts")
    assert "inet 10.90.0.2/24" in seen
    assert f"inet6 {cards['one']['GlobalIPv6Address']}/64" in seen
    assert "default via 10.0.2.3 dev eth0" in seen
    assert "nameserver 10.90.0.1\n" in seen

    for name in ("two", "two.blue", "10.90.0.1", cards["two"]["GlobalIPv6Address"]):
        assert "1 packets received" in _inside(firkin, "one", f"ping -c 1 -W 30 {name}")
    names = _inside(firkin, "two", "for name in db one one.blue; do getent ahostsv4 $name | head -n 1; done")
    assert [line.split()[0] for line in names.splitlines()] == ["10.90.0.2"] * 3
    assert firkin("exec", "two", "getent", "hosts", "nobody").status == 2

    _inside(firkin, "one", "ping -c 1 -W 30 -4 10.90.0.1")  # it knows the switch's card now
    before = _neighbours(firkin, "one")
    macs = [each.replace(":", "") for each in (cards["one"]["MacAddress"], cards["two"]["MacAddress"])]
    words = (*macs, before["10.90.0.1"].replace(":", ""), "10.90.0.77", "10.90.0.1", "10.90.0.2")
    firkin("exec", "two", "perl", "-e", _SPOOF, *words, check=True)
    _inside(firkin, "two", "getent hosts one")  # behind those frames on the same wire
    after = _neighbours(firkin, "one")
    assert after["10.90.0.1"] == before["10.90.0.1"]
    assert after.get("10.90.0.77", cards["two"]["MacAddress"]) == cards["two"]["MacAddress"]

    (switch,) = _switches(stocked)
    os.kill(switch, signal.SIGKILL)
    assert "received" in _inside(firkin, "one", "until ping -c 1 -W 1 two; do :; done")
    assert _switches(stocked) not in ([], [switch])

    busy = firkin("network", "rm", "blue")
    assert (busy.status, "one, two" in busy.stderr) == (125, True), busy
    taken = firkin("run", "--rm", "--network", "blue:ip=10.90.0.77", "busybox", "true")
    assert "10.90.0.77 is another's" in taken.stderr
    shown = json.loads(firkin("network", "inspect", "blue", check=True).stdout)[0]
    assert {each["Name"] for each in shown["Containers"].values()} == {"one", "two"}

    firkin("restart", "-t", "0", "one", check=True)  # keeps its addresses
    firkin("create", "--name", "late", "busybox", "ping", "-c", "1", "-W", "60", "one", check=True)
    firkin("network", "connect", "--ip", "10.90.0.9", "blue", "late", check=True)
    assert "1 packets received" in firkin("start", "--attach", "late", check=True).stdout
    firkin("network", "disconnect", "blue", "late", check=True)
    assert "received" in _inside(firkin, "two", "perl -e 'alarm 60' & getent hosts one && echo received")
    assert _card(firkin, "one") == cards["one"]
    firkin("rm", "-f", "one", "two", "late", check=True)
    firkin("network", "rm", "blue", check=True)


def _neighbours(firkin: Command, name: str) -> dict[str, str]:
    """Whose card is at which address, as far as it knows."""
    lines = _inside(firkin, name, "cat /proc/net/arp").splitlines()[1:]
    return {line.split()[0]: line.split()[3] for line in lines if line.split()[5] == "eth1"}


def test_an_internal_network_leads_nowhere_else_and_forks_and_pods_are_machines_of_their_own(
    firkin: Command, stocked: Home
) -> None:
    firkin("network", "create", "--internal", "blue", check=True)
    firkin("run", "-d", "--name", "first", "--network", "blue", "busybox", "sleep", "inf", check=True)
    seen = _inside(firkin, "first", "ls /sys/class/net; ip route")
    first = _card(firkin, "first")
    assert seen.split()[:2] == ["eth0", "lo"]
    assert "default" not in seen
    firkin("fork", "--name", "second", "first", check=True)
    second = _card(firkin, "second")
    assert second["IPAddress"] != first["IPAddress"]
    assert second["MacAddress"] != first["MacAddress"]
    assert "received" in _inside(firkin, "first", "ping -c 1 -W 30 second")
    assert "received" in _inside(firkin, "second", "ping -c 1 -W 30 first")
    assert _inside(firkin, "second", "cat /sys/class/net/eth0/address").strip() == second["MacAddress"]
    firkin("pod", "create", "--name", "band", "--network", "blue", check=True)
    firkin("run", "-d", "--name", "member", "--pod", "band", "busybox", "sleep", "inf", check=True)
    assert "received" in _inside(firkin, "first", "ping -c 1 -W 30 band")
    assert "received" in _inside(firkin, "member", "ping -c 1 -W 30 second")
    firkin("pod", "rm", "-f", "band", check=True)
    refused = firkin("run", "--rm", "-p", "8080:80", "--network", "blue", "busybox", "true")
    assert "has no ports outside" in refused.stderr
    firkin("rm", "-f", "first", "second", check=True)
    assert firkin("network", "prune", "-f", check=True).stdout == "blue\n"


def test_a_running_container_comes_to_networks_and_leaves_them(firkin: Command, stocked: Home) -> None:
    for name in ("blue", "green", "red"):
        firkin("network", "create", name, check=True)
    firkin("run", "-d", "--name", "db", "--network", "blue", "busybox", "sleep", "inf", check=True)
    serve = "httpd -p 80 -h /etc; exec sleep inf"
    published = ("-p", "127.0.0.1::80")
    firkin("run", "-d", "--name", "web", *published, "busybox", "sh", "-c", serve, check=True)
    assert _interfaces(firkin, "web") == ["eth0", "lo"]

    with socket.create_connection(("127.0.0.1", _port(firkin, "web")), timeout=60) as held:
        firkin("network", "connect", "--alias", "www", "blue", "web", check=True)
        held.sendall(b"GET /hostname HTTP/1.0\r\n\r\n")
        assert held.recv(12) == b"HTTP/1.1 200"
    card = _card(firkin, "web")
    assert card["Interface"] == "eth1"
    seen = _inside(firkin, "web", "ip address show dev eth1; ip route; cat /etc/resolv.conf /etc/hosts")
    assert f"inet {card['IPAddress']}/24" in seen
    assert card["MacAddress"] in seen
    assert f"nameserver {card['Gateway']}\n" in seen
    assert "default via" in seen
    assert f"{card['IPAddress']}\t" in seen
    assert "received" in _inside(firkin, "web", "ping -c 1 -W 30 db")
    assert "received" in _inside(firkin, "db", "ping -c 1 -W 30 www")
    firkin("rename", "web", "shop", check=True)
    assert "received" in _inside(firkin, "db", "ping -c 1 -W 30 shop")

    firkin("network", "connect", "green", "shop", check=True)
    assert _interfaces(firkin, "shop") == ["eth0", "eth1", "eth2", "lo"]
    full = firkin("network", "connect", "red", "shop")
    assert (full.status, "has 2 cards for private networks" in full.stderr) == (125, True), full

    firkin("suspend", "shop", check=True)
    firkin("resume", "shop", check=True)
    assert "received" in _inside(firkin, "shop", "ping -c 1 -W 30 db")
    firkin("fork", "--name", "twin", "shop", check=True)
    on_green = _inside(firkin, "shop", "ip -4 -o address show dev eth2").split()[3].partition("/")[0]
    for name in ("shop", "shop.green", on_green, "db"):
        assert "received" in _inside(firkin, "twin", f"ping -c 1 -W 30 {name}")
    assert _card(firkin, "twin")["IPAddress"] not in (card["IPAddress"], _card(firkin, "db")["IPAddress"])

    _kill_supervisor(stocked)
    _leave_half(stocked, "shop", "green")
    assert _interfaces(firkin, "shop") == ["eth0", "eth1", "lo"]
    firkin("network", "disconnect", "blue", "shop", check=True)
    assert _interfaces(firkin, "shop") == ["eth0", "lo"]
    assert firkin("exec", "db", "ping", "-c", "1", "-W", "1", card["IPAddress"]).status == 1
    assert "bad address" in firkin("exec", "db", "ping", "-c", "1", "shop").stderr
    firkin("network", "disconnect", "blue", "twin", check=True)
    for network in ("red", "green"):
        firkin("network", "connect", network, "shop", check=True)
    assert _interfaces(firkin, "shop") == ["eth0", "eth1", "eth2", "lo"]
    firkin("network", "connect", "red", "twin", check=True)
    assert "received" in _inside(firkin, "shop", "ping -c 1 -W 30 twin")
    with socket.create_connection(("127.0.0.1", _port(firkin, "shop")), timeout=60) as again:
        again.sendall(b"GET /hostname HTTP/1.0\r\n\r\n")
        assert again.recv(12) == b"HTTP/1.1 200"

    firkin("restart", "-t", "0", "shop", check=True)
    assert _interfaces(firkin, "shop") == ["eth0", "eth1", "eth2", "lo"]
    assert "received" in _inside(firkin, "shop", "ping -c 1 -W 30 twin")
    firkin("rm", "-f", "db", "shop", "twin", check=True)
    form = "{{.Action}} {{.Actor.Attributes.name}}"
    filters = ("--filter", "type=network", "--filter", "network=blue")
    told = firkin("events", "--since", "1h", "--until", "0s", *filters, "--format", form, check=True).stdout
    assert told.splitlines() == [
        "create blue", "connect blue", "connect blue", "disconnect blue", "connect blue", "connect blue",
        "disconnect blue", "disconnect blue", "disconnect blue",
    ]  # fmt: skip
    assert sorted(firkin("network", "prune", "-f", check=True).stdout.split()) == ["blue", "green", "red"]


def _port(firkin: Command, name: str) -> int:
    return int(firkin("port", name, check=True).stdout.rpartition(":")[2])


def _interfaces(firkin: Command, name: str) -> list[str]:
    return _inside(firkin, name, "ls /sys/class/net").split()


def _leave_half(home: Home, name: str, network: str) -> None:
    """What an owner leaves that died just after it had put on record that a container left a network, on
    whose switch it had no port any more.
    """
    for pid in _switches(home, network):
        os.kill(pid, signal.SIGKILL)
    record = find(Settings.load(home.environ()).paths, name)
    spec, state = record.spec(), record.started()
    assert isinstance(state, Running)
    left = tuple(card for card in spec.network.interfaces if card.network != network)
    record.set_running(msgspec.structs.replace(state, rewiring=True))
    record.connect(
        msgspec.structs.replace(spec, network=msgspec.structs.replace(spec.network, interfaces=left))
    )


def _kill_supervisor(home: Home) -> None:
    (pid,) = [found.pid for found in processes_of(str(home.root)) if SUPERVISOR in found.command]
    os.kill(pid, signal.SIGKILL)
    wait_until_gone([pid], 60)
