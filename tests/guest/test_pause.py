"""A container that only pauses, and others that live among its processes."""

from __future__ import annotations

import errno
import itertools
import signal

import pytest

from tests.guest.driver import Refused

NO_CAPS = dict.fromkeys(("bounding", "effective", "inheritable", "permitted", "ambient"), 0)


def pausing(host, name="pod", proc=1):
    root = {"device": "", "fstype": "pause", "readonly": True}
    host.ask("container", container=name, root=root, hostname="pod")
    host.spawn(proc, "pause", container=name)
    return name


def beside(host, box, name, proc, *args, pids="pod", **fields):
    box.container(host, name, pids=pids, **fields)
    host.spawn(proc, *args, container=name)


def sh(host, container, script, proc):
    status, out, err = host.run(proc, "sh", "-c", script, container=container)
    assert status == 0, err
    return out.decode()


def test_a_paused_container_lives_until_it_is_asked_to_end(host):
    pausing(host)
    host.ask("signal", proc=1, signal=signal.SIGTERM)
    assert host.wait(1) == 0


def test_its_processes_and_those_of_its_companions_see_each_other(host, box):
    pausing(host)
    beside(host, box, "a", 2, "sleep", "1001")
    beside(host, box, "b", 3, "sleep", "1002")
    seen = sh(host, "a", "cat /proc/[0-9]*/comm; ls -l /proc/1/root /proc/1/exe 2>&1 || :", 4)
    assert seen.splitlines()[0] == "pause"
    assert seen.count("sleep") == 2
    assert seen.count("Permission denied") == 2, "the pausing process can be looked into"
    status = sh(host, "b", "cat /proc/1/status", 5)
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status


def test_each_is_listed_and_signalled_by_itself(host, box):
    pausing(host)
    beside(host, box, "a", 2, "sh", "-c", "sleep 1001 & wait")
    beside(host, box, "b", 3, "sleep", "1002")
    host.until(lambda: len(host.ask("ps", container="a")["processes"]) == 2, "two processes")
    assert [row["args"] for row in host.ask("ps", container="b")["processes"]] == [["sleep", "1002"]]
    host.ask("signal", proc=2, signal=signal.SIGTERM, all=True)
    assert host.wait(2) == 128 + signal.SIGTERM
    assert [row["args"] for row in host.ask("ps", container="b")["processes"]] == [["sleep", "1002"]]


def test_what_a_companion_leaves_behind_ends_with_it(host, box):
    pausing(host)
    beside(host, box, "b", 3, "sleep", "1002")
    beside(host, box, "a", 2, "sh", "-c", "(sleep 1001 & sleep 1003 &) ; exec sleep 1004")
    host.ask("signal", proc=2, signal=signal.SIGKILL)
    assert host.wait(2) == 128 + signal.SIGKILL

    procs = itertools.count(10)

    def left():
        return sh(host, "b", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '", next(procs))

    host.until(lambda: "1001" not in left() and "1003" not in left(), "the end of what was left")
    host.ask("remove", container="a")
    assert "1002" in left()
    with pytest.raises(Refused) as refused:
        host.ask("ps", container="a")
    assert refused.value.errno == errno.ENOENT


def test_a_companion_of_nobody_is_refused(host, box):
    with pytest.raises(Refused) as refused:
        box.container(host, "a", pids="nobody")
    assert (refused.value.errno, refused.value.step) == (errno.ENOENT, "pids")


def test_a_machines_mounts_are_not_made_in_a_namespace(host):
    for op, fields in (
        ("mount", {"type": "tmpfs", "target": "/pod/x"}),
        ("unmount", {"target": "/pod/x"}),
        ("sweep", {"target": "/pod/x", "keep": []}),
    ):
        with pytest.raises(Refused) as refused:
            host.ask(op, **fields)
        assert refused.value.errno == errno.EPERM
