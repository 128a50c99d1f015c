"""The fake agent's ends of streams: pipes and terminals on one side, frames on the other.

The rule is the agent's: output is kept until it was acknowledged, and no more than a window of it is read.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from firkin.wire.frames import MAX_DATA_BYTES, WINDOW_BYTES, Break, Credit, Data, Eof, Frame

Send = Callable[[Frame], None]


class Output:
    """What a process writes, sent as stream `stream`."""

    def __init__(self, stream: int, fd: int, send: Send) -> None:
        self._stream = stream
        self._fd = fd
        self._send = send
        self._kept = bytearray()
        self._consumed = self._sent = 0
        self._ended = self._eof_sent = self._held = self._reading = False
        os.set_blocking(fd, False)
        self._watch()

    def hold(self) -> None:
        """A client synchronises: send nothing until it says where to go on."""
        self._held = True

    def credit(self, consumed: int) -> None:
        """The client has everything before `consumed`."""
        del self._kept[: consumed - self._consumed]
        self._consumed = consumed
        if self._held:
            self._held = self._eof_sent = False
            self._sent = consumed
        self._flush()
        self._watch()

    def close(self) -> None:
        """Read no more: the process gets SIGPIPE, or its terminal hangs up."""
        if self._fd >= 0:
            self._unwatch()
            os.close(self._fd)
            self._fd = -1
        self._ended = True

    def _watch(self) -> None:
        if not self._reading and not self._ended and len(self._kept) < WINDOW_BYTES:
            asyncio.get_running_loop().add_reader(self._fd, self._readable)
            self._reading = True

    def _unwatch(self) -> None:
        if self._reading:
            asyncio.get_running_loop().remove_reader(self._fd)
            self._reading = False

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, WINDOW_BYTES - len(self._kept))
        except BlockingIOError:
            return
        except OSError:  # a terminal whose last writer is gone answers EIO
            data = b""
        self._kept += data
        if not data:
            self.close()
        elif len(self._kept) >= WINDOW_BYTES:
            self._unwatch()
        self._flush()

    def _flush(self) -> None:
        if self._held:
            return
        end = self._consumed + len(self._kept)
        while self._sent < end:
            first = self._sent - self._consumed
            chunk = bytes(self._kept[first : first + MAX_DATA_BYTES])
            self._send(Data(self._stream, self._sent, chunk))
            self._sent += len(chunk)
        if self._ended and not self._eof_sent:
            self._eof_sent = True
            self._send(Eof(self._stream, end))


class Input:
    """What a process reads, received as stream `stream`. `expected` is the offset of the next byte."""

    def __init__(self, stream: int, fd: int, send: Send) -> None:
        self.expected = 0
        self._stream = stream
        self._fd = fd
        self._send = send
        self._waiting = bytearray()
        self._ended = False
        os.set_blocking(fd, False)

    def resume(self) -> None:
        """A client synchronised: tell it again what was taken, and whether more will be."""
        if self._fd < 0 and not self._ended:
            self._send(Break(self._stream))
        else:
            self._send(Credit(self._stream, self.expected - len(self._waiting)))

    def data(self, offset: int, data: bytes) -> None:
        """Bytes arrived."""
        fresh = data[self.expected - offset :]
        self.expected += len(fresh)
        self._waiting += fresh
        self._write()

    def eof(self) -> None:
        """Nothing follows."""
        self._ended = True
        self._write()

    def close(self) -> None:
        if self._fd >= 0:
            asyncio.get_running_loop().remove_writer(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _write(self) -> None:
        if self._fd < 0:
            return
        try:
            while self._waiting:
                del self._waiting[: os.write(self._fd, self._waiting)]
        except BlockingIOError:
            asyncio.get_running_loop().add_writer(self._fd, self._write)
            return
        except OSError:  # nobody reads any more
            self._send(Break(self._stream))
            self.close()
            return
        asyncio.get_running_loop().remove_writer(self._fd)
        self._send(Credit(self._stream, self.expected))
        if self._ended:
            self._end()

    def _end(self) -> None:
        if os.isatty(self._fd):  # ^D is how a terminal's input ends; its output goes on
            os.write(self._fd, b"\x04")
            return
        self.close()
