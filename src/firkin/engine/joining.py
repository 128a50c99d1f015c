"""Joining: a container's networks, changed after it was made.

The rule: which networks it is on, and what it is there, stands in its spec. That changes while the table of
networks is held, so an address is promised to one container only. What runs is rewired (engine.rewiring).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from firkin.container.journal import note_network
from firkin.container.leases import joined
from firkin.container.record import Created, Record, Running, State, Suspended
from firkin.container.spec import ContainerSpec
from firkin.engine.pod_members import refuse
from firkin.errors import NotFound, UsageError, WrongState
from firkin.network.spec import USER, Interface, NetworkSpec
from firkin.paths import Paths


class Join(msgspec.Struct, frozen=True, kw_only=True, tag="join"):
    """One more card. What is "" of it is chosen."""

    card: Interface

    @property
    def network(self) -> str:
        return self.card.network


class Leave(msgspec.Struct, frozen=True, kw_only=True, tag="leave"):
    """The card on that network goes; with `force` it is no error where there is none."""

    network: str
    force: bool = False


Change = Join | Leave


@contextmanager
def changed(paths: Paths, spec: ContainerSpec, change: Change) -> Iterator[ContainerSpec]:
    """What `change` makes of `spec`, for the caller to put on record in the block.

    Raises WrongState, UsageError, NetworkNotFound, AddressInUse.
    """
    if isinstance(change, Join):
        with joined(paths, spec.network, change.card, spec.id) as network:
            yield msgspec.structs.replace(spec, network=network)
    else:
        yield msgspec.structs.replace(spec, network=_without(spec, change))


def check(spec: ContainerSpec, state: State) -> None:
    """Refuse to change the networks of what cannot have others. Raises WrongState."""
    refuse(spec, "its networks are chosen when it is made")
    if isinstance(state, Suspended) or (isinstance(state, Created) and spec.snapshot and not spec.cold):
        raise WrongState(
            f"container {spec.name!r} goes on in the machine that was saved, with the cards of then",
            hint="let it go on, and change its networks then",
        )


def put_on_record(record: Record, spec: ContainerSpec, state: State, change: Change) -> ContainerSpec:
    """Change the networks of a container that does not run and that the caller owns. Its spec from now on."""
    check(spec, state)
    if isinstance(state, Running):
        raise WrongState(f"container {spec.name!r} runs, and its owner has to be asked", hint="try again")
    with changed(record.paths, spec, change) as new:
        record.connect(new)
    return record.spec()


def note(paths: Paths, old: ContainerSpec, new: ContainerSpec) -> None:
    """Write down for `firkin events` which networks a running container has come to and gone from."""
    before = {card.network: card for card in old.network.private}
    after = {card.network: card for card in new.network.private}
    for name in before.keys() - after.keys():
        note_network(paths, "disconnect", before[name].id, name, old.id)
    for name in after.keys() - before.keys():
        note_network(paths, "connect", after[name].id, name, old.id)


def _without(spec: ContainerSpec, change: Leave) -> NetworkSpec:
    network = spec.network
    cards = tuple(card for card in network.interfaces if card.network != change.network)
    if cards == network.interfaces and not change.force:
        on = ", ".join(card.network for card in cards) or "none"
        raise NotFound(
            f"container {spec.name!r} is not on network {change.network!r}", hint=f"it is on: {on}"
        )
    left = msgspec.structs.replace(network, interfaces=cards)
    if left.mode == "user":
        return left
    if spec.ports and network.mode == "user":
        raise UsageError(
            f"network: container {spec.name!r} publishes ports, which are reached by network {USER!r}",
            hint="make it without -p",
        )
    return msgspec.structs.replace(left, host_loopback=False, ipv6=False)
