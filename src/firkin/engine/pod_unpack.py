"""Unpack: one layer's tar into a directory of a pod's store, by the agent, verified on its way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import TYPE_CHECKING

from firkin.aio.thread import in_thread
from firkin.engine.trees import Trees
from firkin.oci.image import Layer
from firkin.rootfs.stream import Budget, LayerStream
from firkin.wire.trees import Task, Unpack

if TYPE_CHECKING:
    from firkin.agent.client import AgentClient
    from firkin.process.protocol import Process


async def unpack(client: AgentClient, target: str, layer: Layer, stream: LayerStream, budget: Budget) -> None:
    """Let what `stream` has be the tree at `target`. Raises what is wrong with the layer, StorageFull,
    AgentError, MachineDied; then what is there is of no use.
    """
    task = Unpack(path=target.encode(), whiteouts=True)
    with stream:
        await trees_of_machine(client).unpack(task, _pieces(budget.metered(iter(stream))))
        await in_thread(partial(stream.verify, layer.diff_id))


def trees_of_machine(client: AgentClient) -> Trees:
    """The files of the machine itself, and not of one of its containers."""
    return Trees(_Machine(client), client.machine)


async def _pieces(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while (piece := await in_thread(partial(next, pieces, None))) is not None:
        yield piece


class _Machine:
    """Does such work in the machine itself, and not in one of its containers."""

    def __init__(self, client: AgentClient) -> None:
        self._client = client

    async def work(self, task: Task) -> Process:
        return await self._client.work(task, "")
