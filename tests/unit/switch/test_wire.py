"""A card's stream: frames come out as they went in, wherever it is cut; one who does not read loses them."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from firkin.network.frames import HEADER_BYTES
from firkin.switch.forwarding import HEAD_BYTES, Port
from firkin.switch.wire import MOST_WAITING_BYTES, Wire


class Vmm(asyncio.Transport):
    """The other end of a card's stream: what was written to it, and how much of that it has not read."""

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self.written = bytearray()
        self.waiting = 0
        self.gone = False
        wire.connection_made(self)

    def write(self, data: Any) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def abort(self) -> None:
        self.gone = True

    def frames(self) -> list[bytes]:
        found, rest = [], bytes(self.written)
        while rest:
            end = 4 + int.from_bytes(rest[:4], "big")
            found.append(rest[4:end])
            rest = rest[end:]
        return found


class Sides:
    """A wire whose frames go to the port of their first byte, or where that is 0 to nobody alone."""

    def __init__(self) -> None:
        self.whole: list[bytes] = []
        self.heads: list[bytes] = []
        others = [Wire(lambda _: None, lambda _: None, lambda: None) for _ in range(2)]
        self.others = [Vmm(other) for other in others]
        self.ports: list[Any] = [None, *(Port(None, each.send, each.forward) for each in others)]  # type: ignore[arg-type]
        self.wire = Wire(self._target, self.whole.append, lambda: None)
        self.vmm = Vmm(self.wire)

    def _target(self, head: bytes) -> Port | None:
        self.heads.append(head)
        port: Port | None = self.ports[head[0]]
        return port


def framed(frames: list[bytes]) -> bytes:
    return b"".join(len(each).to_bytes(4, "big") + each for each in frames)


def of(first: int, size: int) -> bytes:
    return bytes((first,)) + bytes(number & 255 for number in range(size - 1))


FRAMES = st.lists(st.builds(of, st.integers(0, 2), st.integers(HEADER_BYTES, 3 * HEAD_BYTES)), max_size=20)


@given(FRAMES, st.lists(st.integers(1, 5000), min_size=1))
def test_each_frame_reaches_its_port_whole_and_in_order(frames: list[bytes], pieces: list[int]) -> None:
    sides, stream, turn = Sides(), framed(frames), 0
    while stream:
        size = pieces[turn % len(pieces)]
        sides.wire.data_received(stream[:size])
        stream, turn = stream[size:], turn + 1
    for number, vmm in enumerate(sides.others, 1):
        assert vmm.frames() == [each for each in frames if each[0] == number]
    assert sides.whole == [each for each in frames if each[0] == 0]
    assert sides.heads == [each[:HEAD_BYTES] for each in frames]


def test_one_that_does_not_read_loses_whole_frames_only() -> None:
    sides = Sides()
    frames = [of(1, 1000) for _ in range(10)]
    sides.others[0].waiting = MOST_WAITING_BYTES - 2500
    sides.wire.data_received(framed(frames))
    assert sides.others[0].frames() == frames[:2]
    sides.others[0].waiting = MOST_WAITING_BYTES
    sides.wire.data_received(framed(frames))
    assert sides.others[0].frames() == frames[:2]


def test_a_card_that_is_let_go_of_before_it_is_connected_never_is() -> None:
    wire = Wire(lambda _: None, lambda _: None, lambda: None)
    wire.close()
    assert Vmm(wire).gone


def test_what_is_no_frame_ends_the_connection_wherever_its_length_is_cut() -> None:
    for length in (HEADER_BYTES - 1, 1 << 30):
        for cut in range(5):
            sides, stream = Sides(), framed([of(1, 60)]) + length.to_bytes(4, "big") + bytes(60)
            sides.wire.data_received(stream[: 64 + cut])
            if not sides.vmm.gone:
                sides.wire.data_received(stream[64 + cut :])
            assert sides.vmm.gone
            assert sides.others[0].frames() == [of(1, 60)]
