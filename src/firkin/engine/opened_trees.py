"""OpenedTrees: the files of a container, whatever state it is in.

    running    its agent packs and unpacks
    created,   a machine is started on its disk for that, with its volumes and none of its processes, and ends
    ended      with the block; nobody else can start the container meanwhile. One in namespaces gets these;
               for one in a pod see pod_asleep

What a crash of ours leaves is what the file system's journal makes of a machine that lost its power.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from firkin.container.pod import Member
from firkin.container.record import Record, Running, Suspended
from firkin.container.spec import ContainerSpec
from firkin.engine.container import Container
from firkin.engine.trees import Trees, Works
from firkin.errors import WrongState
from firkin.process.protocol import Process
from firkin.settings import Settings
from firkin.wire.trees import Task

if TYPE_CHECKING:
    from firkin.agent.client import AgentClient
    from firkin.engine.remote import RemoteContainer


@asynccontextmanager
async def trees_of(container: Container, settings: Settings) -> AsyncIterator[Trees]:
    """The files of `container` in the block.

    Raises WrongState for one that is suspended, paused or being started, and what booting raises.
    """
    state = container.state
    if isinstance(state, Suspended):
        raise WrongState(
            f"container {container.name!r} is suspended: its files are as its memory has them",
            hint=f"`firkin resume {container.name}` first",
        )
    if isinstance(state, Running):
        yield Trees(container, container.name)
        return
    record = Record(settings.paths, container.id)
    if isinstance(container.spec.pod, Member):
        async with _in_pod(container, container.spec.pod, record, settings) as works:
            yield Trees(works, container.name)
        return
    async with _awake(record, settings) as works:
        yield Trees(works, container.name)


@asynccontextmanager
async def _in_pod(
    container: Container, place: Member, record: Record, settings: Settings
) -> AsyncIterator[Works]:
    """The files of a member that does not run, in its pod's machine, or in one on the pod's store."""
    from firkin.engine.remote import RemoteContainer

    pod = Record(settings.paths, place.pod)
    if isinstance(pod.state(), Running):
        assert isinstance(container, RemoteContainer)  # whoever owns one has it only while it runs
        yield _Asleep(container.beside(pod), container.id)
        return
    from firkin.engine.pod_asleep import in_stopped_pod

    async with in_stopped_pod(pod, record, settings) as client:
        yield _AwakeInPod(client, container.id)


class _Asleep:
    """The files of a member of a running pod."""

    def __init__(self, pod: RemoteContainer, member: str) -> None:
        self._pod, self._member = pod, member

    async def work(self, task: Task) -> Process:
        return await self._pod.work(task, self._member)


class _Awake:
    """The files of a container without processes."""

    def __init__(self, client: AgentClient, container: str) -> None:
        self._client, self._container = client, container

    async def work(self, task: Task) -> Process:
        return await self._client.work(task, self._container)


class _AwakeInPod(_Awake):
    """Those of a member of a stopped pod."""

    async def work(self, task: Task) -> Process:
        from firkin.engine.pod_places import placed

        return await self._client.work(*placed(task, self._container))


@asynccontextmanager
async def _awake(record: Record, settings: Settings) -> AsyncIterator[_Awake]:
    """What an ended container has for its files, as they are there but for its processes and its network."""
    from firkin.engine.stillness import of_ended

    spec = record.spec()
    opened = _in_machine if spec.isolation == "vm" else _in_namespaces
    async with of_ended(record), AsyncExitStack() as stack:
        client = await opened(stack, record, spec, settings)
        yield _Awake(client, spec.id)
        await client.poweroff(sync=True)


async def _in_namespaces(
    stack: AsyncExitStack, record: Record, spec: ContainerSpec, settings: Settings
) -> AgentClient:
    from firkin.engine.namespaced import begun, container_op

    namespace, client = await begun(stack, record, spec, settings, "owner")
    await namespace.booted(client.start((container_op(spec),)))
    return client


async def _in_machine(
    stack: AsyncExitStack, record: Record, spec: ContainerSpec, settings: Settings
) -> AgentClient:
    from firkin.agent.client import AgentClient
    from firkin.engine import batch
    from firkin.engine.launch import booted, opened_agent
    from firkin.engine.retries import retried
    from firkin.network.guest import guest_network

    single_files = frozenset(bind.source for bind in spec.binds if not os.path.isdir(bind.source))
    guest = guest_network(spec.network, spec.forwarded_ports)
    ops = (
        *batch.prologue(time.time_ns(), os.urandom(batch.SEED_BYTES)),
        batch.container_op(spec, guest, single_files),
    )

    async def attempt(stack: AsyncExitStack, _: int) -> AgentClient:
        machine = await booted(stack, record, spec, settings, "owner")
        connection = await opened_agent(machine)
        client = await stack.enter_async_context(await AgentClient.open(connection, spec.name))
        await machine.booted(client.start(ops))
        return client

    return await retried(stack, spec.name, attempt)
