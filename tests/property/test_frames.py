"""Frames: any split of the byte stream gives the same frames, and garbage is refused, never held."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firkin.errors import ProtocolError
from firkin.wire.frames import (
    RESYNC_PADDING,
    Break,
    Control,
    Credit,
    Data,
    Eof,
    Frame,
    FrameParser,
    Sync,
    encode,
)

streams = st.integers(1, 2**32 - 1)
offsets = st.integers(0, 2**64 - 1)
cut_places = st.lists(st.integers(0, 3000), max_size=30)
frames = st.one_of(
    st.builds(Sync, st.binary(min_size=16, max_size=16)),
    st.builds(Control, st.binary(min_size=1, max_size=200)),
    st.builds(Data, streams, offsets, st.binary(min_size=1, max_size=200)),
    st.builds(Eof, streams, offsets),
    st.builds(Credit, streams, offsets),
    st.builds(Break, streams),
)


def parse(parser: FrameParser, pieces: list[bytes]) -> list[Frame]:
    return [frame for piece in pieces for frame in parser.feed(piece)]


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


@given(st.lists(st.tuples(frames, st.integers(0, 40)), max_size=12), cut_places)
def test_any_split_of_the_stream_gives_the_frames_that_were_sent(sent, cuts):
    stream = b"".join(bytes(pad) + encode(frame) for frame, pad in sent)
    assert parse(FrameParser(), split(stream, cuts)) == [frame for frame, _ in sent]
    assert parse(FrameParser(), [bytes([byte]) for byte in stream]) == [frame for frame, _ in sent]


@given(st.binary(max_size=999), st.binary(min_size=16, max_size=16), st.lists(frames, max_size=4), cut_places)
def test_whatever_comes_before_the_awaited_sync_is_dropped(rubbish, nonce, sent, cuts):
    stream = rubbish + b"".join(map(encode, [Sync(nonce), *sent]))
    assert parse(FrameParser(nonce=nonce), split(stream, cuts)) == [Sync(nonce), *sent]


@given(st.binary(max_size=300), cut_places)
def test_garbage_gives_the_same_frames_and_the_same_verdict_however_it_is_split(garbage, cuts):
    def outcome(pieces: list[bytes]) -> tuple[list[Frame], bool]:
        parser, got = FrameParser(), []
        try:
            for piece in pieces:
                for frame in parser.feed(piece):
                    got.append(frame)
        except ProtocolError:
            return got, True
        return got, False

    assert outcome([garbage]) == outcome(split(garbage, cuts))


@pytest.mark.parametrize(
    "header",
    [
        struct.pack("<BBHII", 7, 0, 0, 1, 8),
        struct.pack("<BBHII", 3, 1, 0, 1, 9),
        struct.pack("<BBHII", 3, 0, 1, 1, 9),
        struct.pack("<BBHII", 3, 0, 0, 0, 9),
        struct.pack("<BBHII", 3, 0, 0, 1, 8),
        struct.pack("<BBHII", 3, 0, 0, 1, 65536 + 9),
        struct.pack("<BBHII", 2, 0, 0, 0, 0),
        struct.pack("<BBHII", 2, 0, 0, 1, 1),
        struct.pack("<BBHII", 2, 0, 0, 0, (1 << 20) + 1),
        struct.pack("<BBHII", 1, 0, 0, 0, 15),
        struct.pack("<BBHII", 4, 0, 0, 1, 9),
        struct.pack("<BBHII", 6, 0, 0, 1, 1),
    ],
)
def test_a_header_outside_the_bounds_is_refused_before_its_payload_arrives(header):
    with pytest.raises(ProtocolError):
        list(FrameParser().feed(header))


def test_the_largest_frames_pass():
    sent = [Data(1, 0, bytes(65536)), Control(bytes(1 << 20)), Data(2**32 - 1, 2**64 - 1, b"x")]
    assert parse(FrameParser(), [b"".join(map(encode, sent))]) == sent


@given(frames, st.integers(1, 200))
def test_a_half_frame_that_zeros_filled_up_is_refused(frame, cut):
    half = encode(frame)[: min(cut, len(encode(frame)) - 1)]
    with pytest.raises(ProtocolError):
        list(FrameParser().feed(half + RESYNC_PADDING))
