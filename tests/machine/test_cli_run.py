"""`firkin run` as a newcomer uses it: what goes in, what comes out, and with which status."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess

import pytest

from firkin.pytest.command import FIRKIN, Command
from firkin.pytest.home import Home
from tests.support.images import Images
from tests.unit.cli.test_timing import check_trace

pytestmark = pytest.mark.machine


def left_in(home: Home) -> list[str]:
    """What a run that left nothing has not left."""
    places = (home.data_dir / "containers", home.run_dir / "c", home.data_dir / "ingest")
    return [str(path) for place in places if place.is_dir() for path in place.iterdir()]


def test_streams_stay_apart_and_the_status_is_the_process_s(busybox: Command, home: Home) -> None:
    shutil.rmtree(home.data_dir / "rootfs")
    ended = busybox("run", "--rm", "-i", "busybox", "sh", "-c", "cat; echo err >&2; exit 7", input="in\n")
    assert (ended.stdout, ended.stderr, ended.status) == ("in\n", "firkin: building the disk\nerr\n", 7)
    ended = busybox("run", "--rm", "busybox", "sh", "-c", "cat; echo $1", "-", "a b")
    assert (ended.stdout, ended.stderr, ended.status) == ("a b\n", "", 0)
    assert left_in(home) == []


def test_every_flag_of_the_process_reaches_it(busybox: Command, home: Home) -> None:
    (home.work_dir / "vars").write_text("# remarks\nA=file\nB=file\n")
    (home.work_dir / "shared").mkdir()
    (home.work_dir / "shared" / "seen").write_text("from the host\n")
    script = (
        "id -u; pwd; hostname; echo $A $B $MINE; cat /in/seen; touch /in/no /etc/no 2>&1 | wc -l;"
        "touch /scratch/yes && nproc; awk '/MemTotal/{print ($2 < 200000)}' /proc/meminfo; ls /sys/class/net"
    )
    ended = busybox(
        *("run", "--name", "flagged", "-e", "B=flag", "-e", "MINE", "--env-file", "vars", "-w", "/tmp"),
        *("-u", "33:33", "-h", "box", "-m", "160m", "--cpus", "2", "--read-only", "--tmpfs", "/scratch"),
        *("-v", "./shared:/in:ro", "--network", "none", "-l", "team=red", "--stop-signal", "USR1"),
        *("--entrypoint", "sh", "--disk", "64m", "busybox", "-c", script),
        MINE="passed on",
    )
    assert ended.stdout.split("\n") == [
        "33", "/tmp", "box", "file flag passed on", "from the host", "2", "2", "1", "lo", "",
    ], ended  # fmt: skip
    (facts,) = json.loads(busybox("inspect", "flagged", check=True).stdout)
    assert facts["Config"]["Labels"] == {"team": "red"}
    assert facts["Config"]["StopSignal"] == signal.SIGUSR1
    assert facts["HostConfig"]["DiskSize"] == 64 << 20
    assert facts["State"]["Status"] == "exited"
    assert busybox("rm", "flagged").stdout == "flagged\n"
    assert left_in(home) == []


def test_a_reader_that_goes_away_ends_the_run_quietly(busybox: Command, home: Home) -> None:
    script = f'{FIRKIN[0]} run -q --rm busybox yes | head -1; echo "${{PIPESTATUS[0]}}"'
    ended = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=home.environ())
    assert (ended.stdout, ended.stderr) == ("y\n141\n", "")
    assert left_in(home) == []


def test_sigterm_is_passed_on_to_the_process(busybox: Command, home: Home) -> None:
    script = "trap 'echo got TERM; exit 9' TERM; echo ready; while :; do sleep 0.1; done"
    argv = [*FIRKIN, "run", "-q", "--rm", "busybox", "sh", "-c", script]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=home.environ()) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.terminate()
        assert child.communicate(timeout=60)[0] == "got TERM\n"
    assert child.returncode == 9
    assert left_in(home) == []


MOMENTS = ("> pull", "- layer.progress", "- rootfs.progress", "> machine.start", "< machine.start")


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_while_it_starts_ends_it_at_once_and_leaves_nothing(
    firkin: Command, home: Home, images: Images, moment: str
) -> None:
    flags = ("--rm", "--disk", "64m", "--stop-timeout", "1")
    argv = [*FIRKIN, "--debug", "run", *flags, images.busybox(), "sleep", "1000"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=home.environ()) as child:
        assert child.stderr is not None
        for line in child.stderr:
            if moment in line:
                child.send_signal(signal.SIGINT)
                break
        rest = child.communicate(timeout=60)[1]
    assert child.returncode == 130, rest
    assert "Traceback" not in rest
    assert left_in(home) == []
    rootfs_dir = home.data_dir / "rootfs"
    assert [each.name for each in rootfs_dir.glob(".*") if each.is_dir()] == []


def test_a_second_ctrl_c_ends_a_process_that_does_not_hear_the_first(busybox: Command, home: Home) -> None:
    argv = [*FIRKIN, "run", "-q", "--rm", "busybox", "sh", "-c", "trap '' INT; echo ready; exec sleep 1000"]
    with subprocess.Popen(argv, stdout=-1, stderr=-1, text=True, env=home.environ()) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
        assert "has not ended yet" in child.stderr.readline()
        assert child.stderr.readline() == "  hint: Ctrl-C once more ends it at once\n"
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=60)
    assert child.returncode == 130
    assert left_in(home) == []


@pytest.mark.parametrize(
    ("templates", "boot", "traced", "remarks"),
    [
        ("8", ["fork"], {"machine.restore"}, 0),
        ("0", ["kernel", "agent"], {"machine.boot", "machine.kernel", "machine.agent"}, 1),
    ],
)
def test_timing_and_trace_show_every_stage(
    busybox: Command, home: Home, templates: str, boot: list[str], traced: set[str], remarks: int
) -> None:
    busybox("warm", "-q", check=True)
    argv = ("run", "-q", "--rm", "--timing", "--trace", "t.json", "busybox", "echo", "hi")
    ended = busybox(*argv, FIRKIN_TEMPLATES=templates)
    assert ended.stdout == "hi\n"
    title, *lines = ended.stderr.splitlines()
    assert title.endswith("s in all")
    shown = [line[2:18].strip() for line in lines]
    assert shown[: len(shown) - remarks] == [
        "command line", "rootfs", "VMM start", *boot, "container start", "first byte",
    ]  # fmt: skip
    found = json.loads((home.work_dir / "t.json").read_text())
    check_trace(found)
    stages = {entry["name"] for entry in found["traceEvents"] if entry["ph"] == "X"}
    assert {"rootfs", "machine.start", "container.start", *traced} <= stages


def test_a_missing_image_is_pulled_with_progress_on_standard_error(
    firkin: Command, home: Home, images: Images
) -> None:
    reference = images.busybox()
    ended = firkin("run", "--rm", reference, "echo", "hi")
    pulling, *layers, building = ended.stderr.splitlines()
    assert ended.stdout == "hi\n"
    assert pulling == f"firkin: pulling {reference}"
    assert layers
    assert all(line.startswith("  layer ") for line in layers)
    assert building == "firkin: building the disk"
    assert firkin("run", "--rm", "--pull", "never", reference, "echo", "hi").stderr == ""
    assert firkin("pull", "-q", reference).stdout == f"{reference}\n"
    assert left_in(home) == []


def test_the_terminal_of_t_alone_is_for_output(busybox: Command) -> None:
    ended = busybox("run", "-q", "--rm", "-t", "busybox", "sh", "-c", "stty size; test -t 1 && echo yes")
    assert (ended.stdout, ended.status) == ("24 80\r\nyes\r\n", 0)


def test_what_the_environment_of_the_shell_holds_stays_there(busybox: Command) -> None:
    ended = busybox("run", "-q", "--rm", "busybox", "env", SECRET="s")
    names = {line.partition("=")[0] for line in ended.stdout.splitlines()}
    assert names == {"PATH", "HOSTNAME", "HOME"}
