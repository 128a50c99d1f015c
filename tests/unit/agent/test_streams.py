"""Streams: who waits for whom."""

from __future__ import annotations

import asyncio

import pytest

from firkin.agent import StreamReceiver, StreamSender
from firkin.errors import MachineDied, ProtocolError
from firkin.wire.frames import WINDOW_BYTES, Credit, Data, Eof


class Wire:
    """A connection that keeps what it is given."""

    def __init__(self):
        self.sent = []
        self.first_frame = asyncio.Event()
        self.is_writable = True

    def send(self, *frames):
        self.sent += frames
        self.first_frame.set()

    async def writable(self):
        await asyncio.Event().wait()

    def data_bytes(self):
        return sum(len(frame.data) for frame in self.sent if isinstance(frame, Data))


async def test_a_sender_stops_a_window_ahead_of_the_reader_and_goes_on_with_credit():
    wire = Wire()
    sender = StreamSender(wire, 1)
    writing = asyncio.create_task(sender.write(bytes(WINDOW_BYTES + 100)))
    await asyncio.sleep(0)
    assert wire.data_bytes() == WINDOW_BYTES
    sender.credit(60)
    await asyncio.sleep(0)
    assert wire.data_bytes() == WINDOW_BYTES + 60
    sender.credit(100)
    await writing
    sender.close()
    assert wire.sent[-1] == Eof(1, WINDOW_BYTES + 100)


async def test_a_sender_waits_while_the_connection_is_full():
    wire = Wire()
    wire.is_writable = False
    writing = asyncio.create_task(StreamSender(wire, 1).write(b"x"))
    await asyncio.sleep(0)
    assert wire.sent == []
    writing.cancel()


async def test_a_blocked_writer_hears_that_nobody_reads_any_more():
    sender = StreamSender(Wire(), 1)
    writing = asyncio.create_task(sender.write(bytes(WINDOW_BYTES + 1)))
    await asyncio.sleep(0)
    sender.break_off()
    with pytest.raises(BrokenPipeError):
        await writing


async def test_credit_is_sent_when_half_of_the_window_was_read():
    wire = Wire()
    receiver = StreamReceiver(wire, 1)
    for offset in range(0, WINDOW_BYTES, 65536):
        receiver.data(Data(1, offset, bytes(65536)))
    await receiver.read(10)
    await receiver.read()
    assert wire.sent == []
    await receiver.read()
    assert wire.sent == [Credit(1, WINDOW_BYTES // 2)]
    for _ in range(2):
        await receiver.read()
    assert wire.sent[-1] == Credit(1, WINDOW_BYTES)


async def test_credit_for_a_few_bytes_waits_a_little_for_more():
    wire = Wire()
    receiver = StreamReceiver(wire, 1)
    for offset in range(10):
        receiver.data(Data(1, offset, b"x"))
        await receiver.read()
    assert wire.sent == []
    await wire.first_frame.wait()
    assert wire.sent == [Credit(1, 10)]
    receiver.data(Data(1, 10, b"last"))
    await receiver.read()
    receiver.eof(14)
    assert wire.sent == [Credit(1, 10), Credit(1, 14)]


async def test_unacknowledged_bytes_earn_no_credit():
    wire = Wire()
    receiver = StreamReceiver(wire, 1)
    receiver.data(Data(1, 0, b"abcdef"))
    assert await receiver.read(acknowledge=False) == b"abcdef"
    assert wire.sent == []
    receiver.acknowledge(4)
    receiver.eof(6)
    assert wire.sent == []
    receiver.acknowledge(6)
    assert wire.sent == [Credit(1, 6)]
    with pytest.raises(ValueError, match="offset 7"):
        receiver.acknowledge(7)


async def test_single_bytes_are_held_in_few_objects():
    receiver = StreamReceiver(Wire(), 1)
    for offset in range(20_000):
        receiver.data(Data(1, offset, b"x"))
    assert len(receiver._chunks) < 10
    assert await receiver.read() == b"x" * 4096


async def test_what_arrived_before_the_loss_is_read_before_the_loss_is_told():
    receiver = StreamReceiver(Wire(), 1)
    receiver.data(Data(1, 0, b"last words"))
    receiver.lose(MachineDied("gone"))
    assert await receiver.read() == b"last words"
    with pytest.raises(MachineDied):
        await receiver.read()


async def test_bytes_that_are_sent_again_are_dropped():
    receiver = StreamReceiver(Wire(), 1, offset=10)
    receiver.data(Data(1, 8, b"89AB"))
    receiver.data(Data(1, 10, b"AB"))
    receiver.eof(12)
    assert await receiver.read() == b"AB"
    assert await receiver.read() == b""


async def test_a_window_overrun_is_an_offence_even_after_the_reader_left():
    receiver = StreamReceiver(Wire(), 1)
    receiver.close()
    receiver.data(Data(1, 0, bytes(WINDOW_BYTES)))
    with pytest.raises(ProtocolError):
        receiver.data(Data(1, WINDOW_BYTES, b"x"))


async def test_a_sender_that_takes_over_waits_to_hear_what_was_taken():
    wire = Wire()
    sender = StreamSender(wire, 1, offset=WINDOW_BYTES)
    writing = asyncio.create_task(sender.write(b"abc"))
    await asyncio.sleep(0)
    assert wire.sent == []
    sender.credit(WINDOW_BYTES - 1)
    await writing
    assert wire.sent == [Data(1, WINDOW_BYTES, b"abc")]
