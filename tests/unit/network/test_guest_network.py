"""What the guest is told about its network."""

from __future__ import annotations

from firkin.network.guest import guest_ops, resolv_conf


def test_without_a_network_the_guest_is_told_nothing() -> None:
    network = guest_ops("none")
    assert (network.ops, network.resolv_conf, network.address) == ((), b"", "")


def test_the_guest_reaches_the_outside_and_no_address_of_the_vmms_subnet_but_dns() -> None:
    (eth0,) = guest_ops("user").ops
    routes = {route.dst: route for route in eth0.routes}
    assert eth0.addresses == ("10.0.2.15/32",)
    assert routes["10.0.2.0/24"].kind == "prohibit"
    assert (routes["default"].via, routes["default"].onlink) == ("10.0.2.3", True)
    assert routes["127.0.0.0/8"].kind == "prohibit"
    assert set(routes) == {"10.0.2.3/32", "default", "10.0.2.0/24", "127.0.0.0/8"}


def test_a_machine_with_published_ports_has_a_way_back_to_the_host() -> None:
    (eth0,) = guest_ops("user", published=True).ops
    routes = {route.dst: route for route in eth0.routes}
    assert routes["10.0.2.2/32"].kind == "unicast"
    assert routes["default"].via == "10.0.2.2"


def test_the_guest_asks_the_vmms_name_server_in_the_hosts_domains() -> None:
    host = "# made by something\nnameserver 192.0.2.1\nsearch corp.example lab.example\noptions ndots:2\n"
    assert resolv_conf(host) == b"nameserver 10.0.2.3\nsearch corp.example lab.example\noptions ndots:2\n"


def test_a_single_domain_is_a_search_list_and_later_lines_win() -> None:
    assert (
        resolv_conf("domain old.example\nsearch new.example\n")
        == b"nameserver 10.0.2.3\nsearch new.example\n"
    )


def test_an_empty_search_list_and_a_strange_file_are_left_out() -> None:
    assert resolv_conf("search .\n\n\t\nsearch\n") == b"nameserver 10.0.2.3\n"
