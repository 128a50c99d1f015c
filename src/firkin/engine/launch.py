"""Launch: from a container's record to its first process running in a machine of its own.

    boot     overlay disk, VMM started                     a fork of a template will take its place
    start    SYNC and one batch, written before the guest is up; one round trip until the process runs

The rule: the VMM is the first thing that is started, and what can be got ready while the guest boots is got
ready then.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from socket import socket
from typing import TYPE_CHECKING, TypeVar

import msgspec

from firkin.aio.thread import in_thread
from firkin.container import volume_use
from firkin.container.layers import ready
from firkin.container.record import Record, Running, Streams
from firkin.container.spec import ContainerSpec
from firkin.engine.retries import retried
from firkin.engine.shape import machine_spec as machine_spec
from firkin.engine.storage import make_ready
from firkin.engine.transcript import Transcript
from firkin.errors import AgentError, BootFailed, MachineDied, WrongState
from firkin.events import event, span
from firkin.machine.qemu.exit import death
from firkin.machine.qemu.machine import Machine
from firkin.machine.spec import PublishedPort
from firkin.machine.start import Lifetime, adopt, boot
from firkin.machine.started import Started
from firkin.settings import Settings

if TYPE_CHECKING:
    from firkin.agent.client import AgentClient
    from firkin.agent.process import RemoteProcess
    from firkin.engine.cords import Cords
    from firkin.engine.shared_sockets import SharedSockets
    from firkin.machine.namespace.namespace import Namespace
    from firkin.machine.saved import Saved

T = TypeVar("T")

_LOST_S = 10.0


class Launched(msgspec.Struct, frozen=True):
    """A machine, the client of its agent, and the container's first process."""

    machine: Machine | Namespace
    client: AgentClient
    process: RemoteProcess
    counted: Streams = Streams()
    """How much of its output came before the transcript's begin, by the agent's count."""
    sockets: SharedSockets | None = None
    """Those that it shares with the host; they appear once it goes on, where it was taken over paused."""
    cords: Cords | None = None
    """Those of its cards in the switches of private networks; None: it cannot have any."""

    @property
    def vm(self) -> Machine:
        """Its machine. Raises WrongState where it is in namespaces, which are none."""
        from firkin.machine.namespace.namespace import Namespace

        if not isinstance(self.machine, Namespace):
            return self.machine
        raise WrongState(
            f"container {self.machine.name!r} is in namespaces, and this needs a machine of its own",
            hint="run it without --isolation namespace",
        )

    async def last_words(self) -> None:
        """Wait until all that it said through sockets was passed on, once its process has ended."""
        if self.sockets is not None:
            await self.sockets.complete()
        await self.client.sockets.complete()

    @property
    def ports(self) -> tuple[PublishedPort, ...]:
        """What of it is published, with the host ports that were chosen."""
        relayed = () if self.sockets is None else self.sockets.ports
        return (*self.machine.ports, *relayed)

    def discard(self) -> None:
        """Nobody will read what the container wrote."""
        self.machine.discard()

    async def settle(self) -> None:
        """Let the machine write down what the container wrote, and end. Deadlines are the caller's."""
        await self.client.poweroff(sync=True)
        await self.machine.wait()

    async def death(self) -> MachineDied:
        """Why the machine is gone, once it is."""
        return death(self.machine.name, await self.machine.stop())


@asynccontextmanager
async def launch(
    record: Record,
    spec: ContainerSpec,
    booting: Callable[[], object],
    *,
    settings: Settings,
    lifetime: Lifetime,
    started: Started | None = None,
) -> AsyncIterator[Launched]:
    """The container of `record` with its process started, for the first time or again.

    `started` is its VMM, where that runs already.

    `booting` is called when everything is sent and nothing is left to do but wait for the guest. The machine
    ends with the block, whatever its lifetime, unless this process dies in it. Raises what
    machine.boot and AgentClient.start raise, after some tries where that may pass (machine.failures); then no
    process is left.
    """

    async def attempt(stack: AsyncExitStack, number: int) -> Launched:
        sockets = shared_sockets(stack, spec, spec.relayed_ports)
        begun = started if number == 1 else None
        machine = await booted(stack, record, spec, settings, lifetime, started=begun)
        client, cords = await connected(stack, record, spec, machine)
        process = await _started(machine, client, spec, settings, sockets, booting)
        if sockets is not None:
            await stack.enter_async_context(sockets.serving(client))
        return Launched(machine, client, process, sockets=sockets, cords=cords)

    async with AsyncExitStack() as stack:
        yield await retried(stack, spec.name, attempt)


@asynccontextmanager
async def resume(
    record: Record,
    spec: ContainerSpec,
    state: Running,
    transcript: Transcript,
    booting: Callable[[], object],
) -> AsyncIterator[Launched]:
    """The running container of a dead owner: its output goes on where `transcript` ends.

    One that was left paused stands still afterwards. The machine ends with the block. Raises MachineDied
    where it is gone, AgentError where it is not the one that was left, Timeout where its agent does not
    answer.
    """
    async with AsyncExitStack() as stack:
        relayed = tuple(port for port in state.ports if port.ipv6)
        sockets = shared_sockets(stack, spec, relayed, running=True)
        machine, client, cords = await greeted(stack, record, spec, state, booting)
        if state.rewiring:
            await _settled(client, spec, machine.cards)
        if sockets is not None:
            await stack.enter_async_context(sockets.serving(client))
            if not state.paused:
                await sockets.appear(running=True)
        counted = transcript.begin.plus(state.ahead)
        process = take_over(client, state.proc, transcript, counted)
        yield Launched(machine, client, process, counted, sockets, cords)


async def greeted(
    stack: AsyncExitStack, record: Record, spec: ContainerSpec, state: Running, booting: Callable[[], object]
) -> tuple[Machine, AgentClient, Cords]:
    """The machine of a dead owner, its agent, which has answered, and its cords; they end with `stack`.
    Raises as resume().
    """
    from firkin.engine.greeting import reach
    from firkin.machine.save import recover

    machine = adopt(
        spec.name,
        pid=state.pid,
        accelerator="kvm" if state.accelerator == "kvm" else "tcg",
        ports=tuple(port for port in state.ports if not port.ipv6),
        dir=record.dir,
        run_dir=record.paths.container_run_dir(record.id),
        cards=state.cards,
        boot_log=spec.knobs.boot_log,
    )
    stack.push_async_callback(machine.stop)
    cords = await on_networks(stack, record, spec, machine)
    if not state.paused:
        await recover(machine)  # its owner may have died while it was being saved
    booting()
    client = await reach(stack, machine, paused=state.paused)
    return machine, client, cords


async def _settled(client: AgentClient, spec: ContainerSpec, cards: int) -> None:
    """Let a guest have the networks that are on record, whose owner died while it changed them."""
    from firkin.engine.card_ops import settling_ops

    try:
        await client.batch(settling_ops(spec, cards))
    except AgentError as error:  # nothing passes but what is on record: the switches see to that
        event("network.unsettled", container=spec.id, error=error)


async def on_networks(stack: AsyncExitStack, record: Record, spec: ContainerSpec, machine: Machine) -> Cords:
    """The machine's cards in the switches of its private networks, until `stack` ends. Raises as
    Cords.plug().
    """
    from firkin.engine.cords import Cords

    cords = Cords(record.paths, machine.pid)
    stack.push_async_callback(cords.end)
    for card in spec.network.private:
        await cords.plug(spec, card)
    return cords


def take_over(client: AgentClient, proc: int, transcript: Transcript, counted: Streams) -> RemoteProcess:
    """Process `proc` of a machine that was resumed: its output goes on where `transcript` ends.

    Its agent had counted `counted` bytes where the transcript begins. Whoever started the other processes is
    not there any more. Raises AgentError where there is no such process.
    """
    process = client.processes.get(proc)
    if process is None:
        raise AgentError(f"machine {client.machine!r} does not know its container's process")
    process.resume(
        stdout_offset=transcript.offset("stdout") - transcript.begin.stdout + counted.stdout,
        stderr_offset=transcript.offset("stderr") - transcript.begin.stderr + counted.stderr,
    )
    for other in tuple(client.processes.values()):
        if other is not process:
            other.abandon()
    return process


def shared_sockets(
    stack: AsyncExitStack,
    spec: ContainerSpec,
    ports: tuple[PublishedPort, ...] = (),
    *,
    running: bool = False,
) -> SharedSockets | None:
    """The sockets that `spec` shares with the host, and `ports`, open until `stack` ends; None where there
    are none.

    Raises PortInUse, HostUnsupported, unless it is `running` already.
    """
    if not (spec.sockets or ports):
        return None
    from firkin.engine.shared_sockets import SharedSockets

    return stack.enter_context(SharedSockets.opened(spec, ports, running=running))


async def booted(
    stack: AsyncExitStack,
    record: Record,
    spec: ContainerSpec,
    settings: Settings,
    lifetime: Lifetime,
    saved: Saved | None = None,
    started: Started | None = None,
) -> Machine:
    """The container's machine, whose VMM has started; it ends with `stack`. Raises what boot() raises."""
    if started is not None:
        machine = Machine(started)
        stack.push_async_callback(machine.stop)
        volume_use.check_free(record.paths, spec)
        return machine
    if spec.has_more:
        await in_thread(partial(make_ready, record, spec))
    disk = ready(record)
    with record.hold_alive() as alive:
        machine = await stack.enter_async_context(
            boot(
                machine_spec(spec, disk, settings, cards=None if saved is None else saved.machine.cards),
                settings=settings,
                dir=record.dir,
                run_dir=record.paths.container_run_dir(record.id),
                lifetime=lifetime,
                alive_fd=alive.fd,
                saved=saved,
            )
        )
    stack.push_async_callback(machine.stop)
    volume_use.check_free(record.paths, spec)
    return machine


async def connected(
    stack: AsyncExitStack, record: Record, spec: ContainerSpec, machine: Machine
) -> tuple[AgentClient, Cords]:
    """What speaks with the agent of a machine that boots, and its cards in its networks; until `stack` ends.

    Raises as Machine.booted() where its VMM has ended, and as Cords.plug().
    """
    from firkin.agent.client import AgentClient  # imported while the guest boots

    connection = await opened_agent(machine)
    cords = await on_networks(stack, record, spec, machine)
    return await stack.enter_async_context(await AgentClient.open(connection, spec.name)), cords


async def opened_agent(machine: Machine) -> socket:
    """The connection to the agent of a machine that boots. Raises as Machine.booted() where its VMM ended."""
    try:
        return machine.open_agent()
    except MachineDied as error:
        await machine.booted(_raised(error))  # which says why it died
        raise


async def answered(machine: Machine, client: AgentClient, answer: Awaitable[T]) -> T:
    """What the agent of a machine that boots answers to all that it was told. Raises as Machine.booted();
    that may pass only where the guest heard nothing.
    """
    try:
        return await machine.booted(answer)
    except BootFailed as error:
        if error.passing and not await _unheard(client):
            error.passing = ""  # it may have been done already, and nothing is done twice
        raise


async def _unheard(client: AgentClient) -> bool:
    """Whether the VMM, which has ended, did not read to the end what its guest was told."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_LOST_S):
            await client.channel.gone.wait()
    return client.channel.unread


async def _raised(error: Exception) -> None:
    raise error


async def _started(
    machine: Machine,
    client: AgentClient,
    spec: ContainerSpec,
    settings: Settings,
    sockets: SharedSockets | None,
    booting: Callable[[], object],
) -> RemoteProcess:
    """Tell the agent everything at once, and wait until the process runs. Raises as Machine.booted()."""
    from firkin.engine import batch
    from firkin.engine.filters import filter_for
    from firkin.engine.spawn_op import spawn_op
    from firkin.network.guest import guest_network

    guest = guest_network(spec.network, spec.forwarded_ports)
    op = spawn_op(spec.id, spec.process, filter_for(spec, spec.process.policy, settings))
    process = client.register(op, stdin=spec.process.stdin, **spec.process.outputs.connected())
    assert process.op is not None
    single_files = frozenset(bind.source for bind in spec.binds if not os.path.isdir(bind.source))
    ops = (
        *batch.prologue(time.time_ns(), os.urandom(batch.SEED_BYTES)),
        *guest.ops,
        batch.container_op(spec, guest, single_files),
        *(() if sockets is None else sockets.register(client)),
        *batch.limit_ops(spec),
        process.op,
    )
    begin_ns = time.monotonic_ns()
    answer = asyncio.create_task(client.start(ops))
    await asyncio.sleep(0)  # it is sent; now the guest has to boot
    booting()
    hello = await answered(machine, client, answer)
    if not machine.forked:
        _tell_boot(spec, begin_ns, client.greeted_ns, agent_ns=hello.ready_ns - hello.began_ns)
    span("container.start", client.greeted_ns, time.monotonic_ns(), container=spec.id, name=spec.name)
    return process


def _tell_boot(spec: ContainerSpec, begin_ns: int, greeted_ns: int, *, agent_ns: int) -> None:
    """Tell the stages of a boot, which the agent's greeting makes known. Its word moves no other stage."""
    agent_at_ns = min(max(greeted_ns - agent_ns, begin_ns), greeted_ns)
    span("machine.kernel", begin_ns, agent_at_ns, machine=spec.name)
    span("machine.agent", agent_at_ns, greeted_ns, machine=spec.name)
