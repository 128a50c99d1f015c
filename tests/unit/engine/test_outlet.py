"""What the guest writes reaches the log and everybody who is attached."""

import asyncio

import pytest

from firkin.engine.outlet import FirstByte, Outlet
from firkin.errors import MachineDied, StorageFull
from firkin.events import subscribed
from firkin.wire.frames import WINDOW_BYTES


class Guest:
    """A stream that gives `pieces` and then ends, or fails."""

    def __init__(self, *pieces, error=None):
        self.pieces = list(pieces)
        self.error = error
        self.offset = self.acknowledged = 0

    async def read(self, limit=65536, *, acknowledge=True):
        assert not acknowledge
        await asyncio.sleep(0)
        if not self.pieces and self.error:
            raise self.error
        data = self.pieces.pop(0) if self.pieces else b""
        self.offset += len(data)
        return data

    def acknowledge(self, offset):
        self.acknowledged = offset


def outlet(log):
    return Outlet(write=log.append, history=lambda: iter(tuple(log)), first=FirstByte("c"))


async def everything(tap):
    return b"".join([piece async for piece in pieces(tap)])


async def pieces(tap, limit=65536):
    while data := await tap.read(limit):
        yield data


async def test_every_party_gets_what_the_log_has():
    log = []
    out = outlet(log)
    taps = [out.tap(replay=False), out.tap(replay=True)]
    _, *read = await asyncio.gather(out.pump(Guest(b"one ", b"two")), *map(everything, taps))
    assert read == [b"one two", b"one two"] == [b"".join(log)] * 2


async def test_a_late_party_with_replay_misses_nothing_and_one_without_gets_the_rest():
    log = []
    out = outlet(log)
    first = out.tap(replay=False)
    pump = asyncio.create_task(out.pump(Guest(b"before ", b"after")))
    assert await first.read() == b"before "
    late = [out.tap(replay=True), out.tap(replay=False)]
    await pump
    assert [await everything(tap) for tap in late] == [b"before after", b"after"]
    assert await everything(out.tap(replay=True)) == b"before after"
    assert await everything(out.tap(replay=False)) == b""


async def test_small_reads_keep_the_order_of_history():
    log = []
    out = outlet(log)
    await out.pump(Guest(b"abc", b"def"))
    tap = out.tap(replay=True)
    assert [data async for data in pieces(tap, 2)] == [b"ab", b"c", b"de", b"f"]
    assert tap.ended


async def test_a_party_that_stands_still_makes_the_guest_wait_until_it_leaves():
    out = outlet([])
    guest = Guest(*[b"x" * 65536] * 40)
    tap = out.tap(replay=False)
    pump = asyncio.create_task(out.pump(guest))
    for _ in range(200):
        await asyncio.sleep(0)
    assert guest.offset <= WINDOW_BYTES + 65536
    assert not pump.done()
    tap.close()
    await pump
    assert guest.acknowledged == 40 * 65536


async def test_the_end_of_the_machine_is_an_error_for_parties_and_never_looks_like_an_end():
    out = outlet([])
    tap = out.tap(replay=False)
    with pytest.raises(MachineDied, match="lost"):
        await out.pump(Guest(b"some", error=MachineDied("lost")))
    out.end(MachineDied("gone"))
    assert await tap.read() == b"some"
    with pytest.raises(MachineDied, match="gone"):
        await tap.read()
    late = out.tap(replay=True)
    assert await late.read() == b"some"
    with pytest.raises(MachineDied):
        await late.read()


async def test_what_was_not_written_down_is_not_acknowledged():
    def full(_):
        raise StorageFull("log")

    guest = Guest(b"lost")
    with pytest.raises(StorageFull):
        await Outlet(write=full, history=lambda: iter(()), first=FirstByte("c")).pump(guest)
    assert guest.acknowledged == 0


async def test_the_first_byte_is_told_once_for_both_streams():
    seen = []
    first = FirstByte("c")
    with subscribed(seen.append):
        for _ in range(2):
            await Outlet(write=lambda _: None, history=lambda: iter(()), first=first).pump(Guest(b"a", b"b"))
    assert [event.name for event in seen] == ["output.first_byte"]
