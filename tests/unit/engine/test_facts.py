"""What inspect says of a container: everything that it was told, by Docker's names where Docker has one."""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import Any

import msgspec
import pytest

from firkin.container.health import HealthCheck
from firkin.container.pod import Member, PodMount
from firkin.container.record import Exited, Record, Running
from firkin.container.restart import RestartPolicy
from firkin.container.shared_socket import SharedSocket
from firkin.container.spec import Bind, ContainerSpec, Protected, Tmpfs
from firkin.container.storage import Storage
from firkin.engine.facts import container_facts
from firkin.linux.cgroup.limits import Limits
from firkin.machine.spec import PublishedPort
from firkin.network.spec import Dns, HostEntry, NetworkSpec
from firkin.paths import Paths
from firkin.process.policy import ProcessPolicy
from firkin.process.spec import ExitStatus, ProcessSpec, TerminalSize
from firkin.volume.mount import VolumeMount
from firkin.wire.privileges import Rlimit

DIGEST = "sha256:" + "0" * 64
SPEC = ContainerSpec(
    id="a" * 64, name="web", image="nginx:1", image_digest=DIGEST, rootfs_key="key",
    process=ProcessSpec(args=("serve", "-v")), created_ns=10**18, hostname="box",
)  # fmt: skip
RUNNING = Running(
    pid=7, started_ns=10**18, accelerator="tcg", ports=(PublishedPort(guest_port=80, host_port=8080),)
)
PROCESS = ProcessSpec(
    args=("serve", "-v"), env=("A=1",), cwd="/srv", user="33:34", groups=("audio",), stdin=True, init=True,
    terminal=TerminalSize(40, 90), policy=ProcessPolicy(umask=0o77, oom_score_adj=5, no_new_privs=True),
)  # fmt: skip
NETWORK = NetworkSpec(
    dns=Dns(servers=("9.9.9.9",), search=("lan",), options=("ndots:2",)), domain="lan", publish_all=True,
    hosts=(HostEntry(names=("db",), address="10.0.0.9"),), sysctls={"net.ipv4.ip_forward": "1"},
    exposed=("80/tcp",),
)  # fmt: skip
VOLUMES = Storage(
    volumes=(
        VolumeMount(target="/v", name="notes", readonly=True),
        VolumeMount(target="/a", name="x" * 64, anonymous=True),
    )
)


def facts(spec: ContainerSpec, state: Any = RUNNING) -> dict[str, Any]:
    return container_facts(spec, state, Record(Paths(Path("/data"), Path("/run")), spec.id))


def at(found: dict[str, Any], path: str) -> Any:
    return reduce(lambda value, key: value[key], path.split("/"), found)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"process": PROCESS}, {
            "Config/User": "33:34", "Config/WorkingDir": "/srv", "Config/Env": ["A=1"], "Config/Tty": True,
            "Config/OpenStdin": True, "Config/Cmd": ["serve", "-v"], "HostConfig/ConsoleSize": [40, 90],
            "HostConfig/GroupAdd": ["audio"], "HostConfig/Init": True, "HostConfig/OomScoreAdj": 5,
            "HostConfig/SecurityOpt": ["no-new-privileges"], "HostConfig/Umask": "0077",
        }),
        ({"network": NETWORK}, {
            "HostConfig/Dns": ["9.9.9.9"], "HostConfig/DnsSearch": ["lan"],
            "HostConfig/DnsOptions": ["ndots:2"],
            "HostConfig/ExtraHosts": ["db:10.0.0.9"], "HostConfig/Sysctls": {"net.ipv4.ip_forward": "1"},
            "HostConfig/PublishAllPorts": True, "Config/Domainname": "lan",
            "Config/ExposedPorts": {"80/tcp": {}},
        }),
        ({"ports": (PublishedPort(guest_port=80, host_port=8080),)}, {
            "HostConfig/PortBindings": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}]},
        }),
        ({"binds": (Bind(source="/s", target="/b", readonly=True, options=("noexec",)),)}, {
            "HostConfig/Binds": ["/s:/b:ro,noexec"],
        }),
        ({"storage": VOLUMES}, {"HostConfig/Binds": ["notes:/v:ro"], "Config/Volumes": {"/a": {}}}),
        ({"tmpfs": (Tmpfs(target="/t", options=("size=9",)),)}, {"HostConfig/Tmpfs": {"/t": "size=9"}}),
        ({"sockets": (SharedSocket(host="/h", guest="/g", published=True),)}, {}),
        ({"limits": Limits(cpus=0.5, memory_bytes=9 << 20, pids=8)}, {
            "HostConfig/NanoCpus": 500_000_000, "HostConfig/Memory": 9 << 20, "HostConfig/PidsLimit": 8,
        }),
        ({"cpus": 3}, {"HostConfig/NanoCpus": 3_000_000_000}),
        ({"memory_bytes": 1 << 30}, {"HostConfig/Memory": 1 << 30}),
        ({"disk_bytes": 1 << 30}, {}),
        ({"shm_bytes": 1 << 20}, {"HostConfig/ShmSize": 1 << 20}),
        ({"read_only": True}, {"HostConfig/ReadonlyRootfs": True}),
        ({"protected": Protected(masked=("/m",), read_only=("/r",))}, {
            "HostConfig/MaskedPaths": ["/m"], "HostConfig/ReadonlyPaths": ["/r"],
        }),
        ({"restart": RestartPolicy("on-failure", 4)}, {
            "HostConfig/RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 4},
        }),
        ({"health": HealthCheck(test=("CMD", "ping"), interval_s=1.5)}, {
            "Config/Healthcheck/Test": ["CMD", "ping"], "Config/Healthcheck/Interval": 1_500_000_000,
            "State/Health/Status": "starting",
        }),
        ({"auto_remove": True}, {"HostConfig/AutoRemove": True}),
        ({"detached": True}, {"Config/AttachStdout": False}),
        ({"labels": {"a": "b"}}, {"Config/Labels": {"a": "b"}}),
        ({"stop_signal": 2}, {"Config/StopSignal": 2}),
        ({"stop_timeout_s": 3.0}, {"Config/StopTimeout": 3.0}),
        ({"hostname": "other"}, {"Config/Hostname": "other"}),
        ({"image": "other"}, {"Config/Image": "other"}),
        ({"image_digest": "sha256:" + "1" * 64}, {"Image": "sha256:" + "1" * 64}),
        ({"snapshot": "b" * 64}, {}),
        ({"cold": True}, {}),
        ({"pod": Member(pod="c" * 64, mounts=(PodMount(volume="v", target="/p"),))}, {"Pod": "c" * 64}),
    ],
)  # fmt: skip
def test_whatever_it_is_told_is_said(told: dict[str, Any], said: dict[str, Any]) -> None:
    found = facts(msgspec.structs.replace(SPEC, **told))
    assert found != facts(SPEC)
    assert {path: at(found, path) for path in said} == said


def test_mounts_say_what_is_where() -> None:
    spec = msgspec.structs.replace(
        SPEC, storage=VOLUMES, binds=(Bind(source="/s", target="/b"),), tmpfs=(Tmpfs(target="/t"),),
        pod=Member(pod="c" * 64, mounts=(PodMount(volume="shared", target="/p", readonly=True),)),
    )  # fmt: skip
    mounts = {
        each["Destination"]: (each["Type"], each.get("Name"), each["RW"]) for each in facts(spec)["Mounts"]
    }
    assert mounts == {
        "/b": ("bind", None, True), "/v": ("volume", "notes", False), "/a": ("volume", "x" * 64, True),
        "/t": ("tmpfs", None, True), "/p": ("volume", "shared", False),
    }  # fmt: skip


def test_a_state_has_all_of_dockers_names() -> None:
    ended = Exited(
        status=ExitStatus(signal=9, why="oom"), started_ns=10**18, finished_ns=2 * 10**18, reason="no memory"
    )
    state = facts(SPEC, ended)["State"]
    assert {"Status", "Running", "Paused", "Restarting", "OOMKilled", "Dead", "Pid", "ExitCode", "Error",
            "StartedAt", "FinishedAt"} <= set(state)  # fmt: skip
    assert (state["Status"], state["OOMKilled"], state["ExitCode"]) == ("exited", True, 137)
    assert (state["Error"], state["Dead"], state["Pid"]) == ("no memory", False, 0)
    assert facts(SPEC)["State"]["Pid"] == 7


def test_rlimits_and_labels_are_said() -> None:
    policy = ProcessPolicy(rlimits=(Rlimit(type=7, soft=10, hard=20),), apparmor="guard", selinux="kind_t")
    found = facts(msgspec.structs.replace(SPEC, process=ProcessSpec(args=("a",), policy=policy)))
    assert at(found, "HostConfig/Ulimits") == [{"Name": "nofile", "Soft": 10, "Hard": 20}]
    assert (found["AppArmorProfile"], found["ProcessLabel"]) == ("guard", "kind_t")
