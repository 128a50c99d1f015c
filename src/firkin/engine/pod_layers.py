"""Layers: an image's layers in the store of a running pod, each unpacked once, verified while it goes in.

    blob ──inflate, hash──► tar ──agent's stream──► /pod/layers/<chain>      used once its digest was right

The rule: a layer is named by its chain id, so images that begin alike share what they begin with; no member
starts on a layer that was not verified to its last byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from firkin.container.record import Record
from firkin.engine import pod_places as places
from firkin.engine import pod_store
from firkin.engine.chores import Chores
from firkin.engine.pod_unpack import unpack
from firkin.errors import FirkinError, HostUnsupported
from firkin.events import event, stage
from firkin.oci.image import Image, Layer, chain_id
from firkin.rootfs.stream import Budget, LayerStream
from firkin.wire.messages import Op, Sweep, Sync, Unmount

if TYPE_CHECKING:
    from firkin.agent.client import AgentClient
    from firkin.store.store import Store

_SPARE_BYTES = 256 << 20


class PodLayers:
    """The layers of one running pod. `known` are those that are whole in its store now."""

    def __init__(self, record: Record, client: AgentClient, store: Store, known: Iterable[str]) -> None:
        self._record = record
        self._client = client
        self._store = store
        self.known = set(known)
        self._at_work = asyncio.Lock()

    async def ready(self, image: Image) -> tuple[str, ...]:
        """The directories of the layers of `image`, the uppermost first, all of them in the store.

        Raises what is wrong with a layer, StorageFull where the store is full, MachineDied.
        """
        if len(image.layers) > places.MAX_LAYERS:
            raise HostUnsupported(
                f"image {image.digest} has {len(image.layers)} layers, and a pod's container at most "
                f"{places.MAX_LAYERS}",
                hint="run it in a machine of its own",
            )
        names: list[str] = []
        async with self._at_work:
            for number, layer in enumerate(image.layers, 1):
                name = places.layer_name(chain_id(each.diff_id for each in image.layers[:number]))
                if name not in self.known:
                    with stage("pod.layer", pod=self._record.id, layer=str(layer.digest)):
                        await self._bring(layer, name, tuple(reversed(names)))
                names.append(name)
        return tuple(reversed(names))

    def settle(self, chores: Chores) -> None:
        """See to it that what is in the store by now is on record there, while the pod goes on."""
        chores.start(self.write_down())

    async def write_down(self) -> None:
        """Put on record what is in the store by now, once it is on the disk. Raises MachineDied."""
        async with self._at_work:
            known = set(self.known)
            if known == set(pod_store.kept_layers(self._record)):
                return
            try:
                await self._client.request(Sync())
                pod_store.keep_layers(self._record, known)
            except FirkinError as error:  # they are unpacked again at the next start
                event("pod.layers.unsettled", pod=self._record.id, error=error)

    async def _bring(self, layer: Layer, name: str, below: tuple[str, ...]) -> None:
        try:
            await self._client.request(places.below_op(name, below))
            target = places.making_root(name) if below else places.layer_dir(name)
            await self._unpack(layer, target)
        except BaseException:
            self._undo(name, below)
            raise
        if below:
            await self._client.request(Unmount(target=places.making_root(name)))
        self.known.add(name)

    async def _unpack(self, layer: Layer, target: str) -> None:
        """Send the layer's tar to where it goes; it was right when this returns."""
        size_bytes = self._record.spec().disk_bytes
        with self._store.open_blob(layer.digest) as blob:
            await unpack(
                self._client, target, layer, LayerStream(blob), Budget(2 * size_bytes + _SPARE_BYTES)
            )

    def _undo(self, name: str, below: tuple[str, ...]) -> None:
        """Nothing of a layer stays that was not verified. Nobody waits for that."""
        ops: list[Op] = [Unmount(target=places.making_root(name))] if below else []
        for op in (*ops, Sweep(target=places.LAYERS, keep=tuple(self.known))):
            self._client.post(op)
