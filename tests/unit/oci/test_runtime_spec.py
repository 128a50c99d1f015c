"""config.json of the OCI runtime spec: what is read, what is passed over, and what is refused by its name."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from firkin.errors import UsageError
from firkin.oci.runtime_spec import encode, parse

LEAST: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "process": {"cwd": "/", "args": ["sh"]},
    "root": {"path": "rootfs"},
}


def document(path: str, value: object) -> bytes:
    """LEAST with `value` at a place such as `linux.resources.cpu`."""
    whole = json.loads(json.dumps(LEAST))
    *parents, name = path.split(".")
    inner = whole
    for parent in parents:
        inner = inner.setdefault(parent, {})
    inner[name] = value
    return json.dumps(whole).encode()


@pytest.mark.skipif(shutil.which("crun") is None, reason="crun is not installed")
@pytest.mark.parametrize("flags", [[], ["--rootless"]])
def test_what_crun_writes_is_read_and_written_with_nothing_lost(flags: list[str], tmp_path: Path) -> None:
    subprocess.run(["crun", "spec", *flags], cwd=tmp_path, check=True)
    content = (tmp_path / "config.json").read_bytes()
    theirs = json.loads(content)
    spec = parse(content)
    ours = json.loads(encode(spec))
    assert parse(encode(spec)) == spec
    assert ours == theirs


@pytest.mark.parametrize(
    "path",
    [
        "hooks.prestart",
        "windows.layerFolders",
        "vm.kernel",
        "process.execCPUAffinity.initial",
        "process.scheduler.runtime",
        "linux.uidMappings",
        "linux.timeOffsets.boottime",
        "linux.intelRdt.closID",
        "linux.personality.domain",
        "linux.mountLabel",
        "linux.resources.blockIO.weight",
        "linux.resources.unified.x",
        "linux.resources.memory.reservation",
        "linux.resources.hugepageLimits",
        "linux.resources.rdma.x",
        "linux.resources.network.classID",
    ],
)
def test_what_cannot_be_honoured_is_refused_by_its_name_unless_it_asks_for_nothing(path: str) -> None:
    if path.startswith("process.scheduler"):
        parse(document("process.scheduler", {"policy": "SCHED_OTHER", "runtime": 0}))
        content = document("process.scheduler", {"policy": "SCHED_DEADLINE", "runtime": 5})
    else:
        parse(document(path, 0))
        content = document(path, 7)
    with pytest.raises(UsageError, match=r"config\.json: .* cannot be honoured") as caught:
        parse(content)
    assert path.startswith(str(caught.value).removeprefix("config.json: ").split()[0])


def test_properties_that_nobody_knows_are_passed_over() -> None:
    assert parse(document("linux.something", {"new": 1})) == parse(json.dumps(LEAST).encode())


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("ociVersion", "2.0.0", "ociVersion '2.0.0'"),
        ("root", None, r"\$\.root"),
        ("process.user", {"uid": -1, "gid": 0}, r"\$\.process\.user\.uid"),
        ("process.user", {"uid": 0, "gid": 0, "umask": 0o1000}, r"\$\.process\.user\.umask"),
        ("process.consoleSize", {"height": 0, "width": 80}, r"consoleSize\.height"),
        ("process.args", "sh", r"\$\.process\.args"),
        ("mounts", [{"destination": "/a", "uidMappings": [{}]}], r"mounts\[0\]\.uidMappings"),
    ],
)
def test_what_is_wrong_is_refused_with_its_place(path: str, value: object, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse(document(path, value))


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_spec_is_an_error_of_its_writer(content: bytes) -> None:
    with pytest.raises(UsageError, match="not an OCI runtime spec"):
        parse(content)
