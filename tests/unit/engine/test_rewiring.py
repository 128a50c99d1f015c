"""A running container's networks: what is on record, plugged in, and in the guest, whatever fails between."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from firkin.container import record
from firkin.container.leases import leased
from firkin.container.naming import new_id
from firkin.container.pod import Sandbox
from firkin.container.record import Running
from firkin.container.root import OF_AN_IMAGE
from firkin.container.spec import ContainerSpec
from firkin.container.storage import Storage
from firkin.engine import networks
from firkin.engine.card_ops import settling_ops
from firkin.engine.card_words import card
from firkin.engine.joining import Change, Join, Leave
from firkin.engine.keeper import Keeper
from firkin.engine.rewiring import rewire
from firkin.engine.shape import machine_spec
from firkin.engine.transcript import Transcript
from firkin.errors import AgentError, FirkinError, InUse, NotFound, WrongState
from firkin.machine.knobs import Knobs
from firkin.machine.spec import Disk, MachineSpec
from firkin.network.spec import Interface, NetworkSpec
from firkin.paths import Paths
from firkin.process.spec import ProcessSpec
from firkin.settings import Settings
from firkin.volume.mount import VolumeMount
from firkin.wire.messages import Files, Network, Op, Unplug


class Guest:
    """An agent that does what it is told, or refuses it."""

    def __init__(self) -> None:
        self.did: list[Op] = []
        self.refuses = False

    async def batch(self, ops: tuple[Op, ...]) -> None:
        if self.refuses:
            raise AgentError("no")
        self.did += ops


class Wires:
    """The cords of a machine, without switches."""

    def __init__(self, paths: Paths, name: str) -> None:
        self.plugged: set[str] = set()
        self.refuse = False
        self._paths, self._name = paths, name

    async def plug(self, spec: ContainerSpec, card: Interface) -> None:
        assert card in record.find(self._paths, self._name).spec().network.private, "it is on record before"
        self.plugged.add(card.network)
        if self.refuse:
            raise InUse("10.90.0.2 is another's")

    async def pull(self, network: str) -> None:
        if self.refuse:
            raise InUse("no")
        assert network in record.find(self._paths, self._name).spec().network.names, "it is on record still"
        self.plugged.discard(network)

    async def tell(self, spec: ContainerSpec) -> None:
        self.told = spec.network.names


class Web:
    """A container that runs, on `blue` and with `cards` cards."""

    def __init__(self, paths: Paths, *on: Interface, cards: int) -> None:
        container_id = new_id()
        with leased(paths, NetworkSpec(interfaces=on), container_id) as network:
            spec = ContainerSpec(
                id=container_id, name="web", image="busybox", image_digest="sha256:" + "0" * 64,
                rootfs_key="k", process=ProcessSpec(args=("true",)), created_ns=1, hostname="h",
                network=network,
            )  # fmt: skip
            self.record, lock = record.create(paths, spec)
        self.guest, self.wires = Guest(), Wires(paths, "web")
        self.wires.plugged = {each.network for each in network.private}
        state = Running(pid=1, started_ns=1, accelerator="tcg", cards=cards)
        self.record.set_running(state)
        nothing: Any = None
        self.keeper = Keeper(
            self.record, lock, spec, nothing, Transcript(self.record.log_path), nothing, state, detached=True
        )
        machine = SimpleNamespace(cards=cards)
        launched: Any = SimpleNamespace(machine=machine, client=self.guest, cords=self.wires)
        self.keeper.launched = launched

    @property
    def noted(self) -> tuple[NetworkSpec, bool]:
        """The networks on record, and whether the guest may be behind them."""
        state = self.record.started()
        assert isinstance(state, Running)
        return self.record.spec().network, state.rewiring

    async def rewire(self, change: Change) -> None:
        await rewire(self.keeper, change)
        assert self.keeper.spec == self.record.spec()


class Killed(BaseException):
    """The owner's end, which nothing is done after."""


def join(network: str) -> Join:
    return Join(card=card(network, ip="", ip6="", aliases=(), mac_address=""))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    found = Paths(tmp_path / "data", tmp_path / "run")
    for number, name in enumerate(("blue", "red", "green")):
        networks.create(found, name, subnets=[f"10.{90 + number}.0.0/24"])
    networks.create(found, "inner", internal=True)
    return found


async def test_one_that_runs_comes_to_a_network_and_leaves_it(paths: Paths) -> None:
    web = Web(paths, Interface(network="blue"), cards=3)
    await web.rewire(join("red"))
    network, behind = web.noted
    assert (network.names, behind, web.wires.plugged) == (("user", "blue", "red"), False, {"blue", "red"})
    (eth2, files) = web.guest.did
    assert isinstance(eth2, Network)
    assert (eth2.interface, eth2.card, eth2.addresses) == ("eth2", 2, ("10.91.0.2/24",))
    assert isinstance(files, Files)
    assert {file.path: file.data for file in files.files}.keys() == {"/etc/resolv.conf"}  # one more server
    assert web.wires.told == network.names
    web.guest.did.clear()
    await web.rewire(Leave(network="blue"))
    assert (web.noted[0].names, web.wires.plugged) == (("user", "red"), {"red"})
    assert web.guest.did[0] == Unplug(card=1)
    await web.rewire(join("green"))
    assert [(each.network, each.place) for each in web.noted[0].private] == [("red", 1), ("green", 0)]
    await web.rewire(Leave(network="nothing", force=True))
    with pytest.raises(NotFound):
        await web.rewire(Leave(network="nothing"))


@pytest.mark.parametrize("who", ["switch", "guest"])
async def test_what_cannot_be_joined_leaves_all_as_it_was(paths: Paths, who: str) -> None:
    web = Web(paths, Interface(network="blue"), cards=3)
    before = web.noted
    web.guest.refuses = who == "guest"
    web.wires.refuse = who == "switch"
    with pytest.raises(FirkinError):
        await web.rewire(join("red"))
    assert web.noted == before
    assert web.keeper.spec.network == before[0]
    if who == "switch":
        assert Unplug(card=2) in web.guest.did
    else:
        assert web.wires.plugged == {"blue"}


async def test_a_network_is_left_whatever_the_guest_says_and_not_before_the_switch_has_done_it(
    paths: Paths,
) -> None:
    web = Web(paths, Interface(network="blue"), cards=3)
    web.guest.refuses = web.wires.refuse = True
    with pytest.raises(InUse):
        await web.rewire(Leave(network="blue"))
    assert web.noted[0].names == ("user", "blue")
    web.wires.refuse = False
    with pytest.raises(AgentError, match="has left network 'blue', and its guest keeps the card"):
        await web.rewire(Leave(network="blue"))
    assert (web.noted[0].names, web.wires.plugged) == (("user",), set())


@pytest.mark.parametrize(
    ("on", "cards", "change", "said"),
    [
        ("user", 0, join("blue"), "has 0 cards for private networks, all in use"),
        ("blue", 1, join("red"), "has 1 cards"),
        ("inner", 2, join("red"), "no card that leads outside"),
        ("inner", 2, join("user"), "no card that leads outside"),
        ("blue", 2, Leave(network="user"), "its way outside is part of its machine"),
    ],
)
async def test_what_its_machine_cannot_is_refused_with_the_way_out(
    paths: Paths, on: str, cards: int, change: Change, said: str
) -> None:
    web = Web(paths, Interface(network=on), cards=cards)
    before = web.noted
    with pytest.raises(WrongState, match=said) as refused:
        await web.rewire(change)
    assert "firkin stop web" in str(refused.value.hint)
    assert (web.noted, web.guest.did) == (before, [])


async def test_an_owner_that_dies_in_between_leaves_what_the_next_one_finishes(paths: Paths) -> None:
    web = Web(paths, Interface(network="blue"), cards=4)
    await web.rewire(join("red"))

    async def dies(*_: object) -> None:
        raise Killed

    web.keeper.end_rewiring = lambda: None  # type: ignore[method-assign]
    web.guest.batch = dies  # type: ignore[method-assign]
    with pytest.raises(Killed):
        await rewire(web.keeper, Leave(network="blue"))
    network, behind = web.noted
    assert (network.names, behind) == (("user", "red"), True)
    ops = settling_ops(web.record.spec(), 4)
    assert [op for op in ops if isinstance(op, Unplug)] == [Unplug(card=1), Unplug(card=3), Unplug(card=4)]
    (red,) = [op for op in ops if isinstance(op, Network)]
    assert (red.interface, red.card) == ("eth2", 2)


def test_a_machine_has_two_cards_to_spare_where_there_is_room_and_it_may_come_to_networks(
    paths: Paths,
) -> None:
    blue, inner = (Interface(network=name, id="1" * 64, place=0) for name in ("blue", "inner"))

    def machine(*on: Interface, started: int | None = None, **fields: Any) -> MachineSpec:
        spec = ContainerSpec(
            id="a" * 64, name="web", image="busybox", image_digest="", rootfs_key="k", hostname="h",
            process=ProcessSpec(args=("true",)), created_ns=1, network=NetworkSpec(interfaces=on), **fields,
        )  # fmt: skip
        disk = Disk(path=Path("disk"), format="qcow2")
        settings = Settings.load({"HOME": str(paths.data), "FIRKIN_DATA_DIR": str(paths.data)})
        return machine_spec(spec, disk, settings, cards=started)

    def cards(*on: Interface, **fields: Any) -> int:
        return machine(*on, **fields).cards

    assert cards() == 0
    assert cards(Interface()) == 2
    assert cards(Interface(), blue) == cards(inner) == 3
    gap = msgspec.structs.replace(blue, place=4)
    assert cards(Interface(), gap) == 5
    used = ((), (Interface(),), (inner,), (Interface(), blue), (Interface(), gap), (Interface(), blue, gap))
    assert [machine(*on).used_cards for on in used] == [0, 1, 1, 2, 1, 2], "those before the first gap"
    assert cards(Interface(), pod=Sandbox()) == 0
    assert cards(Interface(), blue, started=1) == 1, "what was started has what it has"
    assert cards(Interface(), gap, started=1) == 5, "and never fewer than it uses"
    assert cards(Interface(), started=1000) == 2
    disks = tuple(VolumeMount(target=f"/{number}", driver="disk", name="v") for number in range(19))
    assert cards(Interface(), storage=Storage(volumes=disks), root=OF_AN_IMAGE) == 2
    more = Storage(volumes=(*disks, VolumeMount(target="/more", driver="disk", name="v")))
    assert cards(Interface(), storage=more, knobs=Knobs(entropy=True)) == 0
