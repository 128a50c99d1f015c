"""What a container reaches, and who reaches it: names, the outside, published datagrams."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from firkin.pytest.command import Command
from firkin.pytest.home import Home
from firkin.pytest.leaks import SUPERVISOR, processes_of, wait_until_gone
from tests.support.outside import GREETING, NAME, WEB, WEB6

pytestmark = [pytest.mark.machine, pytest.mark.slow]

_CHECKOUT = Path(__file__).parents[2]
_ECHO = """
use IO::Socket::INET;
my $socket = IO::Socket::INET->new(LocalPort => 9000, Proto => "udp") or die;
while ($socket->recv(my $said, 1500)) { $socket->send("echo $said") }
"""
_BOTH = f"""
if (my $pid = fork) {{ {_ECHO} }}
use IO::Socket::INET;
my $server = IO::Socket::INET->new(LocalPort => 80, Listen => 5) or die;
while (my $client = $server->accept) {{ print $client "answer"; close $client }}
"""
_KNOCK6 = """
use Socket qw(:all);
sub try { my ($kind, $to, $card) = @_;
    socket(my $s, PF_INET6, SOCK_STREAM, 6);
    setsockopt($s, SOL_SOCKET, 25, "eth0\\0") if $card;  # SO_BINDTODEVICE
    setsockopt($s, SOL_SOCKET, 21, pack("qq", 3, 0));  # SO_SNDTIMEO
    my $done = connect($s, pack_sockaddr_in6(80, inet_pton(AF_INET6, $to)));
    print "$kind $to: ", $done ? scalar <$s> : "no way\\n";
}
try("plain", $_) for @ARGV;
try("bound", $_, 1) for @ARGV;
"""
_KNOCK = """
use Socket;
my ($port, $host, $own) = ($ARGV[0], inet_aton("10.0.2.2"), inet_aton("10.0.2.15"));
sub say_of { print "$_[0]: ", $_[1] ? "done" : $!, "\\n" }
socket(my $stream, PF_INET, SOCK_STREAM, 6);
say_of("connect", connect($stream, pack_sockaddr_in($port, $host)));
my $syn = pack("nnNNCCnnn", 1000, $port, 1, 0, 0x50, 2, 1000, 0, 0);
socket(my $raw, PF_INET, SOCK_RAW, 255);
for (["raw", 0], ["fragment", 0x2000]) {
    my $header = pack("CCnnnCCna4a4", 0x45, 0, 40, 1, $_->[1], 64, 6, 0, $own, $host);
    say_of($_->[0], send($raw, $header . $syn, 0, pack_sockaddr_in(0, $host)));
}
socket(my $datagram, PF_INET, SOCK_DGRAM, 17);
say_of("datagram", send($datagram, "hello", 0, pack_sockaddr_in($port, $host)));
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


def test_a_container_has_the_names_resolver_card_and_parameters_that_it_was_given(
    firkin: Command, stocked: Home
) -> None:
    asked = (
        "--dns=192.0.2.53 --dns=2001:db8::53 --dns-search=a.example --dns-search=b.example "
        "--dns-option=ndots:3 "
        "--add-host=db,cache:10.0.0.5 --add-host=six:2001:db8::5 --add-host=host:host-gateway "
        "--network=user:host-loopback=true --hostname=box --domainname=corp.example "
        "--mac-address=02:42:ac:11:00:02 --sysctl=net.core.somaxconn=2048 --sysctl=kernel.msgmax=9001"
    )
    firkin("run", "-d", "--name", "told", *asked.split(), "debian", "sleep", "inf", check=True)
    for _ in range(2):  # and again after it was started again
        resolver = _inside(firkin, "told", "cat /etc/resolv.conf")
        assert resolver.splitlines() == [
            "nameserver 192.0.2.53", "nameserver 2001:db8::53", "domain corp.example",
            "search a.example b.example", "options ndots:3",
        ]  # fmt: skip
        names = _inside(firkin, "told", "for name in db cache six host; do getent -s files hosts $name; done")
        addresses = [line.split()[0] for line in names.splitlines()]
        assert addresses == ["10.0.0.5", "10.0.0.5", "2001:db8::5", "10.0.2.2"]
        own = "hostname; hostname --fqdn; cat /proc/sys/kernel/domainname"
        assert _inside(firkin, "told", own).split() == ["box", "box.corp.example", "corp.example"]
        assert _inside(firkin, "told", "cat /sys/class/net/eth0/address") == "02:42:ac:11:00:02\n"
        parameters = "cat /proc/sys/net/core/somaxconn /proc/sys/kernel/msgmax"
        assert _inside(firkin, "told", parameters).split() == ["2048", "9001"]
        firkin("stop", "-t", "0", "told", check=True)
        firkin("start", "told", check=True)
    settings = "{{.NetworkSettings.MacAddress}} {{.HostConfig.Dns}} {{.Config.Domainname}}"
    said = firkin("inspect", "--format", settings, "told", check=True).stdout
    assert said == "02:42:ac:11:00:02 [192.0.2.53 2001:db8::53] corp.example\n"
    firkin("rm", "-f", "told", check=True)


def test_the_hosts_loopback_is_reached_only_where_that_was_asked_for(firkin: Command, stocked: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        knock = f"timeout 5 bash -c 'echo hello > /dev/tcp/10.0.2.2/{server.getsockname()[1]}' || echo no way"
        asked = firkin("run", "--rm", "--network=user:host-loopback=true", "debian", "bash", "-c", knock)
        assert (asked.stdout, asked.status) == ("", 0), asked
        with server.accept()[0] as client:
            assert client.recv(16) == b"hello\n"
        assert firkin("run", "--rm", "debian", "bash", "-c", knock).stdout == "no way\n"


@pytest.mark.root
def test_a_container_with_ipv6_reaches_the_outside_and_not_the_hosts_loopback(
    outside: Command, stocked: Home
) -> None:
    if not Path("/proc/net/if_inet6").exists():
        pytest.skip("this host's kernel has no IPv6")
    look = "ip -6 -brief address show dev eth0 scope site; ip -6 route show default; cat /etc/resolv.conf"
    told = ("run", "--rm", "--network=user:ipv6=true")
    seen = outside(*told, "busybox", "sh", "-c", look.replace("-brief ", ""), check=True).stdout
    assert "inet6 fec0::f/128 scope site" in seen
    assert "default via fec0::3 dev eth0" in seen
    assert seen.count("inet6") == 1  # what the VMM's router offers is not taken beside it
    assert "nameserver 10.0.2.3\nnameserver fec0::3\n" in seen
    host = ("fec0::2", "fec0::99", "::1", "::ffff:127.0.0.1")
    tried = outside(*told, "debian", "perl", "-e", _KNOCK6, WEB6, *host, check=True).stdout
    greeting = GREETING.decode().strip()
    assert tried.splitlines() == [
        f"{kind} {each}: {greeting if each == WEB6 else 'no way'}"
        for kind in ("plain", "bound")
        for each in (WEB6, *host)
    ]
    asked = ("run", "--rm", "--network=user:ipv6=true,host-loopback=true", "debian", "perl", "-e", _KNOCK6)
    assert outside(*asked, "fec0::2", check=True).stdout.startswith(f"plain fec0::2: {greeting}")


def test_published_ports_answer_and_are_no_way_to_the_hosts_loopback(firkin: Command, stocked: Home) -> None:
    publish = (
        "-p",
        "127.0.0.1::80",
        "-p",
        "127.0.0.1::9000/udp",
        "-p",
        "[::1]::79-80",
        "-p",
        "[::1]::9000/udp",
    )
    firkin("network", "create", "blue", check=True)
    on_blue = ("run", "-d", "--name", "held", "--network", "blue")
    firkin(*on_blue, *publish, "debian", "perl", "-e", _BOTH, check=True)
    at = [line.rpartition(":")[2] for line in firkin("port", "held", check=True).stdout.splitlines()]
    web, datagrams, closed6, web6, datagrams6 = (int(number) for number in at)
    assert _greeting(web) == b"answer"
    assert _greeting(web6, "::1") == b"answer"
    _kill_supervisor(stocked)
    firkin("exec", "held", "true", check=True)  # which another one serves now
    assert _greeting(web6, "::1") == b"answer"
    with socket.create_connection(("::1", closed6), timeout=60) as nobody:
        assert nobody.recv(16) == b""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.2)
        client.connect(("127.0.0.1", datagrams))
        assert _ask(client, b"hello") == b"echo hello"
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client6:
        client6.settimeout(0.2)
        client6.connect(("::1", datagrams6))
        assert _ask(client6, b"six") == b"echo six"
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        tried = firkin("exec", "held", "perl", "-e", _KNOCK, str(number), check=True).stdout
        assert tried.splitlines() == ["connect: Operation not permitted"] + [
            f"{way}: Operation not permitted" for way in ("raw", "fragment", "datagram")
        ]
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    firkin("rm", "-f", "held", check=True)


def _kill_supervisor(home: Home) -> None:
    (pid,) = [found.pid for found in processes_of(str(home.root)) if SUPERVISOR in found.command]
    os.kill(pid, signal.SIGKILL)
    wait_until_gone([pid], 60)


def _greeting(port: int, host: str = "127.0.0.1") -> bytes:
    """What the container says there. Until it listens, whoever connects is hung up on."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection((host, port), timeout=5) as client:
            if said := client.recv(16):
                return said
    raise AssertionError("no greeting in 60 s")


def test_everything_exposed_is_published_and_port_says_where(firkin: Command, stocked: Home) -> None:
    firkin("run", "-d", "--name", "all", "-P", "--expose=9000/udp", "-p", "127.0.0.1::80-81", "--expose=80",
           "debian", "perl", "-e", _ECHO, check=True)  # fmt: skip
    shown = dict(line.split(" -> ") for line in firkin("port", "all", check=True).stdout.splitlines())
    assert set(shown) == {"80/tcp", "81/tcp", "9000/udp"}
    host, _, number = shown["9000/udp"].partition(":")
    assert host == "0.0.0.0"
    assert shown["80/tcp"].startswith("127.0.0.1:")
    assert firkin("port", "all", "9000/udp", check=True).stdout == f"0.0.0.0:{number}\n"
    none = firkin("port", "all", "9000")
    assert none.status != 0
    assert "publishes no port 9000" in none.stderr
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.2)
        client.connect(("127.0.0.1", int(number)))
        assert _ask(client, b"hello") == b"echo hello"
    firkin("rm", "-f", "all", check=True)


def _inside(firkin: Command, name: str, script: str) -> str:
    """What `script` prints in the container."""
    return firkin("exec", name, "bash", "-c", script, check=True).stdout


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
