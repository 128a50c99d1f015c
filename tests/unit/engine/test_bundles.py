"""Bundles: what config.json makes of a run, and the config.json of a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from firkin.container.spec import Bind, ContainerSpec, Protected, Tmpfs
from firkin.engine import bundles, rules
from firkin.engine.filters import filter_of
from firkin.engine.resolve import container_spec
from firkin.engine.spec_of import nothing, spec_of
from firkin.engine.words import run_options
from firkin.errors import UsageError
from firkin.oci.runtime_spec import encode
from firkin.process import capabilities
from firkin.process.policy import IoPriority, Scheduler, Seccomp
from firkin.process.spec import TerminalSize
from firkin.settings import Settings
from firkin.wire.privileges import Capabilities, Rlimit

Resolve = Callable[..., ContainerSpec]
OWN = [{"type": name} for name in ("pid", "network", "ipc", "uts", "mount")]


@pytest.fixture
def resolved(settings: Settings, tmp_path: Path) -> Resolve:
    (tmp_path / "rootfs").mkdir()

    def resolve(document: dict[str, Any], **words: Any) -> ContainerSpec:
        whole = {
            "ociVersion": "1.0.2",
            "root": {"path": "rootfs"},
            **document,
            "process": {"cwd": "/", "args": ["sh"], **document.get("process", {})},
            "linux": {"namespaces": OWN, **document.get("linux", {})},
        }
        (tmp_path / "config.json").write_text(json.dumps(whole))
        options = bundles.options_of(bundles.read(tmp_path), **words)
        return container_spec(
            options,
            nothing(),
            rootfs_key="k",
            container_id="c" * 64,
            name="n",
            created_ns=1,
            settings=settings,
        )

    return resolve


def test_each_property_arrives_unchanged(resolved: Resolve) -> None:
    five = {
        "bounding": ["CAP_CHOWN", "CAP_KILL"],
        "effective": ["CAP_CHOWN"],
        "permitted": ["CAP_CHOWN"],
        "inheritable": ["CAP_CHOWN"],
        "ambient": ["CAP_CHOWN", "CAP_KILL"],
    }
    spec = resolved(
        {
            "process": {
                "args": ["a b", "", "ü"],
                "env": ["A=1", "B=", "A=2"],
                "cwd": "/somewhere",
                "terminal": True,
                "consoleSize": {"height": 3, "width": 7},
                "user": {"uid": 7, "gid": 8, "umask": 0o27, "additionalGids": [9, 10]},
                "capabilities": five,
                "rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": (1 << 64) - 1}],
                "noNewPrivileges": True,
                "apparmorProfile": "mine",
                "selinuxLabel": "a:b:c:s0:c1,c2",
                "oomScoreAdj": -5,
                "scheduler": {"policy": "SCHED_BATCH", "nice": 4},
                "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 6},
            },
            "hostname": "box",
            "domainname": "home",
            "root": {"path": "rootfs", "readonly": True},
            "annotations": {"a": "b", "org.opencontainers.image.stopSignal": "SIGQUIT"},
            "linux": {
                "sysctl": {"net.ipv4.ip_forward": "1"},
                "maskedPaths": ["/proc/a"],
                "readonlyPaths": ["/proc/b"],
                "resources": {"memory": {"limit": 1 << 30}, "cpu": {"quota": 150000}, "pids": {"limit": 50}},
                "seccomp": {"defaultAction": "SCMP_ACT_ALLOW"},
            },
        }
    )
    process, asked = spec.process, spec.process.policy
    assert (process.args, process.env, process.cwd) == (("a b", "", "ü"), ("A=2", "B="), "/somewhere")
    assert (process.user, process.groups, process.terminal) == ("7:8", ("9", "10"), TerminalSize(3, 7))
    chown = capabilities.mask("CHOWN")
    assert asked.capabilities == Capabilities(
        bounding=chown | capabilities.mask("KILL"),
        effective=chown,
        permitted=chown,
        inheritable=chown,
        ambient=chown,
    )
    assert asked.rlimits == (Rlimit(type=4, soft=1, hard=(1 << 64) - 1),)
    assert (asked.umask, asked.no_new_privs, asked.oom_score_adj) == (0o27, True, -5)
    assert (asked.apparmor, asked.selinux) == ("mine", "a:b:c:s0:c1,c2")
    assert (asked.scheduler, asked.io_priority) == (
        Scheduler(policy="SCHED_BATCH", nice=4),
        IoPriority(io_class="IOPRIO_CLASS_BE", priority=6),
    )
    assert asked.seccomp.kind == "profile"
    assert (spec.hostname, spec.network.domain, spec.read_only, spec.stop_signal) == ("box", "home", True, 3)
    assert spec.protected == Protected(masked=("/proc/a",), read_only=("/proc/b",))
    assert (spec.memory_bytes, spec.cpus, spec.limits.cpus, spec.limits.pids) == (1 << 30, 2, 1.5, 50)
    assert (spec.network.sysctls, spec.labels["a"]) == ({"net.ipv4.ip_forward": "1"}, "b")


def test_what_a_spec_does_not_say_there_is_none_of(resolved: Resolve) -> None:
    spec = resolved({})
    assert spec.process.env == ()
    assert spec.process.policy.capabilities == capabilities.granted(0)
    assert spec.process.policy.seccomp == Seccomp(kind="unconfined")
    assert spec.protected == Protected(masked=(), read_only=())
    assert (spec.network.mode, spec.hostname) == ("none", "c" * 12)
    assert resolved({}, publish=["80"]).network.mode == resolved({}, network="user").network.mode == "user"


def test_mounts_are_the_hosts_and_memory_and_the_rest_is_there_anyway(
    resolved: Resolve, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    mounts = [
        {"destination": "/dev/shm", "type": "tmpfs", "options": ["size=1m", "mode=1777"]},
        {"destination": "/a", "source": "data", "options": ["rbind", "ro", "nosuid"]},
        {
            "destination": "/b",
            "type": "tmpfs",
            "source": "x",
            "options": ["rw", "size=2k", "mode=700", "noexec"],
        },
    ]
    spec = resolved({"mounts": mounts})
    assert spec.shm_bytes == 1 << 20
    assert spec.binds == (
        Bind(source=str(tmp_path / "data"), target="/a", readonly=True, options=("nosuid",)),
    )
    assert spec.tmpfs == (Tmpfs(target="/b", options=("size=2048", "mode=700", "noexec")),)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"process": {"args": []}}, r"process\.args is empty"),
        ({"process": {"cwd": "tmp"}}, r"process\.cwd 'tmp'"),
        ({"process": {"env": ["A"]}}, r"process\.env\[0\]"),
        ({"process": {"rlimits": [{"type": "RLIMIT_CPU", "soft": 2, "hard": 1}]}}, "soft limit is above"),
        (
            {"process": {"rlimits": [{"type": "RLIMIT_CPU", "soft": 1, "hard": 1}] * 2}},
            r"rlimits\[1\].*twice",
        ),
        ({"process": {"rlimits": [{"type": "RLIMIT_X", "soft": 1, "hard": 1}]}}, "'RLIMIT_X' is not one of"),
        ({"process": {"rlimits": [{"type": "RLIMIT_CPU", "soft": 0, "hard": 1 << 64}]}}, "is not a number"),
        ({"process": {"capabilities": {"effective": ["CAP_CHOWN"]}}}, "effective holds what permitted lacks"),
        ({"process": {"capabilities": {"bounding": ["CAP_X"]}}}, "'CAP_X' is not a capability"),
        ({"process": {"scheduler": {"policy": "SCHED_DEADLINE"}}}, "SCHED_DEADLINE is not one of"),
        ({"process": {"oomScoreAdj": 1001}}, "1001 is not a number from"),
        ({"hostname": "a b"}, "'a b' is not a host name"),
        ({"mounts": [{"destination": "/a", "type": "nfs"}]}, r"mounts\[0\]: type 'nfs'"),
        ({"mounts": [{"destination": "/../a", "type": "tmpfs"}]}, r"mounts\[0\]: .* leads out"),
        ({"mounts": [{"destination": "/a", "type": "bind", "source": "none"}]}, "none does not exist"),
        (
            {"mounts": [{"destination": "/a", "type": "tmpfs", "options": ["huge=always"]}]},
            "'huge=always' cannot",
        ),
        ({"mounts": [{"destination": "/proc", "type": "tmpfs"}]}, "at /proc cannot be honoured"),
        (
            {"mounts": [{"destination": "/sys", "type": "sysfs", "options": ["rw"]}]},
            "'rw' cannot be honoured",
        ),
        ({"linux": {"namespaces": OWN[1:]}}, r"linux\.namespaces lacks pid"),
        ({"linux": {"namespaces": [*OWN, {"type": "user"}]}}, r"namespaces\[5\]: user cannot"),
        (
            {"linux": {"namespaces": [{"type": "pid", "path": "/proc/1/ns/pid"}, *OWN[1:]]}},
            r"namespaces\[0\]\.path",
        ),
        ({"linux": {"devices": [{"path": "/dev/kvm", "type": "c"}]}}, "/dev/kvm is of no machine"),
        ({"linux": {"resources": {"devices": [{"allow": True}]}}}, r"devices\[0\] allows one"),
        ({"linux": {"resources": {"cpu": {"shares": 512}}}}, "cpu_shares"),
        ({"linux": {"resources": {"cpu": {"cpus": "0-1"}}}}, "cpuset_cpus"),
        ({"linux": {"resources": {"memory": {"limit": 1 << 20}}}}, "memory: 1048576 bytes are too few"),
        ({"linux": {"resources": {"memory": {"swap": 1 << 30}}}}, "a machine has no swap"),
        (
            {"linux": {"seccomp": {"defaultAction": "SCMP_ACT_NOTIFY"}}},
            "'SCMP_ACT_NOTIFY' cannot be honoured",
        ),
        ({"linux": {"rootfsPropagation": "shared"}}, "rootfsPropagation"),
        ({"linux": {"sysctl": {"kernel.panic": "1"}}}, "kernel.panic"),
        ({"root": {"path": "elsewhere"}}, r"root\.path 'elsewhere'"),
        ({"root": {"path": "/"}}, r"root\.path '/'"),
    ],
)
def test_what_a_machine_cannot_be_is_refused_before_anything_is_made(
    resolved: Resolve, document: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        resolved(document)


def test_what_the_file_says_is_not_said_twice(resolved: Resolve) -> None:
    assert resolved({"linux": {"resources": {"pids": {"limit": 0}}}}, pids_limit=9).limits.pids == 9
    for words in ({"env": ["A=1"]}, {"privileged": True}, {"workdir": "/x"}, {"hostname": "other"}):
        with pytest.raises(UsageError, match=f"{next(iter(words))}: the bundle's config.json says it"):
            resolved({"hostname": "box"}, **words)
    with pytest.raises(UsageError, match="pull: a bundle brings its own files"):
        resolved({}, pull="always")


def test_zero_says_something(resolved: Resolve) -> None:
    assert resolved({}, stop_timeout=0).stop_timeout_s == 0
    with pytest.raises(UsageError, match="memory: the bundle's config"):
        resolved({"linux": {"resources": {"memory": {"limit": 1 << 28}}}}, memory=0)


def test_a_generated_spec_is_the_same_container_again(resolved: Resolve, settings: Settings) -> None:
    said: dict[str, Any] = {
        "env": ["A=1"],
        "workdir": "/w",
        "user": "5:6",
        "groups": [7],
        "cap_add": ["SYS_TIME"],
        "umask": 0o77,
        "ulimits": ["cpu=5:6"],
        "no_new_privs": True,
        "oom_score_adj": 7,
        "scheduler": "batch:1",
        "io_priority": "idle",
        "hostname": "h",
        "domainname": "d",
        "memory": "128m",
        "cpus": 1.5,
        "pids_limit": 40,
        "read_only": True,
        "tmpfs": ["/t:size=1m"],
        "volumes": [f"{Path(settings.data_dir).parent}:/v:ro"],
        "sysctls": {"net.ipv4.ip_forward": "1"},
        "labels": {"l": "1"},
        "shm_size": "2m",
        "stop_signal": "USR1",
        "terminal": TerminalSize(5, 6),
        "network": "none",
    }
    options = run_options("i", ["run", "it"], **said)
    rules.check(options)
    spec = container_spec(
        options, nothing(), rootfs_key="k", container_id="c" * 64, name="n", created_ns=1, settings=settings
    )
    document = json.loads(encode(spec_of(options, nothing(), settings)))
    again = resolved(document)
    assert filter_of(again.process.policy, settings) == filter_of(spec.process.policy, settings)
    for name in spec.__struct_fields__:
        mine, theirs = getattr(again, name), getattr(spec, name)
        if name in ("image", "process", "labels"):
            continue
        assert mine == theirs, name
    same = ("args", "env", "cwd", "user", "groups", "terminal", "stdin")
    assert [getattr(again.process, name) for name in same] == [getattr(spec.process, name) for name in same]
    mine, theirs = again.process.policy, spec.process.policy
    assert (mine.capabilities, mine.umask, mine.scheduler) == (
        theirs.capabilities,
        theirs.umask,
        theirs.scheduler,
    )
    assert set(theirs.rlimits) <= set(mine.rlimits)
    assert (mine.io_priority, mine.oom_score_adj) == (theirs.io_priority, theirs.oom_score_adj)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"volumes": ["data:/d"]}, "volume: .* /d"),
        ({"user": "www"}, "'www'"),
        ({"userns": "auto", "isolation": "namespace"}, "userns: "),
        ({"volumes": ["/tmp:/t:U"], "isolation": "namespace"}, "userns: "),
    ],
)
def test_what_a_spec_cannot_say_is_not_left_out(words: dict[str, Any], said: str, settings: Settings) -> None:
    with pytest.raises(UsageError, match=said):
        spec_of(run_options("i", ["x"], **words), nothing(), settings)
