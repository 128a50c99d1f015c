"""Pods: several containers in one machine, judged from inside of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from firkin.pytest.command import Command
from firkin.pytest.home import Home
from firkin.pytest.leaks import SUPERVISOR, processes_of, wait_until_gone
from tests.support.images import Images, busybox_tar
from tests.support.layers import archive, directory, hard_link, member, symlink

pytestmark = pytest.mark.machine

WAITS = ("busybox", "sh", "-c", "echo up; trap 'exit 7' TERM; while :; do sleep 0.1; done")
LISTING = (
    "elsewhere='( -path /etc -o -path /dev -o -path /proc -o -path /sys -o -path /run ) -prune -o'; set -f; "
    "find / -xdev $elsewhere -type d -exec stat -c '%n %a %u %g' {} + | sort; "
    "find / -xdev $elsewhere ! -type d -exec stat -c '%n %F %a %u %g %h %N' {} + | sort; "
    "find /made -type f -exec sha256sum {} + | sort; "
    "[ /made/one -ef /made/two ] && [ /made/three -ef /made/four ] && echo linked"
)


@pytest.fixture
def busybox(firkin: Command, stocked: Home) -> Command:
    return firkin


def inspected(firkin: Command, name: str) -> dict[str, Any]:
    (pod,) = json.loads(firkin("pod", "inspect", name, check=True).stdout)
    return dict(pod)


def sh(firkin: Command, container: str, script: str) -> str:
    return firkin("exec", container, "sh", "-c", script, check=True).stdout


def kill(home: Home, what: str) -> None:
    found = [each.pid for each in processes_of(str(home.root)) if what in each.command]
    assert found
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    wait_until_gone(found, 30)


def test_containers_of_a_pod_share_its_network_and_volumes_and_nothing_else(busybox: Command) -> None:
    busybox(
        "pod", "create", "--name", "web", "-h", "webhost", "-e", "FROM=pod", "--add-host", "db:10.9.8.7",
        "-v", "cache:/cache", "-v", "fast:/fast:memory,size=1m", check=True,
    )  # fmt: skip
    assert inspected(busybox, "web")["State"] == "Ready"
    server = "echo hello | nc -l -p 8000; trap 'exit 7' TERM; while :; do sleep 0.1; done"
    busybox("run", "-d", "--pod", "web", "--name", "front", "busybox", "sh", "-c", server, check=True)
    busybox("run", "-d", "--pod", "web", "--name", "back", "-e", "FROM=back", *WAITS, check=True)
    said = sh(
        busybox,
        "back",
        "until nc 127.0.0.1 8000; do sleep 0.1; done; hostname; echo $FROM; grep db /etc/hosts",
    )
    assert said.split() == ["hello", "webhost", "back", "10.9.8.7", "db"]
    assert (
        sh(busybox, "front", "echo $FROM; echo kept >/cache/file; echo gone >/fast/file; echo own >/own")
        == "pod\n"
    )
    assert sh(
        busybox, "back", "cat /cache/file /fast/file; ls /own 2>/dev/null || ls -d /proc/[0-9]* | wc -l"
    ).split()[:2] == ["kept", "gone"]
    assert "size=1024k" in sh(busybox, "back", "grep ' /fast ' /proc/mounts")
    assert "sleep" not in sh(busybox, "back", "cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 8000 || :")
    assert busybox("ps", "--format", "{{.Names}}", check=True).stdout.split() == ["back", "front"]
    assert inspected(busybox, "web")["Hostname"] == "webhost"
    check_what_it_uses(busybox)
    changed = ["A /cache", "A /fast", "A /own"]
    assert busybox("diff", "front", check=True).stdout.splitlines() == changed
    busybox("commit", "front", "of-front", check=True)

    # One goes, another comes; what is on the disk stays when the machine goes, what is in memory does not.
    assert busybox("stop", "back", check=True).status == 0
    assert busybox("wait", "back").stdout == "7\n"
    busybox("rm", "back", check=True)
    late = busybox("run", "--rm", "--pod", "web", "--name", "late", "busybox", "cat", "/cache/file")
    assert (late.status, late.stdout) == (0, "kept\n")
    assert busybox("run", "--rm", "--pod", "web", "busybox", "sh", "-c", "exit 3").status == 3
    busybox("pod", "stop", "web", check=True)
    assert inspected(busybox, "web")["State"] == "Stopped"
    assert busybox("wait", "front").stdout == "7\n"
    assert busybox("diff", "front", check=True).stdout.splitlines() == changed
    assert busybox("run", "--rm", "of-front", "cat", "/own", check=True).stdout == "own\n"
    busybox("pod", "start", "web", check=True)
    assert sh(busybox, "front", "cat /own /cache/file; ls /fast") == "own\nkept\n"

    refused = busybox("pod", "rm", "web")
    assert refused.status == 125
    assert "is running" in refused.stderr
    busybox("pod", "rm", "-f", "web", check=True)
    assert busybox("ps", "-aq", check=True).stdout == ""
    assert busybox("pod", "ps", "-q", check=True).stdout == ""


def check_what_it_uses(busybox: Command) -> None:
    """Of pod web, whose containers are front and back."""
    form = "{{.PodName}} {{.Name}} {{.PIDS}} {{.MemUsage}}"
    used = busybox("pod", "stats", "--no-stream", "--format", form, check=True).stdout.splitlines()
    assert [line.split()[:2] for line in used] == [["web", "front"], ["web", "back"]]
    assert all(line.split()[2] in ("1", "2") and "0B /" not in line for line in used)
    assert "POD" in busybox("pod", "stats", "--no-stream", "web", check=True).stdout.split("\n")[0]
    shown = busybox("pod", "top", "web", "pid", "args", check=True).stdout.splitlines()
    assert shown[0].split() == ["CONTAINER", "PID", "COMMAND"]
    firsts = [line.split()[0] for line in shown[1:] if line.split()[1] == "1"]
    assert firsts == ["front", "back"]


def test_processes_are_shared_when_that_is_asked_for(busybox: Command, home: Home) -> None:
    busybox("pod", "create", "--share-pid", "together", check=True)
    busybox("run", "-d", "--pod", "together", "--name", "one", "busybox", "sleep", "1001", check=True)
    busybox("run", "-d", "--pod", "together", "--name", "two", *WAITS, check=True)
    seen = sh(
        busybox, "two", "cat /proc/1/comm; pidof sleep >/dev/null; cat /proc/[0-9]*/cmdline | tr '\\0' ' '"
    )
    assert seen.splitlines()[0] == "pause"
    assert "sleep 1001" in seen
    assert sh(busybox, "two", "ls /proc/1/root/pod 2>&1 || :").strip().endswith("Permission denied")
    assert "1001" not in busybox("top", "two", check=True).stdout

    # What a member may make of namespaces hides none of its processes.
    hides = "unshare -m sleep 1003 & exec sleep 1004"
    busybox("run", "-d", "--pod", "together", "--name", "hider", "--privileged", "busybox", "sh", "-c", hides,
            check=True)  # fmt: skip
    seen = "until cat /proc/[0-9]*/cmdline 2>/dev/null | grep -q 1003; do sleep 0.1; done"
    sh(busybox, "one", seen)
    assert "sleep 1003" in busybox("top", "hider", check=True).stdout
    busybox("stop", "hider", check=True)
    assert "1003" not in sh(busybox, "one", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")

    # Who owns it dies while it stands still: the next one has it as it was.
    busybox("pod", "pause", "together", check=True)
    assert inspected(busybox, "together")["State"] == "Paused"
    kill(home, SUPERVISOR)
    assert "is paused" in busybox("exec", "one", "true").stderr
    assert "in a pod" in busybox("unpause", "one").stderr
    busybox("pod", "unpause", "together", check=True)
    assert "sleep 1001" in sh(busybox, "one", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert busybox("logs", "two", check=True).stdout == "up\n"

    # The machine dies: so has everybody in it, and a new one starts from what was on its disk.
    kill(home, "guest=together")
    assert set(busybox("ps", "-a", "--format", "{{.State}}", check=True).stdout.split()) == {"exited"}
    busybox("pod", "restart", "together", check=True)
    assert sh(busybox, "one", "echo on") == "on\n"
    busybox("pod", "rm", "-f", "together", check=True)


def test_a_members_want_of_memory_is_its_own(busybox: Command) -> None:
    busybox("pod", "create", "short", check=True)
    busybox("run", "-d", "--pod", "short", "--name", "other", *WAITS, check=True)
    hog = ("busybox", "tail", "/dev/zero")
    assert busybox("run", "--pod", "short", "--name", "hog", "-m", "24m", *hog).status == 137
    busybox("stop", "other", check=True)
    told = busybox("inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "hog", "other", check=True)
    assert told.stdout.lower().splitlines() == ["true 137", "false 7"]
    busybox("pod", "rm", "-f", "short", check=True)


def test_layers_are_in_a_pod_what_they_are_on_a_disk(firkin: Command, images: Images) -> None:
    lower = archive(
        [
            directory("made"),
            member("made/one", b"linked"),
            hard_link("made/two", "made/one"),
            symlink("made/rel", "one"),
            symlink("made/abs", "/made/one"),
            member("made/gone", b"x"),
            directory("made/hidden"),
            member("made/hidden/below", b"x"),
            directory("made/kept", mode=0o1777, uid=7, gid=8),
            member("made/kept/below", b"y", mode=0o4755),
            directory("made/replaced"),
            member("made/replaced/file", b"x"),
        ]
    )
    upper = archive(
        [
            member("made/.wh.gone"),
            member("made/hidden/.wh..wh..opq"),
            member("made/hidden/above", b"z"),
            member("made/kept/above", b"z"),
            member("made/replaced", b"a file now"),
            member("made/three", b"linked above"),
            hard_link("made/four", "made/three"),
        ]
    )
    image = images.push("pod-layers", [busybox_tar(), lower, upper]).reference
    alone = firkin("run", "--rm", image, "sh", "-c", LISTING, check=True).stdout
    firkin("pod", "create", "layers", check=True)
    assert firkin("run", "--rm", "--pod", "layers", image, "sh", "-c", LISTING, check=True).stdout == alone
    assert "/made/one regular file 644 0 0 2" in alone
    assert "linked" in alone.splitlines()[-1]
    # What one writes is its own, and a removed container's place is free.
    firkin(
        "run",
        "-d",
        "--pod",
        "layers",
        "--name",
        "writer",
        image,
        "sh",
        "-c",
        "rm -r /made; sleep 1000",
        check=True,
    )
    assert firkin("run", "--rm", "--pod", "layers", image, "sh", "-c", LISTING, check=True).stdout == alone
    read_only = firkin(
        "run", "--rm", "--read-only", "--pod", "layers", image, "sh", "-c", "echo x >/made/one"
    )
    assert read_only.status != 0
    assert "Read-only" in read_only.stderr
    missing = firkin("run", "--rm", "--pod", "layers", image, "/no/such")
    assert missing.status == 127
    firkin("pod", "rm", "-f", "layers", check=True)


def test_files_of_members_that_do_not_run_go_in_and_out(busybox: Command, tmp_path: Path) -> None:
    one, out = tmp_path / "one", tmp_path / "out"
    one.write_text("first\n")
    busybox("pod", "create", "files", "-v", "cache:/cache", "--share-pid", check=True)
    busybox("create", "--pod", "files", "--name", "rests", "busybox", "cat", "/in", "/two", check=True)
    busybox("cp", str(one), "rests:/in", check=True)
    busybox("cp", str(one), "rests:/cache/kept", check=True)
    assert inspected(busybox, "files")["State"] == "Ready", "a machine was there for the copy alone"

    busybox("run", "-d", "--pod", "files", "--name", "runs", *WAITS, check=True)
    assert sh(busybox, "runs", "cat /cache/kept; ls /in 2>/dev/null || :") == "first\n"
    busybox("cp", "-q", "rests:/in", str(out), check=True)
    assert out.read_text() == "first\n"
    busybox("cp", "rests:/cache/kept", "runs:/copied", check=True)
    busybox("cp", "runs:/copied", "rests:/two", check=True)
    busybox("export", "-o", str(out), "rests", check=True)
    listed = subprocess.run(["tar", "-tf", out], capture_output=True, text=True, check=True).stdout
    assert {"in", "two", "bin/sh"} <= set(listed.split())
    assert "no such file" in busybox("cp", "rests:/missing", str(out)).stderr
    assert busybox("ps", "-a", "--filter", "name=rests", "--format", "{{.State}}", check=True).stdout == (
        "created\n"
    )
    assert busybox("start", "-a", "rests", check=True).stdout == "first\nfirst\n"
    busybox("pod", "pause", "files", check=True)
    assert "is paused" in busybox("cp", "rests:/in", str(out)).stderr

    busybox("pod", "stop", "files", check=True)
    one.write_text("second\n")
    busybox("cp", str(one), "rests:/in", check=True)
    assert inspected(busybox, "files")["State"] == "Stopped"
    assert busybox("start", "-a", "rests", check=True).stdout == "second\nfirst\n"
    busybox("pod", "rm", "-f", "files", check=True)


def test_ports_of_a_pod_and_of_its_containers(busybox: Command) -> None:
    busybox("pod", "create", "--name", "ports", "-p", "127.0.0.1::81", check=True)
    serve = "while :; do echo served | nc -l -p {}; done"
    published = ("-p", "127.0.0.1::80", "-p", "[::1]::80")
    words = ("--pod", "ports", "--name", "a1", *published, "busybox", "sh", "-c", serve.format(80))
    busybox("create", *words, check=True)
    clash = busybox("create", "--pod", "ports", "-p", "127.0.0.1::80", "busybox", "true")
    assert clash.status == 125
    assert "port 80/tcp is taken by container 'a1'" in clash.stderr
    busybox("pod", "start", "ports", check=True)
    late = busybox("run", "--pod", "ports", "-p", "127.0.0.1::82", "busybox", "true")
    assert "runs, and does not publish 82/tcp" in late.stderr
    bindings = {each["HostIp"]: each["HostPort"] for each in inspected(busybox, "ports")["Ports"]["80/tcp"]}
    shown = busybox("ps", "--format", "{{.Ports}}", check=True).stdout
    assert bindings.keys() == {"127.0.0.1", "::1"}
    for host, port in bindings.items():
        assert fetched(int(port), host) == b"served\n"
        assert port in shown
    busybox("pod", "rm", "-f", "ports", check=True)


def fetched(port: int, host: str = "127.0.0.1") -> bytes:
    import socket
    import time

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.create_connection((host, port), timeout=60) as peer:
            if said := peer.recv(100):
                return said
    raise AssertionError("nobody serves")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("pod", "create", "--name", "bad/pod"), "'bad/pod' is not a container name"),
        (("pod", "create", "-v", "a b:/x"), "' ' cannot be in it"),
        (("pod", "create", "-v", "c:/x", "-v", "d:/x"), "two mounts at /x"),
        (("pod", "create", "-v", "c", "-v", "c"), "two are named 'c'"),
        (("pod", "create", "-v", "c:/x:size=1m"), "only one in memory has a size"),
        (("pod", "create", "-v", "/no/such/dir:/x"), "host path /no/such/dir is not a directory"),
        (("pod", "create", "-m", "1k"), "too few"),
        (("pod", "inspect", "nobody"), "no such pod: 'nobody'"),
        (("pod", "start", "nobody"), "no such pod: 'nobody'"),
        (("run", "--pod", "nobody", "busybox"), "no such pod: 'nobody'"),
        (
            ("run", "--pod", "there", "-m", "1g", "busybox"),
            "memory: 1073741824 is more than the 268435456 that pod 'there' has",
        ),
        (("run", "--pod", "there", "--network", "none", "busybox"), "have one network"),
        (("run", "--pod", "there", "-v", "other:/x", "busybox"), "has no volume 'other'"),
        (("create", "--pod", "there", "--name", "there", "busybox"), "in use"),
        (("create", "--pod", "small", "busybox"), "and the store of pod 'small'"),
        (("exec", "there", "true"), "'there' is a pod, and no container"),
        (("rm", "-f", "there"), "'there' is a pod, and no container"),
        (("pod", "pause", "there"), "never started"),
        (("pod", "top", "there"), "pod 'there' is not running"),
    ],
)
def test_what_cannot_be_is_refused(busybox: Command, words: tuple[str, ...], complaint: str) -> None:
    if "there" in words:
        busybox("pod", "create", "there", check=True)
    if "small" in words:
        busybox("pod", "create", "--disk", "16m", "small", check=True)
        big = os.urandom(17 << 20)
        busybox("import", "-", "busybox", input=archive([member("big", big)]), check=True)
    refused = busybox(*words)
    assert refused.status == 125, refused
    assert complaint in refused.stderr
    for name in busybox("pod", "ps", "-q", check=True).stdout.split():
        busybox("pod", "rm", name, check=True)
