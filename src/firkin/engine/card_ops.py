"""What a running guest is told of cards that come and go, and of the files in which its networks are.

Pure data. Each may be told again: it changes nothing then.
"""

from __future__ import annotations

from firkin.container.spec import ContainerSpec
from firkin.engine.batch import own_files
from firkin.network.guest import guest_network
from firkin.network.spec import Interface
from firkin.wire.messages import File, Files, Network, Op, Unplug

_HOST_NAME = "/etc/hostname"


def settling_ops(spec: ContainerSpec, cards: int) -> tuple[Op, ...]:
    """What brings the guest of `spec` to what is on record, whatever was being changed. Its machine has so
    many `cards` for private networks.
    """
    first = spec.network.first_private
    used = {card.place for card in spec.network.private}
    spare = tuple(Unplug(card=first + place) for place in range(cards) if place not in used)
    plugged = tuple(op for card in spec.network.private for op in card_ops(spec, card))
    return (*spare, *plugged, *_files_op(spec, _files(spec)))


def card_ops(spec: ContainerSpec, card: Interface) -> tuple[Network, ...]:
    """What gives the guest of `spec` that card."""
    wanted = spec.network.called(card)
    return tuple(op for op in guest_network(spec.network).cards if op.interface == wanted)


def without_ops(old: ContainerSpec, card: Interface, new: ContainerSpec) -> tuple[Op, ...]:
    """What takes `card` out of the guest of `old`, which becomes `new`."""
    return (Unplug(card=old.network.number(card)), *file_ops(old, new))


def file_ops(old: ContainerSpec, new: ContainerSpec) -> tuple[Op, ...]:
    """What makes the files of `old` those of `new`. One that says the same in both is left as it is."""
    return _files_op(new, tuple(file for file in _files(new) if file not in _files(old)))


def _files_op(spec: ContainerSpec, files: tuple[File, ...]) -> tuple[Op, ...]:
    return (Files(container=spec.id, files=files),) if files else ()


def _files(spec: ContainerSpec) -> tuple[File, ...]:
    """Those in which its networks are."""
    found = own_files(spec, guest_network(spec.network, spec.forwarded_ports))
    return tuple(file for file in found if file.path != _HOST_NAME)
