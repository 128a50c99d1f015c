"""Launch, for pods: a pod's machine with its pausing process, and a member's first process in that machine.

pod       boot ──► network, pausing container, store, volumes in one batch
member    layers that are missing ──► root, container, process in one batch ──► its end takes only itself
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from firkin.aio.thread import in_thread
from firkin.container.pod import Member, Sandbox
from firkin.container.record import Record, Running
from firkin.container.spec import ContainerSpec
from firkin.engine import pod_places as places
from firkin.engine import pod_store
from firkin.engine.batch import SEED_BYTES, container_op, limit_ops, prologue
from firkin.engine.deadline import within
from firkin.engine.filters import filter_of
from firkin.engine.launch import Launched, answered, connected, greeted, shared_sockets
from firkin.engine.pod_fill import fill
from firkin.engine.retries import retried
from firkin.engine.shape import machine_spec
from firkin.engine.spawn_op import spawn_op
from firkin.engine.storage import make_ready
from firkin.engine.transcript import Transcript
from firkin.errors import AgentError, FirkinError, MachineDied
from firkin.events import span
from firkin.machine.qemu.exit import death
from firkin.machine.spec import MachineSpec, PublishedPort
from firkin.machine.start import Lifetime, boot
from firkin.network.guest import guest_network
from firkin.process.capabilities import granted
from firkin.settings import Settings
from firkin.wire import messages as wire

if TYPE_CHECKING:
    from firkin.agent.process import RemoteProcess
    from firkin.engine.pod_layers import PodLayers
    from firkin.machine.qemu.machine import Machine
    from firkin.oci.image import Image

REMOVE_PATIENCE_S = 15.0


class InPod(Launched, frozen=True):
    """A member's first process; machine and client are its pod's, and outlive it."""

    published: tuple[PublishedPort, ...] = ()

    @property
    def ports(self) -> tuple[PublishedPort, ...]:
        """Its own of the pod's."""
        return self.published

    def discard(self) -> None:
        """What it wrote goes when the pod's store is swept."""

    async def settle(self) -> None:
        """The pod's machine writes it down, in its own time."""

    async def death(self) -> MachineDied:
        """Why the pod's machine is gone, once it is."""
        return death(self.machine.name, await self.machine.wait())


@asynccontextmanager
async def launch_pod(
    record: Record,
    spec: ContainerSpec,
    sandbox: Sandbox,
    members: Sequence[ContainerSpec],
    booting: Callable[[], object],
    *,
    settings: Settings,
) -> AsyncIterator[Launched]:
    """The machine of a pod with its pausing process; it ends with the block. Raises as engine.launch, after
    some tries as there.
    """
    asked = (*spec.ports, *(port for member in members for port in member.ports))
    ports = tuple(port for port in asked if not port.ipv6)
    kept = await in_thread(partial(pod_store.kept_layers, record))

    async def attempt(stack: AsyncExitStack, _: int) -> Launched:
        sockets = shared_sockets(stack, spec, tuple(port for port in asked if port.ipv6))
        machine = await booted(stack, record, spec, sandbox, ports, settings, "detached")
        client, cords = await connected(stack, record, spec, machine)
        process = client.register(_pause(spec), stdout=False, stderr=False)
        assert process.op is not None
        network = guest_network(spec.network, ports)
        ops = (
            *prologue(time.time_ns(), os.urandom(SEED_BYTES)),
            *network.ops,
            _pausing(spec),
            process.op,
            *places.store_ops(sandbox, kept, [member.id for member in members]),
            *places.named_ops(spec.storage),
        )
        answer = asyncio.create_task(client.start(ops))
        await asyncio.sleep(0)  # it is sent; now the guest has to boot
        booting()
        await answered(machine, client, answer)
        await fill(client, sandbox.volumes)
        if sockets is not None:
            await stack.enter_async_context(sockets.serving(client))
        return Launched(machine, client, process, sockets=sockets, cords=cords)

    async with AsyncExitStack() as stack:
        yield await retried(stack, spec.name, attempt)


async def booted(
    stack: AsyncExitStack,
    record: Record,
    spec: ContainerSpec,
    sandbox: Sandbox,
    ports: tuple[PublishedPort, ...],
    settings: Settings,
    lifetime: Lifetime,
) -> Machine:
    """The pod's machine, whose VMM has started; it ends with `stack`. Raises what boot() raises."""
    if spec.storage.disks:
        await in_thread(partial(make_ready, record, spec))
    disk = await in_thread(partial(pod_store.ready, record))
    with record.hold_alive() as alive:
        machine = await stack.enter_async_context(
            boot(
                _machine(machine_spec(spec, disk, settings), sandbox, ports),
                settings=settings,
                dir=record.dir,
                run_dir=record.paths.container_run_dir(record.id),
                lifetime=lifetime,
                alive_fd=alive.fd,
            )
        )
    stack.push_async_callback(machine.stop)
    return machine


@asynccontextmanager
async def resume_pod(
    record: Record, spec: ContainerSpec, state: Running, booting: Callable[[], object]
) -> AsyncIterator[Launched]:
    """The machine of a running pod whose owner died; its members' processes wait to be taken over.

    Raises MachineDied, AgentError, Timeout.
    """
    async with AsyncExitStack() as stack:
        relayed = tuple(port for port in state.ports if port.ipv6)
        sockets = shared_sockets(stack, spec, relayed, running=True)
        machine, client, cords = await greeted(stack, record, spec, state, booting)
        process = client.processes.get(state.proc)
        if process is None:
            raise AgentError(f"machine {client.machine!r} does not know its pod's process")
        if sockets is not None:
            await stack.enter_async_context(sockets.serving(client))
        yield Launched(machine, client, process, sockets=sockets, cords=cords)


@asynccontextmanager
async def join(
    pod: Launched,
    layers: PodLayers,
    sandbox: Sandbox,
    image: Image,
    record: Record,
    spec: ContainerSpec,
    booting: Callable[[], object],
    *,
    settings: Settings,
) -> AsyncIterator[Launched]:
    """A member of a running pod with its process started; it ends with the block, the pod does not.

    Raises what PodLayers.ready() and AgentClient.batch() raise; then nothing of it is left.
    """
    begin_ns = time.monotonic_ns()
    record.paths.container_run_dir(record.id).mkdir(mode=0o700, parents=True, exist_ok=True)
    names = await layers.ready(image)
    op = spawn_op(spec.id, spec.process, filter_of(spec.process.policy, settings))
    process = pod.client.register(op, stdin=spec.process.stdin, **spec.process.outputs.connected())
    assert process.op is not None
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_leave, pod, process, spec.id)
        sockets = shared_sockets(stack, spec)
        ops = (
            places.root_op(spec.id, names),
            member_op(spec, sandbox, pod.ports),
            wire.Unmount(target=places.member_root(spec.id)),
            *limit_ops(spec),
            *(() if sockets is None else sockets.register(pod.client)),
            process.op,
        )
        await pod.client.batch(ops)
        booting()
        if sockets is not None:
            await stack.enter_async_context(sockets.serving(pod.client))
        span("container.start", begin_ns, time.monotonic_ns(), container=spec.id, name=spec.name)
        yield InPod(pod.machine, pod.client, process, sockets=sockets, published=_published(spec, pod))


@asynccontextmanager
async def rejoin(
    pod: Launched,
    record: Record,
    spec: ContainerSpec,
    state: Running,
    transcript: Transcript,
    booting: Callable[[], object],
) -> AsyncIterator[Launched]:
    """A member that runs and whose owner died. Raises AgentError where the pod does not know it."""
    record.paths.container_run_dir(record.id).mkdir(mode=0o700, parents=True, exist_ok=True)
    process = pod.client.processes.get(state.proc)
    if process is None or process.container != spec.id:
        raise AgentError(f"pod {pod.machine.name!r} does not know the process of container {spec.name!r}")
    counted = transcript.begin.plus(state.ahead)
    process.resume(
        stdout_offset=transcript.offset("stdout") - transcript.begin.stdout + counted.stdout,
        stderr_offset=transcript.offset("stderr") - transcript.begin.stderr + counted.stderr,
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_leave, pod, process, spec.id)
        booting()
        sockets = shared_sockets(stack, spec, running=True)
        if sockets is not None:
            await stack.enter_async_context(sockets.serving(pod.client))
            if not state.paused:
                await sockets.appear(running=True)
        yield InPod(pod.machine, pod.client, process, counted, sockets, published=state.ports)


async def _leave(pod: Launched, process: RemoteProcess, container_id: str) -> None:
    """End what is left of a member, whatever it came to, unless its machine is gone."""
    with suppress(FirkinError, TimeoutError):
        async with within(REMOVE_PATIENCE_S, f"removing container {container_id[:12]} from its pod"):
            for op in (
                wire.Unmount(target=places.member_root(container_id)),
                wire.Remove(container=container_id),
            ):
                with suppress(AgentError):  # it never came so far, or went by itself
                    await pod.client.request(op)
    process.abandon()


def _machine(spec: MachineSpec, sandbox: Sandbox, ports: tuple[PublishedPort, ...]) -> MachineSpec:
    shares = (*spec.shares, *places.shares(sandbox.volumes))
    return msgspec.structs.replace(spec, shares=shares, ports=ports)


def _pausing(spec: ContainerSpec) -> wire.Op:
    """What keeps the pod's pid namespace; it has a root without anything on it."""
    root = wire.Root(device="", fstype="pause", readonly=True)
    return wire.Container(container=spec.id, root=root, hostname=spec.hostname)


def _pause(spec: ContainerSpec) -> wire.Spawn:
    return wire.Spawn(proc=0, container=spec.id, args=spec.process.args, env=(), cwd="/", caps=granted(0))


def member_op(
    spec: ContainerSpec, sandbox: Sandbox, ports: tuple[PublishedPort, ...], *, alone: bool = False
) -> wire.Op:
    """A member as it is made: what any container is, on a root in the store, with volumes and files.

    `alone` it sees no processes of others, whatever its pod says.
    """
    assert isinstance(spec.pod, Member)
    plain = container_op(spec, guest_network(spec.network, ports), frozenset())
    shared = places.pod_mounts(spec.pod.mounts, sandbox.volumes)
    covered = {each.target for each in shared}
    return msgspec.structs.replace(
        plain,
        root=wire.Root(device=places.member_root(spec.id), fstype="bind", readonly=spec.read_only),
        mounts=tuple(sorted((*plain.mounts, *shared), key=lambda mount: mount.target)),
        files=tuple(each for each in plain.files if each.path not in covered),
        pids=spec.pod.pod if sandbox.share_pid and not alone else "",
    )


def _published(spec: ContainerSpec, pod: Launched) -> tuple[PublishedPort, ...]:
    """The pod's ports that the member asked for, as they came to be."""
    wanted = {(port.guest_port, port.protocol) for port in spec.ports}
    return tuple(port for port in pod.ports if (port.guest_port, port.protocol) in wanted)
