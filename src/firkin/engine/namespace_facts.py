"""What `firkin inspect` says of a container in namespaces beyond that, with the names that podman uses."""

from __future__ import annotations

from typing import Any

from firkin.container.spec import ContainerSpec
from firkin.linux.id_map import IdRanges
from firkin.paths import Paths


def namespace_facts(spec: ContainerSpec, paths: Paths) -> dict[str, Any]:
    """`GraphDriver`: where its root is put together from."""
    if spec.id_map is None:
        return {}
    directory = paths.container_dir(spec.id)
    data = {"UpperDir": str(directory / "upper")}
    if spec.storage_driver != "copy":
        lower = str(paths.rootfs_dir / spec.rootfs_key / "root")
        data = {"LowerDir": lower, **data, "WorkDir": str(directory / "work")}
    return {"GraphDriver": {"Name": spec.storage_driver, "Data": data}}


def namespace_host_config(spec: ContainerSpec) -> dict[str, Any]:
    """The part of HostConfig; in place of a machine's, of which there is none."""
    if spec.id_map is None:
        return {}
    return {
        "UsernsMode": _userns(spec),
        "IDMappings": {"UidMap": _ranges(spec.id_map.uids), "GidMap": _ranges(spec.id_map.gids)},
        "Memory": spec.limits.memory_bytes or 0,
        "MemorySwap": spec.limits.memory_swap_bytes or 0,
        "MachineMemory": 0,
        "NanoCpus": round((spec.limits.cpus or 0) * 10**9),
        "MachineCpus": 0,
        "CpuShares": spec.limits.shares or 0,
        "CpusetCpus": spec.limits.cpuset,
        "DiskSize": 0,
    }


def _userns(spec: ContainerSpec) -> str:
    """As podman says it; there is always a user namespace, so that "host" would be misread."""
    return "private" if spec.id_mode.kind in ("host", "explicit") else str(spec.id_mode)


def _ranges(ranges: IdRanges) -> list[str]:
    return [str(each) for each in ranges.ranges]
