"""Private networks on disk, and who gets which address there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from firkin.container import private_network, record
from firkin.container.leases import leased
from firkin.container.naming import new_id
from firkin.container.private_network import PrivateNetwork
from firkin.container.spec import ContainerSpec
from firkin.engine import networks
from firkin.errors import AddressInUse, Corrupt, FirkinError, InUse, NameInUse, NetworkNotFound, UsageError
from firkin.network.spec import Interface, NetworkSpec
from firkin.paths import Paths
from firkin.process.spec import ProcessSpec


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "data", tmp_path / "run")


def blue(paths: Paths, subnet: str = "10.90.0.0/29", **words: Any) -> PrivateNetwork:
    return networks.create(paths, "blue", subnets=[subnet], **words)


def put(paths: Paths, name: str, **wishes: Any) -> tuple[Interface, ...]:
    """The cards of a new container on network blue."""
    container_id = new_id()
    wanted = NetworkSpec(interfaces=(Interface(network="blue", **wishes),))
    with leased(paths, wanted, container_id) as network:
        spec = ContainerSpec(
            id=container_id, name=name, image="busybox", image_digest="sha256:" + "0" * 64, rootfs_key="k",
            process=ProcessSpec(args=("true",)), created_ns=1, hostname="h", network=network,
        )  # fmt: skip
        record.create(paths, spec)[1].close()
    return network.interfaces


def test_containers_get_addresses_of_their_own_and_a_way_outside(paths: Paths) -> None:
    network = blue(paths, ipv6=True)
    outside, one = put(paths, "one")
    _, two = put(paths, "two", address="10.90.0.4")
    _, three = put(paths, "three")
    assert outside == Interface()
    assert [each.address for each in (one, two, three)] == ["10.90.0.2/29", "10.90.0.4/29", "10.90.0.3/29"]
    assert len({each.address6 for each in (one, two, three)} | {each.mac for each in (one, two, three)}) == 6
    assert (one.id, one.gateway) == (network.id, "10.90.0.1")
    record.find(paths, "one").remove()
    assert put(paths, "four")[1].address == "10.90.0.2/29"


def test_a_network_that_is_full_says_so(paths: Paths) -> None:
    blue(paths)
    for number in range(5):
        put(paths, f"c{number}")
    with pytest.raises(AddressInUse, match="no address left"):
        put(paths, "late")


@pytest.mark.parametrize(
    ("wish", "error", "said"),
    [
        ({"address": "10.90.0.2"}, AddressInUse, "10.90.0.2 is another's"),
        ({"address": "10.90.0.1"}, AddressInUse, "10.90.0.1 is another's"),
        ({"address": "10.91.0.2"}, UsageError, "ip: 10.91.0.2"),
        ({"address": "10.90.0.7"}, UsageError, "ip: 10.90.0.7"),
        ({"address6": "fd00::5"}, UsageError, "has no IPv6"),
        ({"mac": "02:00:00:00:00:09"}, AddressInUse, "02:00:00:00:00:09 is another's"),
    ],
)
def test_a_wish_that_cannot_be_is_refused(
    paths: Paths, wish: dict[str, str], error: type[FirkinError], said: str
) -> None:
    blue(paths)
    put(paths, "one", mac="02:00:00:00:00:09")
    with pytest.raises(error, match=said):
        put(paths, "two", **wish)
    with pytest.raises(FirkinError):
        record.find(paths, "two")


def test_a_container_on_internal_networks_alone_has_no_other_card(paths: Paths) -> None:
    blue(paths, internal=True)
    (card,) = put(paths, "one")
    assert card.address == "10.90.0.2/29"


def test_a_network_in_use_stays_and_goes_with_its_last_container(paths: Paths) -> None:
    blue(paths)
    put(paths, "one")
    with pytest.raises(InUse, match="one"):
        private_network.remove(paths, "blue")
    assert networks.prune(paths) == []
    record.find(paths, "one").remove()
    assert networks.prune(paths) == ["blue"]
    with pytest.raises(NetworkNotFound):
        put(paths, "two")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"subnets": ["10.90.0.0/33"]}, "subnet: '10.90.0.0/33'"),
        ({"subnets": ["10.90.0.1/24"]}, "host bits"),
        ({"subnets": ["10.90.0.0/30"]}, "/8 to /29"),
        ({"subnets": ["224.0.0.0/24"]}, "not for machines"),
        ({"subnets": ["10.0.0.0/16"]}, "10.0.2.0/24, which every machine has"),
        ({"subnets": ["10.90.0.0/24", "10.91.0.0/24"]}, "one more of its kind"),
        ({"subnets": ["fd00::/64"]}, "add|IPv6"),
        ({"subnets": ["10.90.0.0/24"], "gateway": "10.91.0.1"}, "gateway: 10.91.0.1"),
        ({"driver": "overlay"}, "'overlay' is not a driver"),
        ({"subnets": ["10.77.0.0/25"]}, "overlaps 10.77.0.0/24 of network 'other'"),
    ],
)
def test_a_network_that_cannot_be_is_refused_by_what_is_wrong(
    paths: Paths, words: dict[str, Any], said: str
) -> None:
    networks.create(paths, "other", subnets=["10.77.0.0/24"])
    with pytest.raises(UsageError, match=said):
        networks.create(paths, "blue", **words)
    assert private_network.everyone(paths) == ["other"]


def test_names_are_checked_and_taken_once_and_subnets_are_found(paths: Paths) -> None:
    first, second = networks.create(paths, "one"), networks.create(paths, "two")
    assert first.subnet != second.subnet
    with pytest.raises(NameInUse):
        networks.create(paths, "one")
    for name in ("user", "none", "host", "x", "a/b", "-a", ""):
        with pytest.raises(UsageError, match="network"):
            networks.create(paths, name)


def test_a_record_that_cannot_be_read_is_reported_and_can_be_removed(paths: Paths) -> None:
    blue(paths)
    paths.network_path("blue").write_text("{")
    problems: list[FirkinError] = []
    assert networks.summaries(paths, problems.append) == []
    assert isinstance(problems[0], Corrupt)
    private_network.remove(paths, "blue", force=True)
    assert private_network.everyone(paths) == []
