"""Facts of a pod, as JSON with the names that `podman pod inspect` uses, where it has them."""

from __future__ import annotations

from typing import Any

from firkin.container.pod import PodMount, PodVolume
from firkin.container.record import Running
from firkin.engine.network_facts import port_bindings
from firkin.engine.pod_members import PodSummary, state_word
from firkin.engine.timestamp import timestamp


def pod_facts(summary: PodSummary) -> dict[str, Any]:
    """What `firkin pod inspect` prints of a pod."""
    spec, sandbox, state = summary.pod.spec, summary.pod.sandbox, summary.state
    return {
        "Id": spec.id,
        "Name": spec.name,
        "Created": timestamp(spec.created_ns),
        "State": state_word(state).capitalize(),
        "Hostname": spec.hostname,
        "Labels": dict(spec.labels),
        "Annotations": dict(sandbox.annotations),
        "NumContainers": len(summary.members),
        "Containers": [
            {"Id": each.id, "Name": each.name, "State": type(now).__name__.lower()}
            for each, now in summary.members
        ],
        "SharedNamespaces": ["net", *(["pid"] if sandbox.share_pid else [])],
        "Pid": state.pid if isinstance(state, Running) else 0,
        "Memory": spec.memory_bytes,
        "NanoCpus": spec.cpus * 10**9,
        "DiskSize": spec.disk_bytes,
        "NetworkMode": ",".join(spec.network.names),
        "PortBindings": port_bindings(spec.ports),
        "Ports": port_bindings(state.ports if isinstance(state, Running) else ()),
        "Env": list(sandbox.env),
        "Volumes": [_volume(each) for each in sandbox.volumes],
        "Mounts": [_mount(each) for each in sandbox.mounts],
        "ConsolePath": str(summary.pod.record.dir / "console.log"),
        "StorePath": str(summary.pod.record.dir / "store.ext4"),
    }


def _volume(volume: PodVolume) -> dict[str, Any]:
    return {
        "Name": volume.name,
        "Kind": volume.kind,
        "Source": volume.source,
        "Size": volume.size_bytes,
        "Files": [each.path for each in volume.files],
        "RW": not volume.readonly,
    }


def _mount(mount: PodMount) -> dict[str, Any]:
    return {
        "Volume": mount.volume,
        "SubPath": mount.inner,
        "Destination": mount.target,
        "RW": not mount.readonly,
    }
