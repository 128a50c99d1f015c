"""Switches: the cards of a running container in the switches of its private networks, whoever dies.

    owner ── plug ──► switch     started where none answers; asked again, or the next one, when it is gone
          ── unplug ──► switch   and no frame passes any more

The rule: a machine's first process starts with its cards plugged in. From then on the switch's death is seen
by the end of the owner's connection to it, and traffic goes on with the next one.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import suppress

import msgspec

from firkin.agent.channel import Channel
from firkin.container.spec import ContainerSpec
from firkin.engine.deadline import within
from firkin.errors import FirkinError, HostUnsupported, OutcomeUnknown, Timeout
from firkin.events import event
from firkin.linux.unix_socket import connect
from firkin.machine.qemu.files import card_socket
from firkin.network.plug import Plug
from firkin.network.spec import Interface
from firkin.paths import Paths

_DEADLINE_S = 30.0
_RETRY_S = 0.05
_PAUSE_S = 1.0
"""Between tries to plug in a running container again, where that fails."""
_MAX_COMPLAINT_BYTES = 4096


def plug_of(paths: Paths, spec: ContainerSpec, vmm: int, card: Interface) -> Plug:
    """What a switch is told of `card`. `vmm` is the process of its machine's VMM."""
    return Plug(
        container=spec.id,
        vmm=vmm,
        socket=str(paths.container_run_dir(spec.id) / card_socket(card.place or 0)),
        mac=card.mac,
        address=card.address.partition("/")[0],
        address6=card.address6.partition("/")[0],
        names=tuple(dict.fromkeys((spec.name, spec.id[:12], spec.hostname, *card.aliases))),
        servers=spec.network.dns.servers,
        others=tuple(each.network for each in spec.network.private if each.network != card.network),
    )


class Cord:
    """Keeps one card plugged into the switch of its network."""

    def __init__(self, paths: Paths, card: Interface, plug: Plug) -> None:
        self._paths = paths
        self._card = card
        self._plug = plug
        self._channel: Channel | None = None
        """To the switch that has it."""
        self._keeping: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Plug it in. Raises HostUnsupported, Timeout, InUse, NetworkNotFound."""
        channel = await self._plugged()
        self._keeping = asyncio.create_task(self._keep(channel))

    async def tell(self, plug: Plug) -> None:
        """Let the switch know it as `plug` from now on, and the next one, where this one dies."""
        self._plug = plug
        if self._channel is not None:
            with suppress(FirkinError):  # the next one is told
                await self._channel.request({"op": "plug", "plug": msgspec.to_builtins(plug)})

    async def pull(self) -> None:
        """Take it out: no frame passes any more when this returns. Raises Timeout, and what a switch refuses;
        then it is plugged in, and looked after, as before.
        """
        async with within(_DEADLINE_S, f"leaving network {self._card.network!r}"):
            await self.end()
            try:
                await self._pulled()
            except BaseException:
                self._keeping = asyncio.create_task(self._keep(None))
                raise

    async def _pulled(self) -> None:
        with suppress(OSError, OutcomeUnknown):  # a switch that is gone has taken its ports along
            sock = connect(self._paths.switch_socket_path(self._card.id))
            async with await Channel.open(sock, f"network {self._card.network!r}", lost=_lost) as channel:
                await channel.request({"op": "unplug", "plug": msgspec.to_builtins(self._plug)})

    async def end(self) -> None:
        """Look after it no more. The VMM's end pulls it out. May be called twice."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)

    async def _keep(self, channel: Channel | None) -> None:
        while True:
            if channel is not None:
                await self._held(channel)
                event("network.unplugged", network=self._card.network, container=self._plug.container)
            channel = None
            try:
                channel = await self._plugged()
            except (FirkinError, OSError) as error:
                event("network.lost", network=self._card.network, reason=str(error))
                await asyncio.sleep(_PAUSE_S)

    async def _held(self, channel: Channel) -> None:
        """Keep the connection to a switch until that is gone."""
        async with channel:
            self._channel = channel
            try:
                await channel.gone.wait()
            finally:
                self._channel = None

    async def _plugged(self) -> Channel:
        """The connection to a switch that has the card."""
        end = time.monotonic() + _DEADLINE_S
        while True:
            channel = await self._connected(end)
            try:
                await channel.request({"op": "plug", "plug": msgspec.to_builtins(self._plug)})
            except OutcomeUnknown:  # it left, or died: the next one
                await channel.close()
                if time.monotonic() > end:
                    raise
            except BaseException:
                await channel.close()
                raise
            else:
                return channel

    async def _connected(self, end: float) -> Channel:
        path = self._paths.switch_socket_path(self._card.id)
        while time.monotonic() < end:
            with suppress(OSError):
                return await Channel.open(connect(path), f"network {self._card.network!r}", lost=_lost)
            await self._start()  # when another owner was faster, this ends at once
            await asyncio.sleep(0 if path.exists() else _RETRY_S)
        raise Timeout(
            f"the switch of network {self._card.network!r} did not answer within {_DEADLINE_S:g} s",
            hint=f"look at {path.with_suffix('.log')}",
        )

    async def _start(self) -> None:
        """Start a switch, and wait until it serves or has found that another one does."""
        places = (os.path.abspath(self._paths.data), os.path.abspath(self._paths.run))
        null = asyncio.subprocess.DEVNULL
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "firkin.switch", *places, self._card.network),
            stdin=null,
            stdout=null,
            stderr=asyncio.subprocess.PIPE,
            cwd="/",
        )
        assert child.stderr is not None
        async with within(_DEADLINE_S, f"starting the switch of network {self._card.network!r}"):
            complaint = await child.stderr.read(_MAX_COMPLAINT_BYTES)
            status = await child.wait()
        if status != 0:
            said = complaint.decode(errors="replace").strip().rpartition("\n")[2]
            raise HostUnsupported(
                f"the switch of network {self._card.network!r} could not be started: "
                f"{said or f'exit status {status}'}",
                hint=f"look at {self._paths.switch_socket_path(self._card.id).with_suffix('.log')}",
            )


def _lost(reason: str) -> FirkinError:
    return OutcomeUnknown(f"the connection to the switch was lost: {reason}")
