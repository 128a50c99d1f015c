"""RemoteProcess: a process behind a control socket, on a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from firkin.agent.channel import Channel, Message
from firkin.agent.streams import StreamReceiver, StreamSender
from firkin.engine import control_ops as ops
from firkin.engine.noticed import NoticedStream
from firkin.errors import FirkinError, OutcomeUnknown, ProtocolError
from firkin.process.spec import ExitStatus
from firkin.wire.messages import convert
from firkin.wire.refusals import refused


class Loss:
    """Why the connection to the owner of container `name` was lost, in its own words where it had some."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._told: FirkinError | None = None

    def __call__(self, reason: str) -> FirkinError:
        return self._told or OutcomeUnknown(
            f"the connection to the owner of container {self._name!r} was lost: {reason}",
            hint="`firkin ps -a` tells whether it still runs",
        )

    def on_event(self, message: Message) -> None:
        """The owner's `broken`: a stream of the process broke. Raises ProtocolError for anything else."""
        if message.get("ev") != "broken" or not isinstance(message.get("err"), dict):
            raise ProtocolError(f"the owner of container {self._name!r} sent an unknown event")
        self._told = refused(message["err"])


async def join(
    channel: Channel, wanted: dict[str, bool], op: Callable[[dict[str, int]], ops.Op]
) -> RemoteProcess:
    """The process that `op`, given ids for the streams `wanted`, joins over `channel`, which it now owns."""
    ids = {name: channel.new_stream() if connected else 0 for name, connected in wanted.items()}
    stdin = channel.sender(ids["stdin"]) if ids["stdin"] else None
    stdout, stderr = channel.receiver(ids["stdout"]), channel.receiver(ids["stderr"])
    joined = convert(await channel.request(ops.to_message(op(ids))), ops.Joined)
    return RemoteProcess(channel, joined.pid, stdin if joined.stdin else None, stdout, stderr)


class RemoteProcess:
    """A Process at the other end of a control socket. It closes its connection when nothing more can come."""

    def __init__(
        self,
        channel: Channel,
        pid: int,
        stdin: StreamSender | None,
        stdout: StreamReceiver,
        stderr: StreamReceiver,
    ) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = NoticedStream(stdout, self._notice)
        self.stderr = NoticedStream(stderr, self._notice)
        self._channel = channel
        self._ended = channel.post(ops.to_message(ops.Ended()))
        self._ended.add_done_callback(lambda _: self._notice())

    async def wait(self) -> ExitStatus:
        """How it ended, once it did. Raises MachineDied, OutcomeUnknown where its owner was lost."""
        return ops.status_of(await asyncio.shield(self._ended))

    async def signal(self, number: int) -> None:
        """Send it signal `number`. Raises AgentError, WrongState where it has ended."""
        await self._channel.request(ops.to_message(ops.Signal(number=number)))

    async def resize(self, rows: int, cols: int) -> None:
        """Change the size of its terminal."""
        await self._channel.request(ops.to_message(ops.Resize(rows=rows, cols=cols)))

    def _notice(self) -> None:
        if self._ended.done() and self.stdout.ended and self.stderr.ended:
            self._channel.connection.finish()
