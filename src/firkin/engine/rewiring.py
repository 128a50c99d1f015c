"""Rewiring: a running container comes to a network, or leaves one.

    join     on record ► plugged into the switch ► its guest has the card, and the names that come with it
    leave    pulled out of the switch ► on record ► its guest has the card no more

The rule: nothing is plugged in that is not on record. While the guest is behind the record, that says so
(`Running.rewiring`), and whoever takes the container over brings it up. What fails is undone; but leaving
asks nothing of the guest, so it cannot fail by it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from firkin.aio.finish import finish
from firkin.container.spec import ContainerSpec
from firkin.engine import joining
from firkin.engine.card_ops import card_ops, file_ops, without_ops
from firkin.engine.deadline import within
from firkin.engine.joining import Change, Join, Leave
from firkin.errors import AgentError, ContainerNotFound, FirkinError, WrongState
from firkin.network.spec import Interface

if TYPE_CHECKING:
    from firkin.engine.cords import Cords
    from firkin.engine.keeper import Keeper
    from firkin.engine.launch import Launched

PATIENCE_S = 30.0


async def rewire(keeper: Keeper, change: Change) -> None:
    """Let the running container of `keeper` come to a network, or leave one. Its owner's, one at a time.

    Raises WrongState where its machine cannot, what joining.changed() raises, StorageFull, and what its
    switch or its guest refuses; then nothing is changed. But where only its guest does not let go of the card
    of a network that it has left, that is an AgentError, and the network is left.
    """
    await finish(_join(keeper, change) if isinstance(change, Join) else _leave(keeper, change))


async def _join(keeper: Keeper, change: Join) -> None:
    launched, old = _checked(keeper)
    with joining.changed(keeper.record.paths, old, change) as new:
        card = next(each for each in new.network.interfaces if each.network == change.network)
        _check_card(old, new, card, launched.machine.cards)
        keeper.begin_rewiring(new)
    try:
        async with within(PATIENCE_S, f"connecting container {old.name!r} to network {change.network!r}"):
            await _cords(launched).plug(new, card)
            await launched.client.batch((*card_ops(new, card), *file_ops(old, new)))
    except BaseException:
        await _undo(keeper, launched, old, new, card)
        raise
    keeper.end_rewiring()
    joining.note(keeper.record.paths, old, new)
    await _cords(launched).tell(new)


async def _undo(
    keeper: Keeper, launched: Launched, old: ContainerSpec, new: ContainerSpec, card: Interface
) -> None:
    with suppress(FirkinError):  # what the guest keeps then leads nowhere
        async with within(PATIENCE_S, f"the agent of container {old.name!r}"):
            await launched.client.batch(without_ops(new, card, old))
    with suppress(FirkinError):
        await _cords(launched).pull(card.network)
    with suppress(ContainerNotFound):  # removed meanwhile
        keeper.begin_rewiring(old)
        keeper.end_rewiring()


async def _leave(keeper: Keeper, change: Leave) -> None:
    launched, old = _checked(keeper)
    with joining.changed(keeper.record.paths, old, change) as new:
        if new.network == old.network:
            return
        if new.network.mode != old.network.mode:
            raise WrongState(
                f"container {old.name!r} runs, and its way outside is part of its machine",
                hint=f"firkin stop {old.name}, disconnect it, and firkin start {old.name}",
            )
        card = next(each for each in old.network.private if each.network == change.network)
        await _cords(launched).pull(card.network)
        try:
            keeper.begin_rewiring(new)
        except FirkinError:
            with suppress(FirkinError):
                await _cords(launched).plug(old, card)
            raise
    joining.note(keeper.record.paths, old, new)
    try:
        async with within(PATIENCE_S, f"the agent of container {old.name!r}"):
            await launched.client.batch(without_ops(old, card, new))
    except FirkinError as error:
        raise AgentError(
            f"container {old.name!r} has left network {change.network!r}, and its guest keeps the card, on "
            f"which nothing passes any more: {error}",
            hint=f"firkin restart {old.name} gives it another machine",
        ) from error
    finally:
        keeper.end_rewiring()
    await _cords(launched).tell(new)


def _checked(keeper: Keeper) -> tuple[Launched, ContainerSpec]:
    joining.check(keeper.spec, keeper.state)
    return keeper.running(), keeper.spec


def _cords(launched: Launched) -> Cords:
    assert launched.cords is not None  # a machine's: what is in namespaces was refused
    return launched.cords


def _check_card(old: ContainerSpec, new: ContainerSpec, card: Interface, cards: int) -> None:
    """Refuse what its machine has no card for. Raises WrongState."""
    again = f"firkin stop {old.name}, connect it, and firkin start {old.name}: its next machine has the card"
    if new.network.mode != old.network.mode:
        raise WrongState(
            f"container {old.name!r} runs, and its machine has no card that leads outside, as network "
            f"{card.network!r} does",
            hint=again,
        )
    if card.place is not None and card.place >= cards:
        raise WrongState(
            f"container {old.name!r} runs, and its machine has {cards} cards for private networks, all "
            "in use",
            hint=f"disconnect it from another network, or {again}",
        )
