"""The words for a container's network: what they mean, and what is refused before anything starts."""

from __future__ import annotations

from typing import Any

import pytest

from firkin.engine.rules import check
from firkin.engine.words import run_options
from firkin.errors import UsageError
from firkin.network.spec import Dns, HostEntry, Interface, NetworkSpec


def network(**words: Any) -> NetworkSpec:
    options = run_options("i", **words)
    check(options)
    return options.network


def test_without_a_word_there_is_the_user_network_and_the_rest_is_the_hosts() -> None:
    assert network() == NetworkSpec(interfaces=(Interface(network="user"),))
    assert network(network="none").interfaces == ()


def test_the_hosts_loopback_is_reached_only_where_that_is_said() -> None:
    assert not network(network="user").host_loopback
    assert network(network="user:host-loopback=true").host_loopback
    assert network(network=["user:host-loopback"]).host_loopback
    assert not network(network="user:host-loopback=false").host_loopback


def test_ipv6_is_an_option_of_the_user_network() -> None:
    assert not network(network="user").ipv6
    both = network(network="user:ipv6=true,host-loopback=true")
    assert (both.ipv6, both.host_loopback) == (True, True)
    assert not network(network="user:ipv6,ipv6=false").ipv6


def test_private_networks_take_addresses_and_names() -> None:
    said = ["blue:ip=10.90.0.7,ip6=FD00::7,mac=02-00-00-00-00-07,alias=db,alias=cache", "user", "green"]
    one, two, three = network(network=said).interfaces
    assert one == Interface(
        network="blue",
        address="10.90.0.7",
        address6="fd00::7",
        mac="02:00:00:00:00:07",
        aliases=("db", "cache"),
    )
    assert (two, three) == (Interface(), Interface(network="green"))
    (alone,) = network(network="blue", ip="10.90.0.7", ip6="fd00::7", network_aliases=["db"]).interfaces
    assert alone == Interface(network="blue", address="10.90.0.7", address6="fd00::7", aliases=("db",))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"network": "blue:ip=10.90.0.300"}, "network: ip: '10.90.0.300'"),
        ({"network": "blue:ip=fd00::1"}, "network: ip: fd00::1"),
        ({"network": "blue:port=1"}, "network: 'port=1' is no option of blue"),
        ({"network": "blue:alias=a_b c"}, "network_alias: 'a_b c'"),
        ({"network": ["blue", "blue"]}, "network: blue is given twice"),
        ({"network": ["blue", "none"]}, "network: none stands alone"),
        ({"network": [f"n{number}" for number in range(8)]}, "network: 8 are more than 7"),
        ({"network": "host"}, "network: 'host' is a word of its own"),
        ({"network": ["blue", "green"], "ip": "10.90.0.7"}, "ip: it is said of one private network"),
        ({"ip6": "fd00::1"}, "ip6: it is said of one private network, and there are 0"),
        ({"network_aliases": ["db"]}, "network_alias: it is said of one"),
    ],
)
def test_what_no_card_can_be_is_refused(words: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        network(**words)


def test_name_servers_are_of_both_kinds() -> None:
    dns = network(
        dns=["192.0.2.1", "2001:DB8::1"], dns_search=["a.example", "b"], dns_options=["ndots:2"]
    ).dns
    assert dns == Dns(servers=("192.0.2.1", "2001:db8::1"), search=("a.example", "b"), options=("ndots:2",))
    assert network(dns_search=["."]).dns.search == ()
    assert network().dns.search is None


@pytest.mark.parametrize(
    ("said", "names", "address"),
    [
        ("db:10.0.0.5", ("db",), "10.0.0.5"),
        ("db,cache:10.0.0.5", ("db", "cache"), "10.0.0.5"),
        ("six:2001:db8::5", ("six",), "2001:db8::5"),
        ("six=[2001:db8::5]", ("six",), "2001:db8::5"),
        (HostEntry(names=("db",), address="10.0.0.5"), ("db",), "10.0.0.5"),
    ],
)
def test_a_line_of_hosts_is_written_as_for_docker(said: Any, names: tuple[str, ...], address: str) -> None:
    assert network(add_hosts=[said]).hosts == (HostEntry(names=names, address=address),)


def test_sysctls_are_pairs() -> None:
    asked = {"net.core.somaxconn": "2048", "kernel.msgmax": "9000"}
    assert network(sysctls=asked).sysctls == asked
    assert (
        network(sysctls=[f"{name.replace('.', '/')}={value}" for name, value in asked.items()]).sysctls
        == asked
    )


def test_the_card_has_the_address_that_was_asked_for() -> None:
    assert network(mac_address="02-42-AC-11-00-02").interfaces[0].mac == "02:42:ac:11:00:02"


def test_a_hostname_has_labels() -> None:
    check(run_options("i", hostname="web-1.corp.example"))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ({"hostname": "a..b"}, "hostname: 'a..b'"),
        ({"hostname": "a-.b"}, "hostname"),
        ({"hostname": "under_score"}, "hostname"),
        ({"hostname": "a.b\n"}, "hostname"),
        ({"domainname": "corp..example"}, "domainname"),
        ({"network": ["user", "none"]}, "network: none stands alone"),
        ({"network": ["user", "user"]}, "network: user is given twice"),
        ({"network": "user:loopback"}, "network: 'loopback'"),
        ({"network": "user:host-loopback=maybe"}, "network: 'host-loopback=maybe'"),
        ({"network": "host"}, "network: 'host'"),
        ({"network": "none", "publish_all": True}, "publish"),
        ({"network": "none", "mac_address": "02:42:ac:11:00:02"}, "mac_address"),
        ({"mac_address": "02:42:ac:11:00"}, "mac_address"),
        ({"mac_address": "03:42:ac:11:00:02"}, "odd"),
        ({"mac_address": "00:00:00:00:00:00"}, "mac_address"),
        ({"dns": ["300.0.0.1"]}, "dns: '300.0.0.1'"),
        ({"dns": ["192.0.2.1\noptions x"]}, "dns"),
        ({"dns": ["224.0.0.1"]}, "dns: 224.0.0.1"),
        ({"dns": ["192.0.2.1"] * 4}, "dns: 4 are given, more than 3"),
        ({"dns": "192.0.2.1"}, "dns"),
        ({"dns_search": ["a b"]}, "dns_search: 'a b'"),
        ({"dns_search": ["a"] * 33}, "dns_search: 33"),
        ({"dns_options": ["ndots:2 x"]}, "dns_option"),
        ({"add_hosts": ["db"]}, "add_host: 'db'"),
        ({"add_hosts": ["db:here"]}, "add_host: 'here'"),
        ({"add_hosts": ["d b:10.0.0.5"]}, "add_host: 'd b'"),
        ({"add_hosts": ["db,:10.0.0.5"]}, "add_host: ''"),
        ({"add_hosts": ["db:host-gateway"]}, "add_host: host-gateway"),
        ({"add_hosts": ["db:10.0.0.5"] * 257}, "add_host: 257"),
        ({"add_hosts": [HostEntry(names=("a",), address="10.0.0.5", comment="a\nb")]}, "comment"),
        ({"sysctls": ["kernel.panic=1"]}, "sysctl: 'kernel.panic'"),
        ({"sysctls": ["vm.swappiness=1"]}, "sysctl: 'vm.swappiness'"),
        ({"sysctls": ["net.core.somaxconn"]}, "sysctl"),
        ({"sysctls": ["net.../../x=1"]}, "sysctl"),
        ({"sysctls": ["net.core.somaxconn=1\n2"]}, "sysctl"),
        ({"sysctls": ["kernel.hostname=x"]}, "kernel.hostname has a flag"),
        ({"expose": ["0.0.0.0:80"]}, "expose"),
        ({"expose": ["0"]}, "0"),
        ({"publish": ["8000-8002:80-81"]}, "not equally long"),
        ({"publish": ["1-2000:1-2000"]}, "publish: 2000"),
        ({"publish": ["[::1]:8000-8200:8000-8200"]}, "more than 128"),
        ({"publish": ["8000-8002:80-82", "8002:90"]}, "publish: host port 8002/tcp is given twice"),
    ],
)
def test_a_wrong_word_is_refused_naming_it(words: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError) as refused:
        network(**words)
    assert named in str(refused.value)
    assert refused.value.hint
