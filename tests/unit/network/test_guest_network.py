"""What the guest is told about its network."""

from __future__ import annotations

import msgspec

from firkin.machine.spec import PublishedPort
from firkin.network.guest import guest_network, hosts
from firkin.network.resolv_conf import resolv_conf
from firkin.network.spec import HOST_GATEWAY, Dns, HostEntry, Interface, NetworkSpec
from firkin.wire.messages import Guard

SLIRP = ("10.0.2.3",)


def of_host(host: str) -> bytes:
    return resolv_conf(host, SLIRP, Dns(), "")


def test_without_a_network_the_guest_is_told_nothing() -> None:
    network = guest_network(NetworkSpec(interfaces=()))
    assert (network.ops, network.resolv_conf, network.address) == ((), b"", "")


def test_the_guest_reaches_the_outside_and_no_address_of_the_vmms_subnet_but_dns() -> None:
    (eth0,) = guest_network(NetworkSpec()).cards
    routes = {route.dst: route for route in eth0.routes}
    assert eth0.addresses == ("10.0.2.15/32",)
    assert routes["10.0.2.0/24"].kind == "prohibit"
    assert (routes["default"].via, routes["default"].onlink) == ("10.0.2.3", True)
    assert routes["127.0.0.0/8"].kind == "prohibit"
    assert set(routes) == {"10.0.2.3/32", "default", "10.0.2.0/24", "127.0.0.0/8"}


def test_a_machine_with_published_ports_or_by_request_has_a_way_to_the_host() -> None:
    for network in (
        guest_network(NetworkSpec(), PublishedPort.parse("8080:80")),
        guest_network(NetworkSpec(host_loopback=True)),
    ):
        (eth0,) = network.cards
        routes = {route.dst: route for route in eth0.routes}
        assert routes["10.0.2.2/32"].kind == "unicast"
        assert routes["default"].via == "10.0.2.2"


def test_published_ports_are_no_way_to_the_hosts_loopback_unless_that_was_asked_for() -> None:
    ports = PublishedPort.parse("8080:80") + PublishedPort.parse("5300-5301:53-54/udp")
    first, *_ = guest_network(NetworkSpec(), ports).ops
    assert first == Guard(address="10.0.2.2", udp=(53, 54))
    asked = guest_network(NetworkSpec(host_loopback=True), ports)
    assert asked.ops == asked.cards


def test_ipv6_leads_outside_and_a_guard_keeps_it_from_the_hosts_loopback_unless_that_was_asked_for() -> None:
    network = guest_network(NetworkSpec(ipv6=True))
    (eth0,) = network.cards
    routes = {route.dst: route for route in eth0.routes}
    assert eth0.addresses == ("10.0.2.15/32", "fec0::f/128")
    assert routes["fec0::/64"].kind == "prohibit"
    assert "fec0::2/128" not in routes
    assert [route.via for route in eth0.routes if route.dst == "default"] == ["10.0.2.3", "fec0::3"]
    assert network.ops[0] == Guard(address="10.0.2.2", resolver6="fec0::3")
    assert network.resolv_conf.startswith(b"nameserver 10.0.2.3\nnameserver fec0::3\n")
    asked = guest_network(NetworkSpec(ipv6=True, host_loopback=True))
    assert asked.ops == asked.cards
    assert "fec0::2/128" in {route.dst for route in asked.cards[0].routes}


def test_a_private_card_has_its_subnet_and_its_name_server_and_nothing_else() -> None:
    card = Interface(
        network="blue", id="ab" * 32, mac="02:00:00:00:00:0b", address="10.90.0.2/24", address6="fd00::2/64",
        gateway="10.90.0.1",
    )  # fmt: skip
    spec = NetworkSpec(interfaces=(Interface(), card), dns=Dns(servers=("192.0.2.53",)))
    network = guest_network(spec)
    _, eth1 = network.cards
    assert (eth1.interface, eth1.routes, eth1.mtu) == ("eth1", (), 65520)
    assert eth1.addresses == ("10.90.0.2/24", "fd00::2/64")
    assert network.resolv_conf.startswith(b"nameserver 10.90.0.1\n")
    assert b"192.0.2.53" not in network.resolv_conf  # its switch asks that
    assert network.address == "10.90.0.2"
    internal = guest_network(msgspec.structs.replace(spec, interfaces=(card,)))
    assert [each.interface for each in internal.cards] == ["eth0"]


def test_a_card_with_an_address_of_its_own_gets_it() -> None:
    (eth0,) = guest_network(NetworkSpec(interfaces=(Interface(mac="02:00:00:00:00:0a"),))).cards
    assert eth0.hwaddr == bytes.fromhex("02000000000a")


def test_the_guest_asks_the_vmms_name_server_in_the_hosts_domains() -> None:
    host = "# made by something\nnameserver 192.0.2.1\nsearch corp.example lab.example\noptions ndots:2\n"
    assert of_host(host) == b"nameserver 10.0.2.3\nsearch corp.example lab.example\noptions ndots:2\n"


def test_a_single_domain_is_a_search_list_and_later_lines_win() -> None:
    assert of_host("domain old.example\nsearch new.example\n") == b"nameserver 10.0.2.3\nsearch new.example\n"


def test_an_empty_search_list_and_a_strange_file_are_left_out() -> None:
    assert of_host("search .\n\n\t\nsearch\n") == b"nameserver 10.0.2.3\n"


def test_what_was_asked_of_the_resolver_replaces_the_hosts_of_its_kind_and_leaves_the_rest() -> None:
    host = "search corp.example\noptions ndots:2\n"
    servers = Dns(servers=("192.0.2.53", "2001:db8::53"))
    assert resolv_conf(host, SLIRP, servers, "") == (
        b"nameserver 192.0.2.53\nnameserver 2001:db8::53\nsearch corp.example\noptions ndots:2\n"
    )
    others = Dns(search=("a.example",), options=("rotate",))
    assert resolv_conf(host, SLIRP, others, "") == (
        b"nameserver 10.0.2.3\nsearch a.example\noptions rotate\n"
    )
    assert resolv_conf(host, SLIRP, Dns(search=()), "") == b"nameserver 10.0.2.3\noptions ndots:2\n"


def test_a_domain_is_searched_in_place_of_the_hosts_and_behind_a_search_list() -> None:
    host = "search corp.example\n"
    assert resolv_conf(host, SLIRP, Dns(), "b.example") == b"nameserver 10.0.2.3\ndomain b.example\n"
    asked = resolv_conf(host, SLIRP, Dns(search=("a.example",)), "b.example")
    assert asked == b"nameserver 10.0.2.3\ndomain b.example\nsearch a.example\n"


def test_hosts_hold_several_names_and_comments_and_the_container_itself() -> None:
    entries = (
        HostEntry(names=("db", "cache"), address="10.0.0.5", comment="the old one"),
        HostEntry(names=("six",), address="2001:db8::5"),
        HostEntry(names=("host",), address=HOST_GATEWAY),
    )
    network = NetworkSpec(hosts=entries, domain="corp.example")
    assert hosts(network, "box", "10.0.2.15").decode().splitlines() == [
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "10.0.0.5\tdb cache\t# the old one",
        "2001:db8::5\tsix",
        "10.0.2.2\thost",
        "10.0.2.15\tbox.corp.example box",
    ]
    alone = msgspec.structs.replace(network, hosts=(), domain="")
    assert hosts(alone, "box", "").endswith(b"127.0.1.1\tbox\n")
