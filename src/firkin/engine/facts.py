"""Facts: everything that is known of a container, as JSON with the names that `docker inspect` uses."""

from __future__ import annotations

from typing import Any

from firkin.container.pod import Member
from firkin.container.record import Created, Exited, Record, Running, State
from firkin.container.shared_socket import SharedSocket
from firkin.container.spec import ContainerSpec
from firkin.container.state import word
from firkin.engine.device_words import device_facts
from firkin.engine.health_facts import health_config, health_state
from firkin.engine.machine_facts import machine_config
from firkin.engine.mount_facts import binds, mount_facts
from firkin.engine.namespace_facts import namespace_facts, namespace_host_config
from firkin.engine.network_facts import network_config, network_host_config, network_settings
from firkin.engine.policy_facts import policy_config
from firkin.engine.root_facts import root_facts
from firkin.engine.timestamp import NEVER, timestamp
from firkin.process.raw import shown

_OF_ITS_OWN = {
    "IpcMode": "private",
    "CgroupnsMode": "private",
    "UTSMode": "",
    "UsernsMode": "",
    "LogConfig": {"Type": "firkin", "Config": {}},
}
"""What every container has, by Docker's names."""


def container_facts(spec: ContainerSpec, state: State, record: Record) -> dict[str, Any]:
    """What `firkin inspect` prints of a container."""
    process = spec.process
    return {
        "Id": spec.id,
        "Name": spec.name,
        "Created": timestamp(spec.created_ns),
        "Path": shown(process.args[0]),
        "Args": [shown(word) for word in process.args[1:]],
        "State": {**_state(state), **health_state(spec, state, record)},
        "RestartCount": state.tries.count if isinstance(state, Running | Exited) else 0,
        "Image": spec.image_digest,
        "Platform": "linux",
        "AppArmorProfile": process.policy.apparmor,
        "ProcessLabel": process.policy.selinux,
        "Snapshot": spec.snapshot,
        "Cold": spec.cold,
        "Pod": spec.pod.pod if isinstance(spec.pod, Member) else "",
        "Isolation": spec.isolation,
        "Detached": spec.detached,
        "Config": _config(spec),
        "HostConfig": _host_config(spec),
        "Mounts": mount_facts(spec, record.paths),
        "NetworkSettings": network_settings(spec, state),
        "LogPath": str(record.log_path),
        "ConsolePath": str(record.dir / "console.log"),
        **root_facts(spec, record.paths),
        **namespace_facts(spec, record.paths),
    }


def _state(state: State) -> dict[str, Any]:
    running = isinstance(state, Running)
    started_ns = None if isinstance(state, Created) else state.started_ns
    exited = state if isinstance(state, Exited) else None
    return {
        "Status": word(state),
        "Running": running,
        "Paused": isinstance(state, Running) and state.paused,
        "Restarting": word(state) == "restarting",
        "Dead": False,
        "Pid": state.pid if isinstance(state, Running) else 0,
        "ExitCode": exited.status.status if exited else 0,
        "Error": exited.reason if exited else "",
        "OOMKilled": exited is not None and exited.status.why == "oom",
        "ExitReason": exited.status.why if exited else "",
        "StartedAt": NEVER if started_ns is None else timestamp(started_ns),
        "FinishedAt": timestamp(exited.finished_ns) if exited else NEVER,
        "Accelerator": state.accelerator if isinstance(state, Running) else "",
    }


def _config(spec: ContainerSpec) -> dict[str, Any]:
    process = spec.process
    return {
        "Image": spec.image,
        "Hostname": spec.hostname,
        **network_config(spec),
        "User": process.user,
        "WorkingDir": process.cwd,
        "Env": [shown(word) for word in process.env],
        "Entrypoint": None,
        "Cmd": [shown(word) for word in process.args],
        "AttachStdin": process.stdin and not spec.detached,
        "AttachStdout": not spec.detached,
        "AttachStderr": not spec.detached,
        "Outputs": {"Stdout": process.outputs.stdout, "Stderr": process.outputs.stderr},
        "OpenStdin": process.stdin,
        "StdinOnce": process.stdin and not spec.detached,
        "Tty": process.terminal is not None,
        "Volumes": {each.target: {} for each in spec.storage.volumes if each.anonymous} or None,
        "Labels": dict(spec.labels),
        "StopSignal": spec.stop_signal,
        "StopTimeout": spec.stop_timeout_s,
        **health_config(spec),
    }


def _host_config(spec: ContainerSpec) -> dict[str, Any]:
    return {
        **_OF_ITS_OWN,
        "Binds": binds(spec),
        "ConsoleSize": _console_size(spec),
        "AutoRemove": spec.auto_remove,
        "Memory": spec.limits.memory_bytes or spec.memory_bytes,
        "MachineMemory": spec.memory_bytes,
        "NanoCpus": round((spec.limits.cpus or spec.cpus) * 10**9),
        "MachineCpus": spec.cpus,
        "PidsLimit": spec.limits.pids,
        "RestartPolicy": {"Name": spec.restart.name, "MaximumRetryCount": spec.restart.retries},
        "DiskSize": spec.disk_bytes,
        "Devices": [device_facts(each) for each in spec.storage.devices],
        "ShmSize": spec.shm_bytes,
        "ReadonlyRootfs": spec.read_only,
        "Tmpfs": {each.target: ",".join(each.options) for each in spec.tmpfs},
        "Sockets": [_socket(each) for each in spec.sockets],
        **machine_config(spec),
        **network_host_config(spec),
        **policy_config(spec),
        **namespace_host_config(spec),
    }


def _console_size(spec: ContainerSpec) -> list[int]:
    terminal = spec.process.terminal
    return [0, 0] if terminal is None else [terminal.rows, terminal.cols]


def _socket(shared: SharedSocket) -> dict[str, Any]:
    return {
        "Host": shared.host,
        "Container": shared.guest,
        "Published": shared.published,
        "Mode": f"{shared.mode:04o}",
        "Uid": shared.uid,
        "Gid": shared.gid,
    }
