"""How many machines this host carries is told before any is made."""

from __future__ import annotations

import msgspec
import pytest

from firkin.container.spec import ContainerSpec
from firkin.engine.admission import DISK_RESERVE_BYTES, HostFacts, admit, estimate_bytes, host_facts
from firkin.errors import MemoryFull, StorageFull
from firkin.process.spec import ProcessSpec
from firkin.settings import Settings

GIB, MIB = 1 << 30, 1 << 20
SPEC = ContainerSpec(
    id="0" * 64,
    name="box",
    image="busybox",
    image_digest="",
    rootfs_key="",
    process=ProcessSpec(args=("sh",)),
    created_ns=0,
    hostname="box",
    memory_bytes=256 * MIB,
)
HOST = HostFacts(memory_bytes=24 * GIB, available_bytes=22 * GIB, disk_free_bytes=100 * GIB)


def test_fifty_machines_fit_where_two_hundred_are_refused_with_the_numbers() -> None:
    admit(50, SPEC, HOST)
    with pytest.raises(MemoryFull) as refused:
        admit(200, SPEC, HOST)
    most = HOST.room_bytes // estimate_bytes(SPEC)
    assert "200 machines of 268MB need 35.2GB of memory (176MB each)" in str(refused.value)
    assert "23.6GB are available, of which 1.61GB are kept free" in str(refused.value)
    assert f"at most {most}" in refused.value.hint
    admit(most, SPEC, HOST)
    with pytest.raises(MemoryFull):
        admit(most + 1, SPEC, HOST)


def test_a_host_whose_memory_is_all_reserved_carries_none() -> None:
    admit(0, SPEC, msgspec.structs.replace(HOST, available_bytes=0))
    with pytest.raises(MemoryFull, match="1 machine of 268MB needs"):
        admit(1, SPEC, msgspec.structs.replace(HOST, available_bytes=HOST.reserve_bytes))


def test_a_full_disk_takes_no_more_machines() -> None:
    with pytest.raises(StorageFull, match="kept free"):
        admit(3, SPEC, msgspec.structs.replace(HOST, disk_free_bytes=DISK_RESERVE_BYTES + 1))


def test_this_host_tells_what_it_has(settings: Settings) -> None:
    facts = host_facts(settings.paths)
    assert 0 < facts.available_bytes <= facts.memory_bytes
    assert facts.disk_free_bytes > 0
