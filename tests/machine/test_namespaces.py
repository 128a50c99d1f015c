"""Containers in namespaces of the host's kernel: the same words, streams and ends as in a machine, for root
and for a user without rights.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

import firkin as firkin_api
from firkin.container import record
from firkin.container.record import Running
from firkin.errors import FirkinError
from firkin.linux.cgroup.places import here
from firkin.linux.subordinate_ids import of
from firkin.pytest import leaks
from firkin.pytest.command import FIRKIN, Command
from firkin.pytest.home import Home, fresh_home
from firkin.settings import Settings
from tests.support.images import busybox_tar
from tests.support.user import User

pytestmark = pytest.mark.skipif(
    not (shutil.which("pasta") or os.environ.get("CI")), reason="needs pasta: apt install passt"
)

APART = ("--isolation", "namespace", "--network", "none")
COUNTS = "trap 'exit 7' TERM; i=0; while :; do i=$((i+1)); echo $i; echo $i > /count; sleep 0.05; done"


class Host:
    """Who runs containers: the command, and whose home it lives in."""

    def __init__(self, firkin: Command, home: Home, uid: int) -> None:
        self.firkin, self.home, self.uid = firkin, home, uid
        firkin("import", "-", "busybox", input=busybox_tar(), check=True)
        firkin("run", "--rm", *APART, "busybox", "true", check=True)  # makes the tree of its files

    def run(self, *args: str, flags: tuple[str, ...] = (), check: bool = True, input: str = "") -> str:
        return self.firkin("run", "--rm", *APART, *flags, "busybox", *args, check=check, input=input).stdout

    def sh(self, name: str, script: str) -> str:
        return self.firkin("exec", name, "sh", "-c", script, check=True).stdout

    def pid(self, name: str) -> int:
        return int(self.firkin("inspect", "-f", "{{.State.Pid}}", name, check=True).stdout)

    def upper(self, name: str) -> Path:
        found = self.firkin("inspect", "-f", "{{.Id}}", name, check=True).stdout.strip()
        return self.home.data_dir / "containers" / found / "upper"


@pytest.fixture(scope="module")
def root() -> Iterator[Host]:
    with fresh_home() as home:
        yield Host(Command(FIRKIN, home.environ(), home.work_dir), home, os.geteuid())
        leaks.dismiss_supervisor(str(home.root))


@pytest.fixture(scope="module", params=["root", "user"])
def host(request: pytest.FixtureRequest) -> Host:
    if request.param == "root":
        return request.getfixturevalue("root")
    user: User = request.getfixturevalue("unprivileged")
    return Host(user.firkin, user.home, user.uid)


@pytest.fixture(scope="module")
def box(host: Host) -> Iterator[str]:
    """A detached container that counts, and ends with 7 when it is asked to."""
    host.firkin("run", "-d", "--name", "box", "--hostname", "harbour", *APART, "busybox", "sh", "-c", COUNTS,
                check=True)  # fmt: skip
    yield "box"
    host.firkin("rm", "-f", "box", check=True)


def counts_on(host: Host) -> None:
    """It counts, and its log has every number up to now once."""
    before = len(host.firkin("logs", "box", check=True).stdout.split())
    host.sh("box", f"until [ $(cat /count) -gt {before} ]; do sleep 0.05; done")
    numbers = list(map(int, host.firkin("logs", "box", check=True).stdout.split()))
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_command_runs_with_its_streams_and_its_status_and_leaves_nothing(host: Host):
    script = "read line; echo got $line; echo err >&2; cat /proc/1/comm; exit 3"
    ended = host.firkin("run", "--rm", "-i", *APART, "busybox", "sh", "-c", script, input="a line\n")
    assert (ended.status, ended.stdout, ended.stderr) == (3, "got a line\nsh\n", "err\n")
    assert host.firkin("ps", "-aq", check=True).stdout == ""
    assert not list((host.home.data_dir / "containers").iterdir())
    assert host.firkin("run", "--rm", *APART, "busybox", "nothing-such").status == 127


def test_it_has_users_and_a_kernel_view_of_its_own(host: Host):
    script = (
        "id -u; cat /proc/self/uid_map; grep -E 'Seccomp:|CapEff' /proc/self/status; ls -A /sys/firmware;"
        "touch /proc/sys/kernel/hostname /sys/x; grep -c : /proc/net/dev"
    )
    said = host.run("sh", "-c", script, check=False).split()
    assert said[0] == "0"
    inner = [("0", "0", "4294967295")] if host.uid == 0 else [("0", str(host.uid), "1")]
    assert tuple(said[1:4]) == inner[0]
    assert said[said.index("Seccomp:") + 1] == "2"  # the default filter, without being asked
    assert said[said.index("CapEff:") + 1] == "00000000a80425fb"
    assert said[-1] == "1"  # its loopback, and nothing of the host's


def test_what_it_writes_belongs_to_the_ids_behind_its_own(host: Host, box: str):
    host.sh(box, "echo mine > /root-file; echo theirs > /ann-file; chown 1000:1000 /ann-file")
    files = host.upper(box)
    if host.uid == 0:
        assert [(files / each).stat().st_uid for each in ("root-file", "ann-file")] == [0, 1000]
        return
    first = of("/etc/subuid", (host.firkin.environ["USER"],))[0].first
    assert [(files / each).stat().st_uid for each in ("root-file", "ann-file")] == [host.uid, first + 999]


def test_mounts_are_as_they_were_asked_for(host: Host):
    shared = host.home.work_dir / "shared"
    shared.mkdir(exist_ok=True)
    (shared / "file").write_text("from the host\n")
    os.chown(shared, host.uid, -1)
    binds = ("-v", f"{shared}:/rw", "-v", f"{shared}:/ro:ro", "-v", f"{shared}/file:/one")
    memory = ("--tmpfs", "/scratch:size=1m", "--shm-size", "2m")
    flags = ("--read-only", *binds, *memory, "-u", "1000:1000", "-w", "/scratch")
    script = (
        "cat /ro/file /one; pwd; id -u; df -k /scratch /dev/shm | awk 'NR>1{print $2}';"
        "touch /x 2>&1; touch /ro/x 2>&1; cat /etc/hostname > /dev/null && echo named"
    )
    said = host.run("sh", "-c", script, flags=flags).splitlines()
    assert said[:6] == ["from the host", "from the host", "/scratch", "1000", "1024", "2048"]
    assert [line.endswith("Read-only file system") for line in said[6:8]] == [True, True]
    assert said[8] == "named"
    host.run("sh", "-c", "echo written > /rw/back", flags=("-v", f"{shared}:/rw"))
    assert (shared / "back").read_text() == "written\n"
    assert (shared / "back").stat().st_uid == host.uid


def test_exec_top_cp_and_pause_work_while_it_runs(host: Host, box: str):
    (host.home.work_dir / "in").write_text("carried\n")
    host.firkin("cp", "in", f"{box}:/tmp/in", check=True)
    assert host.sh(box, "hostname; cat /proc/1/comm /tmp/in").split() == ["harbour", "sh", "carried"]
    assert "sleep" in host.firkin("top", box, check=True).stdout
    paused = host.firkin("pause", box)
    if host.uid == 0 and "freezer" in here().dirs:
        counted = host.upper(box) / "count"
        before = counted.read_text()
        assert host.firkin("exec", box, "true").status == 125
        assert counted.read_text() == before
        host.firkin("unpause", box, check=True)
    elif host.uid != 0 and here().version == 1:  # nobody gave him any
        assert (paused.status, "no control group that freezes" in paused.stderr) == (125, True)
        ended = host.firkin("stats", "--no-stream", box)
        assert (ended.status, "no control group of its own" in ended.stderr) == (125, True)
    assert "A /count" in host.firkin("diff", box, check=True).stdout.splitlines()


def test_it_outlives_its_supervisor_with_all_that_it_said(host: Host, box: str):
    pid = host.pid(box)
    leaks.wait_until_gone([kill_supervisor(host.home)], 60)
    assert Path(f"/proc/{pid}").exists()
    counts_on(host)
    assert host.pid(box) == pid


def kill_supervisor(home: Home) -> int:
    (pid,) = (found.pid for found in leaks.processes_of(str(home.root)) if leaks.SUPERVISOR in found.command)
    os.kill(pid, signal.SIGKILL)
    return pid


def test_what_it_publishes_is_reached_and_the_helper_ends_with_it(host: Host):
    serves = "echo hello > /index.html; httpd -f -p 80 -h /"
    host.firkin("run", "-d", "--rm", "--name", "web", "--isolation", "namespace", "-p", "127.0.0.1::80",
                "busybox", "sh", "-c", serves, check=True)  # fmt: skip
    place = host.firkin("port", "web", "80", check=True).stdout.strip()
    until = "until wget -q -O /dev/null http://10.0.2.15/index.html; do sleep 0.1; done; cat /etc/resolv.conf"
    assert "nameserver 10.0.2.3" in host.sh("web", until)
    with urllib.request.urlopen(f"http://{place}/index.html", timeout=60) as answer:
        assert answer.read() == b"hello\n"
    helpers = [found.pid for found in leaks.processes_of(str(host.home.root)) if "pasta" in found.command]
    host.firkin("rm", "-f", "web", check=True)
    leaks.wait_until_gone(helpers, 60)


def test_it_stops_keeps_its_files_and_starts_again(host: Host, box: str):
    pid = host.pid(box)
    host.firkin("stop", box, check=True)
    assert not Path(f"/proc/{pid}").exists()
    assert host.firkin("inspect", "-f", "{{.State.ExitCode}}", box, check=True).stdout == "7\n"
    (host.home.work_dir / "late").write_text("late\n")
    host.firkin("cp", "late", f"{box}:/late", check=True)
    assert "late" in host.firkin("cp", f"{box}:/late", "-", check=True).stdout
    host.firkin("start", box, check=True)
    assert host.sh(box, "cat /late") == "late\n"
    facts = json.loads(host.firkin("inspect", box, check=True).stdout)[0]
    assert (facts["Isolation"], facts["State"]["Status"]) == ("namespace", "running")
    mapped = Path(f"/proc/{host.pid(box)}/uid_map").read_text().split("\n")
    assert facts["HostConfig"]["IDMappings"]["UidMap"] == [":".join(line.split()) for line in mapped if line]
    assert facts["GraphDriver"]["Data"]["UpperDir"] == str(host.upper(box))


def test_it_ends_with_whoever_runs_it_in_the_foreground(host: Host):
    firkin = host.firkin
    owner = subprocess.Popen(
        [*firkin.program, "run", "--name", "front", *APART, "busybox", "sh", "-c", "echo up; sleep 1000"],
        env=firkin.environ, cwd=firkin.cwd, user=firkin.user, group=firkin.group,
        extra_groups=None if firkin.user is None else [], stdout=subprocess.PIPE,
    )  # fmt: skip
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"up\n"
    pid = host.pid("front")
    owner.kill()
    owner.wait()
    leaks.wait_until_gone([pid], 60)
    firkin("rm", "-f", "front", check=True)
    owner.stdout.close()


def test_python_has_the_same_word_and_refuses_what_needs_a_machine(root: Host):
    settings = Settings.load(root.home.environ())
    with firkin_api.Engine(settings) as engine:
        output = engine.run(
            "busybox", ["sh", "-c", "echo $1", "a", "b"], isolation="namespace", network="none"
        ).output()
        assert (output.status.code, output.stdout) == (0, b"b\n")
        with engine.run("busybox", ["sleep", "1000"], isolation="namespace", network="none") as box:
            state = record.find(settings.paths, box.id).state()
            assert isinstance(state, Running)
            assert Path(f"/proc/{state.pid}/ns/user").readlink() != Path("/proc/self/ns/user").readlink()
            for verb in (
                box.snapshot,
                box.suspend,
                lambda: box.fork(),
            ):
                with pytest.raises(FirkinError, match="in namespaces"):
                    verb()
