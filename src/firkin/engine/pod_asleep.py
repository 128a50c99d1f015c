"""Asleep: members of a pod that do not run, whose files somebody works on.

    pod runs      its machine has the member for as long as that takes, with its root and volumes and without
                  a process: made for the first who works on it, removed after the last
    pod stopped   a machine is started on its store for that, with none of its processes, and ends with the
                  block

The rule: whoever works on a member holds its lock, and that of a stopped pod, so that nobody starts or
removes it meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from firkin.aio.finish import finish
from firkin.aio.thread import in_thread
from firkin.container.locks import Lock
from firkin.container.pod import Sandbox
from firkin.container.record import Record
from firkin.container.spec import ContainerSpec
from firkin.engine import pod_launch, pod_members, pod_store
from firkin.engine import pod_places as places
from firkin.engine.batch import SEED_BYTES, prologue
from firkin.engine.chores import Chores
from firkin.engine.deadline import within
from firkin.engine.launch import opened_agent
from firkin.engine.pod_fill import fill
from firkin.engine.pod_layers import PodLayers
from firkin.engine.retries import retried
from firkin.engine.spawned import SpawnedProcess
from firkin.engine.stillness import of_ended
from firkin.errors import FirkinError, InUse, WrongState
from firkin.process.protocol import Process
from firkin.settings import Settings
from firkin.store.store import Store
from firkin.wire import messages as wire
from firkin.wire.trees import Task

if TYPE_CHECKING:
    from firkin.agent.client import AgentClient
    from firkin.engine.launch import Launched
    from firkin.oci.image import Image


class Sleepers:
    """The members of a running pod that somebody works on and that do not run."""

    def __init__(self, pod: Launched, layers: PodLayers, sandbox: Sandbox, chores: Chores) -> None:
        self._pod = pod
        self._layers = layers
        self._sandbox = sandbox
        self._chores = chores
        self._turns: dict[str, asyncio.Lock] = {}
        self._locks: dict[str, Lock] = {}
        self._users: dict[str, int] = {}

    async def work(self, record: Record, spec: ContainerSpec, image: Image, task: Task) -> Process:
        """Do `task` in the member of `record`, which does not run. Raises WrongState where it is started."""
        async with self._turn(spec.id):
            if spec.id not in self._locks:
                await self._wake(record, spec, image)
            self._users[spec.id] = self._users.get(spec.id, 0) + 1
        try:
            process = await self._pod.client.work(*places.placed(task, spec.id))
        except BaseException:
            await finish(self._leave(spec.id))
            raise
        self._chores.start(self._until_done(process, spec.id))
        return SpawnedProcess(process)

    def _turn(self, container_id: str) -> asyncio.Lock:
        return self._turns.setdefault(container_id, asyncio.Lock())

    async def _wake(self, record: Record, spec: ContainerSpec, image: Image) -> None:
        try:
            lock = record.own()
        except InUse as error:
            raise _started(spec) from error
        try:
            await self._pod.client.batch(await ops(self._layers, self._sandbox, spec, image))
        except BaseException:
            for op in (wire.Unmount(target=places.member_root(spec.id)), wire.Remove(container=spec.id)):
                self._pod.client.post(op)  # whatever came so far
            lock.close()
            raise
        self._locks[spec.id] = lock

    async def _until_done(self, process: Process, container_id: str) -> None:
        try:
            with suppress(FirkinError):
                await process.wait()
        finally:
            await finish(self._leave(container_id))

    async def _leave(self, container_id: str) -> None:
        async with self._turn(container_id):
            self._users[container_id] -= 1
            if self._users[container_id] > 0:
                return
            del self._users[container_id]
            with self._locks.pop(container_id), suppress(FirkinError, TimeoutError):
                async with within(pod_launch.REMOVE_PATIENCE_S, f"removing container {container_id[:12]}"):
                    await self._pod.client.request(wire.Remove(container=container_id))


@asynccontextmanager
async def in_stopped_pod(pod: Record, record: Record, settings: Settings) -> AsyncIterator[AgentClient]:
    """The agent of a machine on the store of the stopped `pod`, which has its member of `record` without a
    process. Raises WrongState where one of them is started, and what booting raises.
    """
    from firkin.agent.client import AgentClient

    store, spec, pod_spec = Store(record.paths), record.spec(), pod.spec()
    assert isinstance(pod_spec.pod, Sandbox)
    sandbox = pod_spec.pod
    image = await in_thread(partial(pod_members.image_of, store, spec))
    async with of_ended(pod), of_ended(record), AsyncExitStack() as stack:
        kept = await in_thread(partial(pod_store.kept_layers, pod))
        ids = [member.id for _, member in pod_members.members(pod.paths, pod.id)]

        async def attempt(stack: AsyncExitStack, _: int) -> AgentClient:
            machine = await pod_launch.booted(stack, pod, pod_spec, sandbox, (), settings, "owner")
            connection = await opened_agent(machine)
            client = await stack.enter_async_context(await AgentClient.open(connection, pod_spec.name))
            ops = (
                *prologue(time.time_ns(), os.urandom(SEED_BYTES)),
                *places.store_ops(sandbox, kept, ids),
                *places.named_ops(pod_spec.storage),
            )
            await machine.booted(client.start(ops))
            return client

        client = await retried(stack, pod_spec.name, attempt)
        await fill(client, sandbox.volumes)
        layers = PodLayers(pod, client, store, kept)
        await client.batch(await ops(layers, sandbox, spec, image))
        await layers.write_down()
        yield client
        await client.poweroff(sync=True)


async def ops(layers: PodLayers, sandbox: Sandbox, spec: ContainerSpec, image: Image) -> tuple[wire.Op, ...]:
    """What makes a member without a process, once its layers are there. Raises as PodLayers.ready()."""
    names = await layers.ready(image)
    return (
        places.root_op(spec.id, names),
        pod_launch.member_op(spec, sandbox, (), alone=True),
        wire.Unmount(target=places.member_root(spec.id)),
    )


def _started(spec: ContainerSpec) -> WrongState:
    return WrongState(f"container {spec.name!r} is being started", hint="try again once it runs or has ended")
