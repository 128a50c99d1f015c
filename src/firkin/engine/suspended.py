"""Suspended: a container whose machine lies beside its disk, until it goes on.

    containers/<id>/suspended/      memory, state, saved.json of its machine
                   .suspended.new   being made

    suspend    save its machine, which stands still then ► put that on record ► end the machine; where that
               cannot be put on record, the files go and the machine goes on
    resume     what the disk was then becomes layers, on record ► a new top ► the machine goes on ► it runs,
               on record ► the files go

The rule: until it is on record that it runs again, what it goes on from is as it was, disk and memory: so it
may be tried any number of times, and a crash loses nothing.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from firkin.aio.finish import finish
from firkin.aio.thread import in_thread
from firkin.container import layers
from firkin.container.record import Record, Running, Suspended
from firkin.engine.restore import Origin
from firkin.engine.saving import Source, write
from firkin.engine.transcript import Transcript
from firkin.errors import FirkinError
from firkin.events import stage
from firkin.machine.qemu.machine import Machine
from firkin.machine.saved import load
from firkin.store.files import disk_errors, sync_dir, sync_file
from firkin.store.store import Store

DIR, _MAKING = "suspended", ".suspended.new"
OTHERWISE = ("kernel", "agent")
"""What may be others here than those that run in it: they are in its memory."""


async def suspend(source: Source, state: Running, put_on_record: Callable[[Suspended], None]) -> None:
    """Save the machine of a running container, which stands still from then on, and have that put on record.
    Its owner's.

    Raises what saving.write() and `put_on_record` raise; then it goes on, and nothing was kept.
    """
    record = source.record
    making = record.dir / _MAKING
    shutil.rmtree(making, ignore_errors=True)
    with stage("container.suspend", container=record.id):
        try:
            with disk_errors(making):
                making.mkdir(mode=0o700)
            await write(source, making, stop=True)
            try:
                await in_thread(partial(_keep, record, making))
                put_on_record(_suspended_from(state))
            except BaseException as error:
                forget(record)
                await finish(_go_on(source.launched.vm, error))
                raise
        finally:
            shutil.rmtree(making, ignore_errors=True)


def _suspended_from(state: Running) -> Suspended:
    return Suspended(
        suspended_ns=time.time_ns(),
        started_ns=state.started_ns,
        detached=state.detached,
        proc=state.proc,
        ahead=state.ahead,
    )


async def _go_on(machine: Machine, error: BaseException) -> None:
    """Let the machine run again after `error`, which is told where it cannot."""
    try:
        await machine.resume()
    except FirkinError as failure:
        error.add_note(f"and it does not go on: {failure}")


def origin(record: Record, state: Suspended, transcript: Transcript) -> Origin:
    """What a suspended container goes on from, its disk ready for that. Its owner's.

    Raises Corrupt, StorageFull, UsageError for a disk that was suspended too often.
    """
    with Store(record.paths).adding():
        if state.layers is None:
            state = msgspec.structs.replace(state, layers=layers.freeze(record).layers)
            record.set_suspended(state)
        assert state.layers is not None
        layers.reset(record, state.layers, record.disk().parent)
    name = record.spec().name
    saved = msgspec.structs.replace(
        load(record.dir / DIR),
        besides=OTHERWISE,
        name=f"suspended container {name!r}",
        otherwise=f"bring back what it was suspended with; `firkin rm -f {name}` gives it up",
    )
    return Origin(saved, record.id, state.proc, transcript.begin.plus(state.ahead))


def forget(record: Record) -> None:
    """It is on record that the container runs again: what it went on from may go."""
    shutil.rmtree(record.dir / DIR, ignore_errors=True)


def _keep(record: Record, making: Path) -> None:
    """Put what was saved, and the disk, where a power cut leaves it."""
    with disk_errors(making):
        for path in (*making.iterdir(), record.disk_path):
            sync_file(path)
        sync_dir(making)
        shutil.rmtree(record.dir / DIR, ignore_errors=True)
        making.rename(record.dir / DIR)
        sync_dir(record.dir)
