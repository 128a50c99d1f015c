"""A container's networks after it was made: what it comes to, what it leaves, and what it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from firkin.container import record
from firkin.container.journal import note_end, note_start, read
from firkin.container.leases import leased
from firkin.container.naming import new_id
from firkin.container.pod import Member
from firkin.container.record import Created, Exited, Record, Running, State, Streams, Suspended
from firkin.container.spec import ContainerSpec
from firkin.engine import networks
from firkin.engine.card_words import card
from firkin.engine.joining import Change, Join, Leave, note, put_on_record
from firkin.errors import AddressInUse, FirkinError, NetworkNotFound, NotFound, UsageError, WrongState
from firkin.machine.spec import PublishedPort
from firkin.network.spec import Interface, NetworkSpec
from firkin.paths import Paths
from firkin.process.spec import ExitStatus, ProcessSpec

ENDED = Exited(status=ExitStatus(code=0), started_ns=1, finished_ns=2)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    found = Paths(tmp_path / "data", tmp_path / "run")
    networks.create(found, "blue", subnets=["10.90.0.0/24"], ipv6=True)
    networks.create(found, "red", subnets=["10.91.0.0/24"], internal=True)
    return found


def made(paths: Paths, name: str, *cards: Interface, **fields: Any) -> Record:
    container_id = new_id()
    with leased(paths, NetworkSpec(interfaces=cards), container_id) as network:
        spec = ContainerSpec(
            id=container_id, name=name, image="busybox", image_digest="sha256:" + "0" * 64, rootfs_key="k",
            process=ProcessSpec(args=("true",)), created_ns=1, hostname="h", network=network, **fields,
        )  # fmt: skip
        found, lock = record.create(paths, spec)
        lock.close()
    return found


def changed(found: Record, change: Change, state: State = ENDED) -> NetworkSpec:
    return put_on_record(found, found.spec(), state, change).network


def join(network: str, **words: Any) -> Join:
    return Join(card=card(network, **{"ip": "", "ip6": "", "aliases": (), "mac_address": "", **words}))


def test_one_comes_to_networks_and_leaves_them_with_cards_of_its_own(paths: Paths) -> None:
    web = made(paths, "web", Interface())
    on_red = changed(web, join("red", ip="10.91.0.7", aliases=["db"], mac_address="02:00:00:00:00:07"))
    assert on_red.interfaces[1:] == (
        Interface(
            network="red", id=on_red.private[0].id, mac="02:00:00:00:00:07", address="10.91.0.7/24",
            gateway="10.91.0.1", aliases=("db",), place=0,
        ),
    )  # fmt: skip
    on_both = changed(web, join("blue"))
    assert on_both.names == ("user", "red", "blue")
    assert on_both.interfaces[:2] == on_red.interfaces, "what it had it keeps"
    assert changed(web, Leave(network="red")).names == ("user", "blue")
    again = changed(web, join("red"))
    assert again.private[1].address == "10.91.0.2/24"
    assert [each.place for each in again.private] == [1, 0], "what stays keeps its place"
    assert len({each.mac for each in again.private}) == 2
    assert [each.network for each in web.spec().network.interfaces] == ["user", "blue", "red"]


def test_the_journal_has_the_networks_of_what_runs_alone_as_docker_tells_of_them(paths: Paths) -> None:
    web = made(paths, "web", Interface(network="blue"))
    changed(web, join("red"))
    spec = web.spec()
    note_start(paths, spec)
    note(paths, spec, _spec(paths, "web", network=NetworkSpec(interfaces=spec.network.interfaces[:2])))
    note_end(paths, _spec(paths, "web", network=spec.network), ExitStatus(code=0))
    note_start(paths, _spec(paths, "web", pod=Member(pod="b" * 64)))
    told = [(each.action, each.attributes["name"], each.attributes.get("container")) for each in read(paths)]
    assert told[3:] == [
        ("connect", "blue", web.id), ("connect", "red", web.id), ("start", "web", None),
        ("disconnect", "red", web.id),
        ("die", "web", None), ("disconnect", "blue", web.id), ("disconnect", "red", web.id),
        ("start", "web", None),
    ]  # fmt: skip


def test_a_network_that_leads_outside_brings_the_card_for_it(paths: Paths) -> None:
    inside = made(paths, "inside", Interface(network="red"))
    assert inside.spec().network.names == ("red",)
    assert changed(inside, join("blue")).names == ("user", "red", "blue")
    assert changed(inside, Leave(network="user")).names == ("red", "blue")
    alone = made(paths, "alone")
    assert changed(alone, join("user")).names == ("user",)
    assert changed(alone, Leave(network="user")).names == ("none",)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (join("green"), NetworkNotFound, "no such network: green"),
        (join("blue"), WrongState, "on network 'blue' already"),
        (join("red", ip="10.91.0.2"), AddressInUse, "10.91.0.2 is another's"),
        (join("red", ip6="fd00::9"), UsageError, "has no IPv6"),
        (Leave(network="red"), NotFound, "it is on: user, blue|not on network 'red'"),
        (Leave(network="user"), UsageError, "publishes ports"),
    ],
)
def test_a_change_that_cannot_be_leaves_everything_as_it_was(
    paths: Paths, change: Change, error: type[FirkinError], said: str
) -> None:
    made(paths, "other", Interface(network="red"))
    web = made(paths, "web", Interface(network="blue"), ports=PublishedPort.parse("8080:80"))
    before = web.spec()
    with pytest.raises(error, match=said):
        changed(web, change)
    assert web.spec() == before
    assert changed(web, Leave(network="red", force=True)) == before.network


def test_a_machine_has_no_more_cards_than_it_can(paths: Paths) -> None:
    web = made(paths, "web", Interface())
    for number in range(7):
        networks.create(paths, f"net{number}")
        changed(web, join(f"net{number}"))
    with pytest.raises(WrongState, match="8 cards"):
        changed(web, join("blue"))
    assert len(web.spec().network.interfaces) == 8


@pytest.mark.parametrize(
    ("state", "fields", "said"),
    [
        (Suspended(suspended_ns=2, started_ns=1, detached=True, proc=1, ahead=Streams()), {}, "was saved"),
        (Created(), {"snapshot": "0" * 32}, "was saved"),
        (Running(pid=1, started_ns=1, accelerator="tcg"), {}, "runs"),
        (ENDED, {"pod": Member(pod="b" * 64)}, "is in a pod"),
    ],
)
def test_what_cannot_have_other_cards_says_why(
    paths: Paths, state: State, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(WrongState, match=said):
        put_on_record(made(paths, "web", Interface()), _spec(paths, "web", **fields), state, join("blue"))


def _spec(paths: Paths, name: str, **fields: Any) -> ContainerSpec:
    import msgspec

    return msgspec.structs.replace(record.find(paths, name).spec(), **fields)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"network": "user", "ip": "10.0.2.9"}, "ip: it is said of private networks"),
        ({"network": "blue", "ip": "fd00::1"}, "not an IPv4"),
        ({"network": "blue", "mac_address": "01:00:00:00:00:01"}, "mac_address"),
        ({"network": "none"}, "word of its own"),
        ({"network": "blue", "aliases": ["no name"]}, "network_alias"),
    ],
)
def test_words_that_cannot_be_are_refused(words: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        join(**words)
