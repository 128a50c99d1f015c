"""The flags of `firkin run` that are about the network. Docker's names and meanings, where it has them."""

from __future__ import annotations

from functools import partial

import click

from firkin.cli.sections import Headed

_network = partial(click.option, cls=Headed, heading="The network")
_several = partial(_network, multiple=True)

NETWORK_FLAGS = (
    _several("--network", metavar="user|none|NAME[:ip=IP,...]", help="A network of its own, which leads "
             "outside (user; also without this), none, or a private one, with ip=, ip6=, mac= and alias=. "
             "user:host-loopback=true lets it reach what listens on the host's loopback, "
             "user:ipv6=true gives it IPv6."),
    _several("-p", "--publish", metavar="[IP:]HOST:GUEST[/udp]",
             help="Make a port of it reachable on the host, or a range."),
    _network("-P", "--publish-all", is_flag=True, help="Make all reachable that it exposes, on free ports."),
    _several("--expose", metavar="PORT[/udp]", help="Say that it listens there, for -P and others to know."),
    _several("--dns", metavar="IP", help="Let it ask this name server; else the host's."),
    _several("--dns-search", metavar="DOMAIN", help="Let it search this domain; . for none."),
    _several("--dns-option", "dns_options", metavar="OPTION", help="Set an option of its resolver."),
    _several("--add-host", "add_hosts", metavar="NAME[,NAME...]:IP", help="Add a line to its /etc/hosts."),
    _network("-h", "--hostname", default="", metavar="NAME", help="Its host name; else the short id."),
    _network("--domainname", default="", metavar="DOMAIN", help="The domain of its host name."),
    _network("--ip", default="", metavar="IP", help="Its address on its private network; else a free one."),
    _network("--ip6", default="", metavar="IP", help="Its IPv6 address there."),
    _several("--network-alias", "network_aliases", metavar="NAME", help="One more name of it there."),
    _network("--mac-address", default="", metavar="MAC", help="The address of its first card."),
    _several("--sysctl", "sysctls", metavar="NAME=VALUE", help="Set a kernel parameter of its namespaces."),
)  # fmt: skip
