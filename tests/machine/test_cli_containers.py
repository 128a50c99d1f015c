"""A detached container's life, verb by verb, as one sees it from a shell."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from firkin.pytest.command import FIRKIN, Command
from firkin.pytest.home import Home

pytestmark = pytest.mark.machine

CLOCK = (
    "trap 'echo bye; exit 5' TERM; trap 'echo usr1 >&2' USR1; echo started; echo oops >&2;"
    "while :; do sleep 0.1; done"
)


def test_a_detached_container_from_run_to_rm(busybox: Command, home: Home) -> None:
    started = busybox(
        "run", "-q", "-d", "--name", "clock", "-l", "a=b", "busybox", "sh", "-c", CLOCK, check=True
    )
    container_id = started.stdout.strip()
    assert re.fullmatch("[0-9a-f]{64}", container_id)

    # Looking
    assert busybox("ps", "-q", "--no-trunc").stdout == f"{container_id}\n"
    headings, row = busybox("ps").stdout.splitlines()
    assert headings.split() == ["CONTAINER", "ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    assert row.startswith(f'{container_id[:12]}   busybox   "sh -c trap')
    assert row.endswith("clock")
    assert json.loads(busybox("ps", "--format", "json").stdout)["Labels"] == "a=b"
    shown = busybox("inspect", "-f", "{{.Id}} {{.State.Status}} {{index .Config.Labels `a`}}", "clock").stdout
    assert shown == f"{container_id} running b\n"
    assert "sh -c trap" in busybox("top", "clock").stdout
    assert "0" in busybox("top", "--format", "{{.UID}}", "clock").stdout.split()

    # Talking
    logs = busybox("logs", "clock")
    assert (logs.stdout, logs.stderr) == ("started\n", "oops\n")
    stamped = busybox("logs", "-t", "--tail", "1", "clock")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{9}Z oops\n", stamped.stderr)
    assert busybox("logs", "--since", "1s", "--since", "2038-01-01", "clock").stdout == ""
    followed = subprocess.Popen(
        [*FIRKIN, "logs", "-f", "clock"], stdout=-1, stderr=-1, env=home.environ(), text=True
    )
    attached = subprocess.Popen(
        [*FIRKIN, "attach", "clock"], stdin=-3, stdout=-1, env=home.environ(), text=True
    )
    assert followed.stdout is not None
    assert followed.stdout.readline() == "started\n"
    ended = busybox("exec", "-i", "-e", "X=1", "-w", "/tmp", "-u", "33", "clock", "sh", "-c",
                    "cat; echo $X $PWD $(id -u); exit 4", input="in ")  # fmt: skip
    assert (ended.stdout, ended.status) == ("in 1 /tmp 33\n", 4)
    talking = "echo ignored; sleep 0.1; echo on > /tmp/done"
    assert busybox("exec", "-d", "clock", "sh", "-c", talking).stdout == ""
    wait = "until test -e /tmp/done; do sleep 0.1; done"
    assert busybox("exec", "clock", "sh", "-c", wait).status == 0

    # Ending
    assert busybox("kill", "-s", "USR1", "clock").stdout == "clock\n"
    waiting = subprocess.Popen([*FIRKIN, "wait", "clock"], stdout=-1, env=home.environ(), text=True)
    assert busybox("stop", container_id[:7]).stdout == f"{container_id[:7]}\n"
    assert followed.communicate(timeout=60) == ("bye\n", "oops\nusr1\n")
    assert attached.communicate(timeout=60)[0].endswith("bye\n")
    assert attached.returncode == 5
    assert waiting.communicate(timeout=60)[0] == "5\n"
    assert busybox("ps", "-q").stdout == ""
    assert re.match(r"Exited \(5\) .* ago\n", busybox("ps", "-a", "--format", "{{.Status}}").stdout)
    assert busybox("logs", "clock").stdout == "started\nbye\n"
    assert busybox("rm", "clock", "nope").status == 125
    assert busybox("ps", "-aq").stdout == ""


def test_prune_gives_back_what_ended_and_keeps_what_runs(busybox: Command, home: Home) -> None:
    busybox("run", "-q", "--name", "ended", "busybox", "true", check=True)
    busybox("run", "-d", "--name", "running", "busybox", "sleep", "1000", check=True)
    assert busybox("prune").status == 125
    lines = busybox("prune", "-f", "-a", check=True).stdout.splitlines()
    assert re.fullmatch("[0-9a-f]{64}", lines[0])
    assert lines[-1].startswith("gave back ")
    assert busybox("ps", "-a", "--format", "{{.Names}}").stdout == "running\n"
    assert busybox("images", "-q").stdout != ""
    busybox("rm", "-f", "running", check=True)
    assert "Untagged: busybox:latest" in busybox("system", "prune", "-f", "-a", check=True).stdout
    assert busybox("images", "-q").stdout == ""
    assert not list((home.data_dir / "blobs" / "sha256").iterdir())


def test_images_are_listed_named_shown_and_removed(busybox: Command) -> None:
    headings, row = busybox("images").stdout.splitlines()
    assert headings.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert row.split()[:2] == ["busybox", "latest"]
    image_id = busybox("images", "--no-trunc", "-q").stdout.strip()
    assert re.fullmatch("sha256:[0-9a-f]{64}", image_id)
    busybox("tag", "busybox", "mine:2", check=True)
    assert busybox("images", "mine", "--format", "{{.Repository}}:{{.Tag}}").stdout == "mine:2\n"
    (facts,) = json.loads(busybox("inspect", "mine:2").stdout)
    assert facts["Id"] == image_id
    assert sorted(facts["RepoTags"]) == ["busybox:latest", "mine:2"]
    assert facts["Config"]["Cmd"] == ["sh"]
    assert busybox("inspect", "-f", "{{.Id}}", image_id[7:19]).stdout == f"{image_id}\n"
    assert busybox("rmi", "busybox").stdout == "Untagged: busybox:latest\n"
    assert busybox("rmi", "mine:2").stdout == f"Untagged: mine:2\nDeleted: {image_id}\n"
    assert busybox("images", "-q").stdout == ""


def test_the_host_is_shown_in_words_and_as_json(firkin: Command) -> None:
    facts = json.loads(firkin("info", "--format", "json", check=True).stdout)
    assert facts["Accelerator"] in ("kvm", "tcg")
    assert facts["Kernel"] in firkin("info").stdout
    listed = firkin("kernel", "list", "--format", "{{.Used}} {{.Version}}").stdout.splitlines()
    assert listed[0] == f"* {facts['Kernel']}"
    assert firkin("version", "--format", "{{.Version}}").stdout == f"{facts['Version']}\n"
    assert firkin("version").stdout.startswith(f"firkin  {facts['Version']}\n")
