"""The machine of a pod is killed while layers come into its store: the next one finds it in order."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from firkin.container.record import Record
from firkin.engine import pod_layers, pod_unpack
from firkin.engine.engine import Engine
from firkin.engine.options import ExecOptions
from firkin.engine.pod_options import pod_options
from firkin.engine.pod_owner import OwnedPod
from firkin.engine.words import run_options
from firkin.errors import FirkinError, MachineDied
from firkin.events import Event, subscribed
from firkin.settings import Settings
from tests.support.ext4 import E2FSCK, assert_clean
from tests.support.images import Images, busybox_tar
from tests.support.layers import archive, directory, member

pytestmark = pytest.mark.machine

FILES = {f"many/{number}": os.urandom(number * 97 % 30000) for number in range(300)}
SUMS = "".join(f"{hashlib.sha256(FILES[name]).hexdigest()}  /{name}\n" for name in sorted(FILES))


@pytest.fixture
def image(images: Images) -> str:
    below = archive([directory("many"), directory("gone"), member("gone/file", b"x")])
    above = archive([member("gone/.wh.file"), *(member(name, data) for name, data in FILES.items())])
    return images.push("pod-store", [busybox_tar(), below, above]).reference


class Pod:
    """A pod of this process, with a member that sleeps, started again and again."""

    def __init__(self, record: Record, member: Record, settings: Settings) -> None:
        self._record, self._member, self._settings = record, member, settings
        self.brought = 0

    async def __aenter__(self) -> Pod:
        self.owned = OwnedPod.begin(self._record, self._record.own(), settings=self._settings)
        await self.owned.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.owned.close()
        await self.owned.finished()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.owned._keeper.machine().machine.pid, signal.SIGKILL)

    async def start(self, watch: Callable[[Event], None] = lambda _: None) -> Any:
        """Start the member, while `watch` sees each layer's begin and end."""

        def layers_only(event: Event) -> None:
            if event.name == "pod.layer":
                self.brought += event.phase == "begin"
                watch(event)

        owned = self.owned.member(self._member, self._member.own(), self._member.state())
        with subscribed(layers_only):
            await owned.start()
        return owned

    def check_store(self, path: Path) -> None:
        """The kernel's journal is all that a killed machine leaves to be done."""
        shutil.copy(self._record.dir / "store.ext4", path)
        preened = subprocess.run([E2FSCK, "-fp", path], capture_output=True, text=True, check=False)
        assert preened.returncode in (0, 1), preened.stdout
        assert_clean(path)


@pytest.fixture
async def pod(image: str, engine: Engine, settings: Settings) -> Pod:
    made = await engine.pods.create(
        pod_options({"name": "stored", "network": "none", "memory": "128m", "disk": "64m"})
    )
    record, lock = await engine.pods.put(run_options(image, ["sleep", "1000"], pod="stored"), kept=True)
    lock.close()
    return Pod(made.record, record, settings)


async def test_a_killed_machine_leaves_a_store_in_order(
    pod: Pod, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = pod_unpack._pieces

    def at(phase: str, number: int) -> Callable[[Event], None]:
        return lambda event: pod.kill() if (event.phase, pod.brought) == (phase, number) else None

    async def cut(source: Any) -> AsyncIterator[bytes]:
        """The second half of the last layer comes to a machine that is gone."""
        count = 0
        async for piece in pieces(source):
            count += pod.brought == 3
            if count == 2:
                pod.kill()
            yield piece

    for watch, patched in ((at("begin", 2), pieces), (at("end", 2), pieces), (lambda _: None, cut)):
        monkeypatch.setattr(pod_unpack, "_pieces", patched)
        pod.brought = 0
        async with pod:
            with pytest.raises((MachineDied, FirkinError)):
                await pod.start(watch)
            await pod.owned.finished()
        pod.check_store(tmp_path / "store")

    # All are there, and only what is on record as written is believed by the next machine.
    monkeypatch.setattr(pod_unpack, "_pieces", pieces)
    keep = pod_layers.pod_store.keep_layers
    for before, brought in ((True, 3), (False, 3), (False, 0)):
        pod.brought = 0

        def keep_and_die(record: Record, layers: Any, before: bool = before) -> None:
            if not before:
                keep(record, layers)
            pod.kill()

        monkeypatch.setattr(pod_layers.pod_store, "keep_layers", keep_and_die)
        async with pod:
            running = await pod.start()
            assert pod.brought == brought
            process = await running.exec(
                ExecOptions(command=("sh", "-c", "ls /gone; sha256sum $(find /many -type f | sort)"))
            )
            said = b""
            while piece := await process.stdout.read():
                said += piece
            assert sorted(said.decode().splitlines()) == sorted(SUMS.splitlines())
            pod.owned.settled()
            if brought:
                await pod.owned.finished()
        pod.check_store(tmp_path / "store")
