"""Snapshots with memory from a shell: kept, listed, gone on from several times, and gone back to."""

from __future__ import annotations

import json

import pytest

from firkin.pytest.command import Command

pytestmark = pytest.mark.machine

COUNTER = "n=$((n + 1)); echo begun $n; trap 'n=$((n + 1)); echo again $n' USR1; while :; do sleep 0.1; done"


def logged(firkin: Command, name: str, line: str) -> str:
    """What the container printed, once that has `line` in it."""
    wait = f"until firkin logs {name} | grep -q '{line}'; do sleep 0.1; done; firkin logs {name}"
    program = firkin.program[0]
    shell = Command(("sh", "-c", wait.replace("firkin", program)), firkin.environ, firkin.cwd)
    return shell(check=True).stdout


def test_what_is_kept_goes_on_as_often_as_it_is_asked_to(busybox: Command) -> None:
    script = f"echo one > /file; {COUNTER}"
    busybox("run", "-q", "-d", "--name", "box", "busybox", "sh", "-c", script, check=True)
    logged(busybox, "box", "begun 1")
    assert busybox("snapshot", "create", "box", "early", check=True).stdout == "early\n"
    busybox("exec", "box", "sh", "-c", "echo two > /file", check=True)
    busybox("kill", "-s", "USR1", "box", check=True)
    logged(busybox, "box", "again 2")

    ids = busybox("snapshot", "restore", "-n", "2", "--name", "kid", "early", check=True).stdout.split()
    for name, container_id in (("kid-1", ids[0]), ("kid-2", ids[1])):
        inside = busybox("exec", name, "sh", "-c", "cat /file; hostname", check=True)
        assert inside.stdout.split() == ["one", container_id[:12]]
        busybox("kill", "-s", "USR1", name, check=True)
        assert logged(busybox, name, "again 2") == "again 2\n"

    busybox("snapshot", "restore", "--disk-only", "--name", "anew", "-h", "boat", "early", check=True)
    assert logged(busybox, "anew", "begun 1") == "begun 1\n"
    assert busybox("exec", "anew", "hostname").stdout == "boat\n"

    (row,) = busybox("snapshot", "ls", "--format", "json", check=True).stdout.splitlines()
    assert (json.loads(row)["Kind"], json.loads(row)["Container"]) == ("full", "box")
    assert json.loads(row)["Memory"].endswith("MB")
    refused = busybox("snapshot", "rm", "early")
    assert "is stood on by container anew, container kid-1, container kid-2" in refused.stderr
    busybox("snapshot", "rm", "-f", "early", check=True)
    assert busybox("exec", "kid-1", "cat", "/file").stdout == "one\n"
    assert busybox("rm", "-f", "box", "kid-1", "kid-2", "anew", check=True).status == 0
    assert busybox("snapshot", "ls", "-q").stdout == ""


def test_going_back_to_a_snapshot_with_memory_takes_its_disk(busybox: Command) -> None:
    script = f"cat /file; {COUNTER}"
    busybox(
        "run", "-q", "-d", "--name", "box", "--stop-timeout", "0", "busybox", "sh", "-c", script, check=True
    )
    assert logged(busybox, "box", "begun") == "begun 1\n"
    busybox("exec", "box", "sh", "-c", "echo kept > /file", check=True)  # not synced
    busybox("snapshot", "create", "box", "early", check=True)
    busybox("exec", "box", "sh", "-c", "echo lost > /file; sync", check=True)
    busybox("snapshot", "rollback", "--force", "--discard", "box", "early", check=True)
    assert busybox("exec", "box", "cat", "/file").stdout == "kept\n"
    assert logged(busybox, "box", "kept") == "begun 1\nkept\nbegun 1\n"
    assert busybox("snapshot", "tree").stdout == "early\n└── [box]\n"
    busybox("rm", "-f", "box", check=True)
    busybox("snapshot", "rm", "early", check=True)
