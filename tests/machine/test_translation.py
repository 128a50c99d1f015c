"""Images for another architecture run, by an emulator that their containers do not see."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from firkin.errors import FirkinError
from firkin.machine import translator
from tests.support.arm64 import root_tar

pytestmark = pytest.mark.machine


def test_an_image_for_arm64_runs_by_itself_and_when_asked_for(firkin, tmp_path: Path) -> None:
    try:
        translator.find("arm64")
    except FirkinError as error:
        pytest.skip(f"{error}; {error.hint}")
    (tmp_path / "root.tar").write_bytes(root_tar())
    change = 'CMD ["/uname"]'
    archive = str(tmp_path / "root.tar")
    firkin("import", "--platform", "linux/arm64", "--change", change, archive, "foreign", check=True)
    assert firkin("run", "--rm", "foreign", check=True).stdout == "aarch64\n"
    assert firkin("run", "--rm", "--platform", "linux/arm64/v8", "foreign").stdout == "aarch64\n"
    firkin("run", "-d", "--name", "web", "foreign", "/uname", "wait", check=True)
    (facts,) = json.loads(firkin("inspect", "web").stdout)
    assert facts["HostConfig"]["Translated"] == "arm64"
    assert firkin("exec", "web", "/uname").stdout == "aarch64\n"
    assert "/uname wait" in firkin("top", "web", "-o", "args").stdout
    firkin("fork", "--name", "again", "web", check=True)
    assert firkin("exec", "again", "/uname").stdout == "aarch64\n"
    firkin("rm", "-f", "web", "again", check=True)


def test_a_host_without_the_emulator_says_what_to_install(firkin, tmp_path: Path) -> None:
    (tmp_path / "root.tar").write_bytes(root_tar())
    firkin("import", "--platform", "linux/riscv64", str(tmp_path / "root.tar"), "foreign")
    refused = firkin("run", "foreign", "/uname", PATH=str(tmp_path))
    assert refused.status != 0
    assert "is for linux/riscv64, and this host runs linux/amd64" in refused.stderr
    assert "sudo apt install qemu-user-static" in refused.stderr
