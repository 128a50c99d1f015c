"""What a container goes on from, without a machine: by what name a person hears of it, and of the way out."""

from __future__ import annotations

import pytest
from msgspec import structs

from firkin.engine.restore import of_snapshot
from firkin.errors import Misfit
from firkin.machine.saved import check_fit
from firkin.settings import Settings
from firkin.snapshot import record
from firkin.snapshot.record import Snapshot
from tests.support.snapshots import MIB, make_snapshot, noisy_memory


def refusal(settings: Settings, snapshot: Snapshot) -> Misfit:
    """What is said where one of its parts differs."""
    spec = structs.replace(snapshot.spec, snapshot=snapshot.id)
    origin = of_snapshot(settings.paths, spec)
    assert origin is not None
    with pytest.raises(Misfit) as caught:
        check_fit(origin.saved, structs.replace(origin.saved.machine, cpus=99))
    return caught.value


async def test_a_snapshot_that_cannot_go_on_is_named_with_the_command_that_begins_anew(
    settings: Settings,
) -> None:
    error = refusal(settings, await make_snapshot(settings, "one", memory=noisy_memory(MIB)))
    assert str(error).startswith("snapshot 'one' cannot go on here: its number of CPUs was")
    assert "`firkin snapshot restore --or-boot one`" in error.hint


async def test_a_fork_that_cannot_go_on_is_named_by_its_container(settings: Settings) -> None:
    kept = await make_snapshot(settings, "one", memory=noisy_memory(MIB))
    with record.making(settings.paths) as making:
        for path in settings.paths.snapshot_dir(kept.id).iterdir():
            (making.dir / path.name).write_bytes(path.read_bytes())
        error = refusal(settings, making.lend(structs.replace(kept, name="")))
    assert str(error).startswith("a fork of 'box' cannot go on here")
    assert "--disk-only box" in error.hint
