"""`firkin doctor` as it is typed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from firkin.pytest.command import Command
from firkin.pytest.home import Home


@pytest.fixture
def bare(home: Home) -> dict[str, str]:
    """A host of which the one thing that is wrong with QEMU is that there is none."""
    return {"FIRKIN_QEMU": "/nowhere/qemu"}


def test_a_finding_is_a_line_and_below_it_what_to_paste(firkin: Command, bare: dict[str, str]) -> None:
    ended = firkin("doctor", "--only", "qemu", **bare)
    line, fix, _, summary = ended.stdout.splitlines()
    assert line == "error    qemu-missing  there is no QEMU: /nowhere/qemu was not found"
    assert fix.strip().removeprefix("sudo ") == "apt install qemu-system-x86"
    assert summary == "1 error. `firkin doctor --explain ID` says more."
    assert (ended.status, ended.stderr) == (2, "")


def test_json_has_a_finding_a_line(firkin: Command, bare: dict[str, str]) -> None:
    ended = firkin("doctor", "--json", "--only", "qemu", **bare)
    (finding,) = map(json.loads, ended.stdout.splitlines())
    assert finding["ID"] == "qemu-missing"
    assert finding["NeedsRoot"] is True
    assert ended.status == 2
    assert firkin("doctor", "--format", "json", "--only", "qemu", **bare).stdout == ended.stdout


def test_a_template_chooses_what_is_shown(firkin: Command, bare: dict[str, str]) -> None:
    said = firkin("doctor", "--format", "{{.ID}} {{index .Fix 0}}", "--only", "qemu", **bare).stdout
    assert said.startswith("qemu-missing ")


def test_the_whole_host_is_looked_at(firkin: Command, bare: dict[str, str]) -> None:
    ended = firkin("doctor", "--json", **bare)
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    severities = [each["Severity"] for each in found]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)
    assert {"qemu-missing"} <= {each["ID"] for each in found}
    assert ended.status == 2


def test_where_nothing_is_wrong_it_says_so(firkin: Command, home: Home) -> None:
    ended = firkin("doctor", "--only", "temporary-directory", TMPDIR=str(home.work_dir))
    assert (ended.status, ended.stdout) == (0, "nothing is wrong with this host\n")


def test_the_doctor_changes_nothing(firkin: Command, home: Home) -> None:
    before = sorted(home.root.rglob("*"))
    firkin("doctor")
    assert sorted(home.root.rglob("*")) == before


def test_a_finding_is_explained_without_looking(firkin: Command) -> None:
    ended = firkin("doctor", "--explain", "subids-missing")
    assert ended.status == 0
    assert ended.stdout.startswith("subids-missing: this user has no subordinate ids\n")
    for word in ("severity", "concerns", "why", "fix", "proof"):
        assert f"\n{word} " in ended.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--explain", "qemu-mising"), "did you mean qemu-missing?"),
        (("--only", "qemus"), "did you mean qemu"),
        (("--only", "xyzzy"), "subjects are qemu, kernel"),
        (("--from-log", "-", "--probe"), "leave --only and --probe out"),
        (("--from-log", "/nowhere/log"), "no such file"),
    ],
)
def test_a_bad_word_is_refused(firkin: Command, words: tuple[str, ...], said: str) -> None:
    ended = firkin("doctor", *words)
    assert ended.status == 125
    assert said in ended.stderr.lower()


def test_settings_that_cannot_be_read_are_the_error(firkin: Command, home: Home) -> None:
    home.config_path.parent.mkdir(parents=True)
    home.config_path.write_text("memory = 'much'\n")
    ended = firkin("doctor")
    assert ended.status == 125
    assert "memory" in ended.stderr


def test_a_log_is_explained_from_a_file_or_a_pipe(firkin: Command, home: Home) -> None:
    log = "...\nError: cannot clone: No space left on device\n"
    path = home.work_dir / "log"
    path.write_text(log)
    from_file = firkin("doctor", "--from-log", str(path))
    piped = firkin("doctor", "--from-log", "-", input=log)
    assert from_file == piped
    assert from_file.status == 1
    assert "userns-limited" in from_file.stdout
    assert "sysctl" in from_file.stdout


def test_a_log_cannot_steer_the_terminal(firkin: Command) -> None:
    said = firkin("doctor", "--from-log", "-", input="\x1b]0;owned\x07: connection refused\n").stdout
    assert "\x1b" not in said
    assert "\\x1b]0;owned" in said


def test_a_log_without_known_messages_says_so(firkin: Command) -> None:
    ended = firkin("doctor", "--from-log", "-", input="all is well\n")
    assert (ended.status, ended.stdout) == (0, "no message in it is known\n")


def test_an_error_of_a_run_leads_to_the_finding(firkin: Command, bare: dict[str, str]) -> None:
    ended = firkin("warm", **bare)
    assert ended.status == 125
    assert "`firkin doctor --explain qemu-missing` says more" in ended.stderr
    told = firkin("doctor", "--json", "--from-log", "-", input=ended.stderr).stdout
    assert json.loads(told)["ID"] == "qemu-missing"


def test_a_run_directory_that_is_not_ours_is_found_not_tripped_over(firkin: Command, home: Home) -> None:
    del firkin.environ["XDG_RUNTIME_DIR"]  # type: ignore[attr-defined]
    taken = home.root / "tmp" / f"firkin-{os.geteuid()}"
    taken.mkdir(parents=True)
    taken.chmod(0o777)
    ended = firkin("doctor", "--only", "run-directory", TMPDIR=str(taken.parent))
    assert "runtime-open" in ended.stdout
    assert str(Path(taken)) in ended.stdout
