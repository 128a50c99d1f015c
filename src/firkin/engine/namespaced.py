"""Launch, for containers in namespaces: what engine.launch is for those in machines.

    launch   PID 1 cloned and mapped ──► root, mounts and process in one batch ──► its end is the block's
    resume   the namespace of a dead owner, its output from where the transcript ends

There is no clock to set, no entropy to give and no card to set up: the kernel is the host's, and the network
is pasta's affair.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from firkin.aio.thread import in_thread
from firkin.container.record import Record, Running
from firkin.container.spec import ContainerSpec
from firkin.engine import batch
from firkin.engine import namespace_groups as groups
from firkin.engine import namespace_shape as shape
from firkin.engine.deadline import within
from firkin.engine.filters import filter_for
from firkin.engine.launch import Launched, shared_sockets, take_over
from firkin.engine.spawn_op import rlimits_of, spawn_op
from firkin.engine.standing import wake
from firkin.engine.transcript import Transcript
from firkin.events import span
from firkin.machine.launch import Lifetime
from firkin.machine.namespace.launch import StartedNamespace
from firkin.machine.namespace.namespace import Namespace
from firkin.machine.namespace.spec import ROOT, bind_place
from firkin.network.guest import guest_network
from firkin.settings import Settings
from firkin.wire import messages as wire

if TYPE_CHECKING:
    from firkin.agent.client import AgentClient


@asynccontextmanager
async def launch(
    record: Record,
    spec: ContainerSpec,
    booting: Callable[[], object],
    *,
    settings: Settings,
    lifetime: Lifetime,
    started: StartedNamespace | None = None,
) -> AsyncIterator[Launched]:
    """The container of `record` with its process started, for the first time or again; it ends with the
    block. `started` is its namespace, where that runs already.

    Raises HostUnsupported, BootFailed, and what AgentClient.start() raises.
    """
    async with AsyncExitStack() as stack:
        sockets = shared_sockets(stack, spec, spec.relayed_ports)
        namespace, client = await begun(stack, record, spec, settings, lifetime, started)
        filter = filter_for(spec, spec.process.policy, settings)
        op = spawn_op(spec.id, spec.process, filter, rlimits_of(spec.isolation))
        process = client.register(op, stdin=spec.process.stdin, **spec.process.outputs.connected())
        assert process.op is not None
        ops = (
            container_op(spec),
            *(() if sockets is None else sockets.register(client)),
            process.op,
        )
        answer = asyncio.create_task(client.start(ops))
        await asyncio.sleep(0)  # it is sent
        booting()
        await namespace.booted(answer)
        span("container.start", client.greeted_ns, time.monotonic_ns(), container=spec.id, name=spec.name)
        if sockets is not None:
            await stack.enter_async_context(sockets.serving(client))
        yield Launched(namespace, client, process, sockets=sockets)


@asynccontextmanager
async def resume(
    record: Record,
    spec: ContainerSpec,
    state: Running,
    transcript: Transcript,
    booting: Callable[[], object],
) -> AsyncIterator[Launched]:
    """The running container of a dead owner: its output goes on where `transcript` ends.

    The namespace ends with the block. Raises MachineDied, AgentError, Timeout.
    """
    from firkin.agent.client import AgentClient
    from firkin.engine.greeting import PATIENCE_S

    async with AsyncExitStack() as stack:
        relayed = tuple(port for port in state.ports if port.ipv6)
        sockets = shared_sockets(stack, spec, relayed, running=True)
        run_dir = record.paths.container_run_dir(record.id)
        ports = tuple(port for port in state.ports if not port.ipv6)
        stack.callback(groups.remove_left, record)
        group = groups.left(record)
        namespace = Namespace.adopt(spec.name, pid=state.pid, ports=ports, run_dir=run_dir, group=group)
        stack.push_async_callback(namespace.stop)
        client = await stack.enter_async_context(await AgentClient.open(namespace.open_agent(), spec.name))
        booting()
        async with within(PATIENCE_S, f"the agent of container {spec.name!r}"):
            await client.start(resume=True)
        if sockets is not None:
            await stack.enter_async_context(sockets.serving(client))
        counted = transcript.begin.plus(state.ahead)
        process = take_over(client, state.proc, transcript, counted)
        launched = Launched(namespace, client, process, counted, sockets)
        if not state.paused:
            await wake(launched)  # its owner may have died while it was stopped to be read
        yield launched


async def begun(
    stack: AsyncExitStack,
    record: Record,
    spec: ContainerSpec,
    settings: Settings,
    lifetime: Lifetime,
    started: StartedNamespace | None = None,
) -> tuple[Namespace, AgentClient]:
    """The container's namespace, and a client of its agent that has not said a word; it ends with `stack`.

    Raises HostUnsupported.
    """
    if started is None:
        await in_thread(partial(shape.make_ready, record, spec))
        started = shape.started(record, spec, settings, lifetime)
    stack.callback(groups.remove_left, record)
    namespace = Namespace.of(started)
    stack.push_async_callback(namespace.stop)
    from firkin.agent.client import AgentClient  # imported while PID 1 mounts

    client = await AgentClient.open(namespace.open_agent(), spec.name)
    return namespace, await stack.enter_async_context(client)


def container_op(spec: ContainerSpec) -> wire.Container:
    """The container's root, mounts and files: as in a machine, but that its binds are the agent's own."""
    op = batch.container_op(spec, guest_network(spec.network, spec.forwarded_ports), frozenset())
    return msgspec.structs.replace(
        op,
        root=wire.Root(device=ROOT, fstype="bind", readonly=spec.read_only),
        mounts=tuple(_as_bind(each) for each in op.mounts),
    )


def _as_bind(mount: wire.Mount) -> wire.Mount:
    if mount.type != "virtiofs":
        return mount
    place = bind_place(int(mount.source.removeprefix("bind")))
    return msgspec.structs.replace(mount, type="bind", source=place)
