"""Requests, replies, events and streams over one socket, the same on both of its sides.

    peer A                                     peer B
      request(message) -> answer    ─────►       serve(message) -> answer
      receiver(n).read()            ◄─────       sender(n).write()

The rule: whatever the peer sends either fits the wire's bounds or ends the connection. A connection that
was lost is told to everybody who waits: streams get `lost(reason)`, requests OutcomeUnknown.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from firkin.agent.framing import FrameConnection
from firkin.agent.streams import StreamReceiver, StreamSender
from firkin.errors import FirkinError, OutcomeUnknown, ProtocolError
from firkin.wire.frames import MAX_STREAM, Break, Control, Credit, Data, Eof, Frame, Sync
from firkin.wire.messages import decode_control, encode_control
from firkin.wire.refusals import refusal, refused

Message = dict[str, Any]
End = TypeVar("End", StreamSender, StreamReceiver)

MAX_SERVED = 64
"""Requests of a peer that are being served at a time; one more is a protocol error."""


class Channel:
    """One connection. Make it with open(); close() or the peer ends it. Also an async context manager."""

    def __init__(
        self,
        peer: str,
        *,
        lost: Callable[[str], FirkinError],
        failure: Callable[[Message], FirkinError] = refused,
        serve: Callable[[Message], Awaitable[Message]] | None = None,
        on_event: Callable[[Message], None] | None = None,
        on_sync: Callable[[Sync], None] | None = None,
        on_lost: Callable[[FirkinError], None] | None = None,
    ) -> None:
        self.peer = peer
        self.connection = FrameConnection(self._on_frame, self._on_lost)
        self._lost_error = lost
        self._failure = failure
        self._serve = serve
        self._on_event = on_event
        self._on_sync = on_sync
        self._told_lost = on_lost
        self._senders: dict[int, StreamSender] = {}
        self._receivers: dict[int, StreamReceiver] = {}
        self._highest_stream = 0
        self._requests: dict[int, asyncio.Future[Message]] = {}
        self._last_request = 0
        self._serving: set[asyncio.Task[None]] = set()
        self.gone = asyncio.Event()
        self.error: FirkinError | None = None
        self.unread = False
        """Whether the peer closed without having read all that it was sent."""

    @classmethod
    async def open(cls, sock: socket.socket, peer: str, **options: Any) -> Channel:
        """A channel over `sock`, a connected stream socket that it now owns. `options` as of the class."""
        channel = cls(peer, **options)
        await channel.take(sock)
        return channel

    async def take(self, sock: socket.socket) -> None:
        """Begin to read from `sock` and own it."""
        await self.connection.take(sock)

    async def __aenter__(self) -> Channel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection and what is being served over it; gone when this returns."""
        await self.connection.close()
        serving = [task for task in self._serving if task is not asyncio.current_task()]
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    def post(self, message: Message) -> asyncio.Future[Message]:
        """Send `message` as a request now; the future gets its answer.

        The future raises what `failure` makes of a refusal, OutcomeUnknown where the answer was lost. Raises
        UsageError where the message is too large, or has text that is not UTF-8.
        """
        self._last_request += 1
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(_seen)
        if self.error is not None:
            answer.set_exception(self.error)
            return answer
        self.connection.send(Control(encode_control({"id": self._last_request, **message})))
        self._requests[self._last_request] = answer
        return answer

    async def request(self, message: Message) -> Message:
        """post(), and wait for the answer."""
        return await self.post(message)

    def tell(self, message: Message) -> None:
        """Send `message` as an event."""
        self.connection.send(Control(encode_control(message)))

    def new_stream(self) -> int:
        """A stream id that was never used here."""
        if self._highest_stream >= MAX_STREAM:
            raise ProtocolError(f"{self.peer}: no stream ids are left", hint="connect anew")
        self._highest_stream += 1
        return self._highest_stream

    def sender(self, stream: int, *, offset: int = 0) -> StreamSender:
        """The writing end of `stream`, until release(). Raises ProtocolError where it is in use."""
        self._claim(stream)
        self._senders[stream] = sender = StreamSender(self.connection, stream, offset=offset)
        if self.error is not None:
            sender.lose(self.error)
        return sender

    def receiver(self, stream: int, *, offset: int = 0) -> StreamReceiver:
        """The reading end of `stream`, as sender(); stream 0 is one that has ended."""
        if stream == 0:
            return StreamReceiver(self.connection, 0)
        self._claim(stream)
        self._receivers[stream] = receiver = StreamReceiver(self.connection, stream, offset=offset)
        if self.error is not None:
            receiver.lose(self.error)
        return receiver

    def release(self, *streams: int) -> None:
        """Forget `streams`: late frames of theirs are ignored."""
        for stream in streams:
            self._senders.pop(stream, None)
            self._receivers.pop(stream, None)

    def _claim(self, stream: int) -> None:
        if not 1 <= stream <= MAX_STREAM or stream in self._senders or stream in self._receivers:
            raise ProtocolError(f"{self.peer}: stream {stream} is in use or out of range")
        self._highest_stream = max(self._highest_stream, stream)

    def _on_frame(self, frame: Frame) -> None:
        match frame:
            case Data(stream):
                if receiver := self._known(self._receivers, stream):
                    receiver.data(frame)
            case Credit(stream, consumed):
                if sender := self._known(self._senders, stream):
                    sender.credit(consumed)
            case Eof(stream, offset):
                if receiver := self._known(self._receivers, stream):
                    receiver.eof(offset)
            case Break(stream):
                if sender := self._known(self._senders, stream):
                    sender.break_off()
            case Control(payload):
                self._on_control(decode_control(payload))
            case Sync():
                if self._on_sync is None:
                    raise ProtocolError(f"{self.peer} sent SYNC")
                self._on_sync(frame)

    def _known(self, ends: dict[int, End], stream: int) -> End | None:
        """The end of `stream`; None for one that was released. Raises ProtocolError for one never opened."""
        if stream > self._highest_stream:
            raise ProtocolError(f"{self.peer} sent a frame on stream {stream}, which nobody opened")
        return ends.get(stream)

    def _on_control(self, message: Message) -> None:
        if "re" in message:
            self._on_reply(message)
        elif "ev" in message and self._on_event is not None:
            self._on_event(message)
        elif "op" in message and self._serve is not None:
            self._on_request(message)
        else:
            raise ProtocolError(f"{self.peer} sent a message that is neither answer, event nor request")

    def _on_reply(self, message: Message) -> None:
        answer = self._requests.pop(message["re"], None) if isinstance(message["re"], int) else None
        if answer is None:
            raise ProtocolError(f"{self.peer} answered a request that was not made")
        ok, err = message.get("ok"), message.get("err")
        if isinstance(err, dict):
            outcome = self._failure(err)
            if not answer.done():
                answer.set_exception(outcome)
        elif isinstance(ok, dict):
            if not answer.done():
                answer.set_result(ok)
        else:
            raise ProtocolError(f"{self.peer} sent an answer with neither ok nor err")

    def _on_request(self, message: Message) -> None:
        request = message.pop("id", None)
        if not isinstance(request, int) or len(self._serving) >= MAX_SERVED:
            raise ProtocolError(f"{self.peer} sent a request without an id, or too many at once")
        task = asyncio.create_task(self._answer(request, message))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    async def _answer(self, request: int, message: Message) -> None:
        assert self._serve is not None
        try:
            reply: Message = {"re": request, "ok": await self._serve(message)}
        except FirkinError as error:
            reply = {"re": request, "err": refusal(error)}
        except Exception as error:  # the peer sees it, as a fault of ours
            reply = {"re": request, "err": refusal(FirkinError(f"internal error: {error!r}"))}
        await self.connection.writable()
        self.connection.send(Control(encode_control(reply)))

    def _on_lost(self, reason: Exception | None) -> None:
        # What a socket's other end has not read when it closes makes ours say so (unix(7)).
        self.unread = isinstance(reason, ConnectionResetError)
        self.error = self._lost_error(str(reason) if reason else "it closed the connection")
        for sender in self._senders.values():
            sender.lose(self.error)
        for receiver in self._receivers.values():
            receiver.lose(self.error)
        for answer in self._requests.values():
            if not answer.done():
                answer.set_exception(OutcomeUnknown(f"{self.error}; the answer to a request was lost"))
        self._requests.clear()
        for task in self._serving:
            task.cancel()
        self.gone.set()
        if self._told_lost is not None:
            self._told_lost(self.error)


def _seen(answer: asyncio.Future[Message]) -> None:
    """Whoever posted a request may have stopped waiting: no complaint at exit about what nobody asks for."""
    if not answer.cancelled():
        answer.exception()
