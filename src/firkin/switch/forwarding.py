"""Forwarding: which frame of a private network goes to whom. No sockets here.

The rule: nothing is learned from frames. A card's address and its holder's are those of its lease; what a
machine may not send goes nowhere; who does not take its frames loses them, and nobody waits for it.
"""

from __future__ import annotations

from collections.abc import Callable

from firkin.network.frames import ARP, Lease, arp, asked_for, datagram, echo_reply, reset, why_not
from firkin.network.name_answers import PORT

HEAD_BYTES = 2048
"""How much of a frame is looked at. What says in more of it whose it is cannot be looked through."""
FLOODED_PER_S = 1000.0
"""Frames to everybody that one machine may send, and as many at once."""


Forward = Callable[[bytes | memoryview], None]


class Port:
    """One machine's card: `send` brings it a frame, `forward` frames as they are on a wire. Either drops what
    it does not take.
    """

    def __init__(
        self,
        lease: Lease,
        send: Callable[[bytes], None],
        forward: Forward,
        names: tuple[str, ...] = (),
    ) -> None:
        self.lease = lease
        self.send = send
        self.forward = forward
        self.names = names
        self.servers: tuple[str, ...] = ()
        """Name servers of its own choice."""
        self.others: tuple[str, ...] = ()
        """The other private networks that its machine is on."""
        self.refused = 0
        self._floods = FLOODED_PER_S
        self._counted_s = 0.0

    def may_flood(self, now_s: float) -> bool:
        """Whether one more frame of it goes to everybody."""
        self._floods = min(FLOODED_PER_S, self._floods + (now_s - self._counted_s) * FLOODED_PER_S)
        self._counted_s = now_s
        if self._floods < 1:
            return False
        self._floods -= 1
        return True


Ask = Callable[[Port, bytes], None]
"""Takes a frame with a question for the name server."""


class Forwarding:
    """The ports of one network, by their cards' addresses, and the switch itself, which is `own`."""

    def __init__(self, own: Lease, ask: Ask, now_s: Callable[[], float]) -> None:
        self.ports: dict[bytes, Port] = {}
        self._own = own
        self._ask = ask
        self._now_s = now_s

    def target(self, port: Port, head: bytes) -> Port | None:
        """The one to which a frame of `port` goes that begins with `head`; None where it goes to nobody, to
        everybody, or to the switch itself: then receive() has it.
        """
        target = self.ports.get(head[:6])
        return None if target is None or why_not(head, port.lease) else target

    def receive(self, port: Port, frame: bytes) -> None:
        """`port` has sent `frame`, which goes to no other port alone."""
        to = frame[:6]
        if to in self.ports or why_not(frame[:HEAD_BYTES], port.lease):
            port.refused += 1
        elif to == self._own.mac:
            self._heard(port, frame)
        elif to[0] & 1 and port.may_flood(self._now_s()):
            self._flood(port, frame)

    def _flood(self, port: Port, frame: bytes) -> None:
        if asked_for(frame) == self._own.address:
            self._introduce(port)
            return
        for other in self.ports.values():
            if other is not port:
                other.send(frame)

    def _introduce(self, port: Port) -> None:
        port.send(arp(2, self._own, port.lease.mac, port.lease.address))

    def _heard(self, port: Port, frame: bytes) -> None:
        """`frame` is for the switch itself."""
        if frame[12:14] == ARP.to_bytes(2, "big"):
            if asked_for(frame) == self._own.address:
                self._introduce(port)
        elif datagram(frame, self._own, PORT) is not None:
            self._ask(port, frame)
        elif answer := echo_reply(frame, self._own) or reset(frame, self._own):
            port.send(answer)
