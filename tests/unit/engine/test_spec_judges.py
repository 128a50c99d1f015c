"""The config.json of a run, judged by the runtime spec's schema, and held against that of `crun spec`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from firkin.engine import bundles
from firkin.engine.spec_of import nothing, spec_of
from firkin.engine.words import run_options
from firkin.oci.runtime_spec import encode
from firkin.settings import Settings

SCHEMAS = Path("/usr/share/gocode/src/github.com/opencontainers/runtime-spec/schema")
"""Debian's package golang-github-opencontainers-specs-dev."""

RUNS: list[dict[str, Any]] = [
    {},
    {
        "terminal": True,
        "user": "7:8",
        "groups": ["9"],
        "umask": "027",
        "hostname": "box",
        "domainname": "home",
        "env": {"A": "1"},
        "workdir": "/elsewhere",
        "read_only": True,
        "init": True,
        "stop_signal": "QUIT",
        "labels": {"a": "b"},
        "cap_drop": ["ALL"],
        "cap_add": ["kill"],
        "ulimits": {"nofile": (10, 20), "core": -1},
        "no_new_privs": True,
        "oom_score_adj": 55,
        "scheduler": "batch:5",
        "io_priority": "best-effort:4",
        "seccomp": "default",
        "memory": "1g",
        "cpus": 1.5,
        "pids_limit": 33,
        "sysctls": {"net.ipv4.ip_forward": "1"},
        "tmpfs": ["/t:size=1m,mode=700"],
        "volumes": ["/etc:/given:ro,nosuid"],
    },
    {"privileged": True},
    {"capabilities": ["net_raw"], "selinux": "a:b:c:s0", "apparmor": "mine"},
]


def written(settings: Settings, **words: Any) -> Any:
    return json.loads(encode(spec_of(run_options("x", ["sh"], **words), nothing(), settings)))


@pytest.fixture
def schema() -> Any:
    jsonschema = pytest.importorskip("jsonschema")
    from referencing import Registry, Resource

    if not SCHEMAS.is_dir():
        pytest.skip("no schemas here: apt install golang-github-opencontainers-specs-dev")
    documents = {path.name: json.loads(path.read_text()) for path in SCHEMAS.glob("*.json")}
    for document in documents.values():
        document.pop("id", None)  # where it once was, and no place to look from
    registry = Registry().with_resources(
        (name, Resource.from_contents(document, default_specification=_draft_4()))
        for name, document in documents.items()
    )
    return jsonschema.Draft4Validator(documents["config-schema.json"], registry=registry)


def _draft_4() -> Any:
    from referencing.jsonschema import DRAFT4

    return DRAFT4


@pytest.mark.parametrize("words", RUNS)
def test_what_is_written_is_what_the_schema_says(
    schema: Any, settings: Settings, words: dict[str, Any]
) -> None:
    document = written(settings, **words)
    schema.validate(document)
    del document["root"]["path"]  # and it does judge, in each of its files
    document["process"]["capabilities"]["bounding"] = "CAP_KILL"
    document["linux"]["namespaces"][0]["type"] = "moon"
    document["mounts"][0]["options"] = "ro"
    places = {"/".join(map(str, error.absolute_path)) for error in schema.iter_errors(document)}
    assert places == {
        "root",
        "process/capabilities/bounding",
        "linux/namespaces/0",
        "mounts/0/options",
    }


OURS = {
    "ociVersion": "1.0.2",
    # None are made up: crun's name, its terminal and its read-only root are for its example alone.
    "hostname": None,
    "process.terminal": None,
    "root.readonly": None,
    "process.env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
    # Docker's defaults, which images are made for.
    "process.noNewPrivileges": None,
    "process.user.umask": 0o22,
    "process.rlimits": [
        {"type": "RLIMIT_CORE", "soft": 0, "hard": (1 << 64) - 1},
        {"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 524288},
    ],
    **{
        f"process.capabilities.{name}": [
            f"CAP_{each}"
            for each in (
                *("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
                *("NET_BIND_SERVICE", "NET_RAW", "SYS_CHROOT", "MKNOD", "AUDIT_WRITE", "SETFCAP"),
            )
        ]
        for name in ("bounding", "effective", "permitted")
    },
    "process.capabilities.ambient": [],
    # Walls that crun's has not.
    "linux.namespaces": ["cgroup", "ipc", "mount", "network", "pid", "uts"],
    "mounts./proc.options": ["nodev", "noexec", "nosuid"],
}
"""What a default run has that `crun spec` writes otherwise."""

MORE_MASKED = {"/proc/interrupts", "/sys/devices/virtual/powercap"}


@pytest.mark.skipif(shutil.which("crun") is None, reason="crun is not installed")
def test_the_defaults_are_those_of_crun_but_for_what_is_listed(settings: Settings, tmp_path: Path) -> None:
    subprocess.run(["crun", "spec"], cwd=tmp_path, check=True)
    theirs = flat(json.loads((tmp_path / "config.json").read_text()))
    ours = flat(written(settings))
    assert ours.pop("linux.maskedPaths") - theirs.pop("linux.maskedPaths") == MORE_MASKED
    differing = {
        field: ours.get(field)
        for field in theirs.keys() | ours.keys()
        if theirs.get(field) != ours.get(field)
    }
    assert differing == OURS
    (tmp_path / "config.json").write_text(json.dumps(written(settings)))
    (tmp_path / "rootfs").mkdir()
    assert bundles.options_of(bundles.read(tmp_path)).command == ("sh",)


def flat(document: Any, at: str = "") -> dict[str, Any]:
    """Every field by its path; what is a set is one, and a size is in bytes."""
    if isinstance(document, dict):
        found: dict[str, Any] = {}
        for name, value in document.items():
            found |= flat(value, f"{at}.{name}".lstrip("."))
        return found
    if at == "mounts":
        return flat({each["destination"]: {**each, "source": each["type"]} for each in document}, at)
    if at == "linux.namespaces":
        return {at: sorted(each["type"] for each in document)}
    if at == "linux.maskedPaths":
        return {at: set(document)}
    if at.endswith(".options"):
        return {at: sorted(map(_in_bytes, document))}
    return {at: document}


def _in_bytes(option: str) -> str:
    found = re.fullmatch(r"size=(\d+)k", option)
    return f"size={int(found[1]) << 10}" if found else option
