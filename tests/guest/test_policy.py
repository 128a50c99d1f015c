"""What a process may do, and its container's init: judged by /proc and util-linux, on the agent itself."""

from __future__ import annotations

import errno
import os
import signal
import struct
import subprocess
from pathlib import Path

import pytest

from tests.guest.driver import DEFAULT_CAPS, Refused

ALLOW, EPERM_INSTEAD = 0x7FFF0000, 0x00050000 | errno.EPERM
NR_MKDIR = {"x86_64": 83}.get(os.uname().machine)


def instruction(code: int, yes: int, no: int, operand: int) -> bytes:
    return struct.pack("=HBBI", code, yes, no, operand)


def denying(number: int) -> bytes:
    """A filter by which system call `number` fails with EPERM."""
    load = instruction(0x20, 0, 0, 0)
    jump = instruction(0x15, 0, 1, number)
    return load + jump + instruction(0x06, 0, 0, EPERM_INSTEAD) + instruction(0x06, 0, 0, ALLOW)


def status(host, proc: int, *fields: str, **words) -> list[str]:
    pattern = "|".join(fields)
    return (
        host.run(proc, "grep", "-E", f"^({pattern}):", "/proc/self/status", **words)[1].decode().split()[1::2]
    )


@pytest.mark.skipif(NR_MKDIR is None, reason="this processor has no mkdir(2)")
@pytest.mark.parametrize("words", [{}, {"no_new_privs": True}, {"user": "65534"}])
def test_a_filter_holds_for_whoever_is_to_be_run(host, tmp_path, words):
    """Without no_new_privs, and without the capability that entering a filter needs, too."""
    tmp_path.chmod(0o777)
    asked = {"filter": {"program": denying(NR_MKDIR)}, "caps": DEFAULT_CAPS, **words}
    assert status(host, 1, "Seccomp", "Seccomp_filters", **asked) == ["2", "1"]
    admin = int(status(host, 2, "CapPrm", **asked)[0], 16) >> 21 & 1
    code, _, err = host.run(3, "busybox", "mkdir", str(tmp_path / "made"), **asked)
    assert (admin, code) == (0, 1)
    assert b"not permitted" in err
    assert status(host, 4, "Seccomp") == ["0"]


@pytest.mark.parametrize(
    "wanted",
    [
        {"program": b""},
        {"program": bytes(7)},
        {"program": bytes(8 * 4097)},
        {"program": bytes(8), "flags": 1 << 3},
        {"flags": 0},
    ],
)
def test_a_filter_that_is_none_is_refused(host, wanted):
    with pytest.raises(Refused) as refused:
        host.spawn(1, "true", filter=wanted)
    assert (refused.value.step, refused.value.errno) == ("request", errno.EINVAL)


def test_a_filter_that_the_kernel_refuses_is_told(host):
    with pytest.raises(Refused) as refused:
        host.spawn(1, "true", filter={"program": bytes(8)})  # it does not end in a verdict
    assert (refused.value.step, refused.value.errno) == ("seccomp", errno.EINVAL)


def test_scheduling_is_what_was_asked_for(host):
    asked = {"scheduler": {"policy": 3, "nice": 7}, "io_priority": 2 << 13 | 6}
    _, out, _ = host.run(1, "sh", "-c", "chrt -p $$; ionice -p $$; nice", **asked)
    assert b"SCHED_BATCH" in out
    assert b"best-effort: prio 6" in out
    assert out.endswith(b"\n7\n")
    with pytest.raises(Refused) as refused:
        host.spawn(2, "true", scheduler={"policy": 1, "priority": 1000})
    assert refused.value.step == "scheduler"


def test_a_label_of_a_module_that_does_not_run_is_refused(host):
    if "selinuxfs" in Path("/proc/filesystems").read_text() or os.path.isdir("/proc/self/attr/apparmor"):
        pytest.skip("this kernel has security modules")
    for name in ("selinux", "apparmor"):
        with pytest.raises(Refused) as refused:
            host.spawn(1, "true", **{name: "some_label"})
        assert (refused.value.step, refused.value.errno) == (name, errno.EOPNOTSUPP)


# ---- a container's init ----


def with_init(host, box, *args: str, **fields) -> str:
    box.container(host)
    return host.spawn(1, *args, container="c1", stdout=11, init=True, **fields)


def test_an_init_passes_signals_on_and_ends_as_its_program(host, box):
    with_init(
        host, box, "sh", "-c", "trap 'echo heard; exit 7' TERM; echo ready; while :; do sleep 0.05; done"
    )
    host.until(lambda: host.output[11] == b"ready\n", "first line")
    host.ask("signal", proc=1, signal=signal.SIGTERM)
    assert host.wait(1) == 7
    assert host.read_to_end(11) == b"ready\nheard\n"


def test_an_init_reaps_orphans_that_its_program_would_not(host, box):
    with_init(host, box, "sh", "-c", "(sleep 0.01 & sleep 0.02 &); echo $$ $PPID; exec sleep 1000")
    host.until(lambda: b"\n" in host.output[11], "first line")
    assert host.output[11] == b"2 1\n"
    look = "ps -o stat= | grep -q Z || ps -o args= | grep -q '^sleep 0'"
    wait = f"for i in $(seq 300); do {look} || exit 0; sleep 0.1; done; exit 1"
    assert host.run(2, "sh", "-c", wait, container="c1")[0] == 0
    names = [row["args"][0] for row in host.ask("ps", container="c1")["processes"] if row["args"]]
    assert names == ["firkin-init", "sleep"]


def test_a_program_that_a_signal_ends_is_told_as_by_a_shell(host, box):
    with_init(host, box, "sh", "-c", "kill -KILL $$")
    assert host.wait(1) == 128 + 9
    assert host.exits[1]["code"] == 128 + 9


def test_a_program_that_cannot_be_run_leaves_no_init(host, box):
    with pytest.raises(Refused) as refused:
        with_init(host, box, "no-such-program")
    assert (refused.value.step, refused.value.object) == ("exec", "no-such-program")
    with pytest.raises(Refused) as refused:
        host.spawn(2, "true", container="c1")
    assert refused.value.errno == errno.ESRCH


def test_an_init_is_no_mightier_than_its_program_and_shows_nobody_its_memory(host, box):
    caps = DEFAULT_CAPS & ~(1 << 27)
    with_init(host, box, "sleep", "1000", caps=caps, no_new_privs=True, user="ann")
    look = "grep -E '^(Uid|CapBnd|CapPrm|NoNewPrivs):' /proc/1/status"
    _, out, _ = host.run(2, "sh", "-c", look, container="c1")
    words = out.decode().split()
    assert words[1] == "1000"
    assert int(words[words.index("CapBnd:") + 1], 16) == caps
    assert int(words[words.index("CapPrm:") + 1], 16) == 0
    assert words[words.index("NoNewPrivs:") + 1] == "1"
    code, _, err = host.run(3, "cat", "/proc/1/exe", container="c1", user="ann", caps=0)
    assert code == 1
    assert b"denied" in err


def test_standard_streams_are_the_programs_alone(host, box):
    """The init keeps none of them open: whoever writes to a program that reads no more is told so."""
    box.container(host)
    host.spawn(1, "sh", "-c", "exec <&-; exec sleep 1000", container="c1", stdin=10, init=True)
    host.until(lambda: (host.write(10, b"x"), 10 in host.broken)[1], "BREAK")


def test_a_program_under_an_init_has_its_terminal(host, box):
    box.container(host)
    size = {"rows": 20, "cols": 50}
    host.spawn(1, "sh", "-c", "stty size; tty", container="c1", stdin=10, stdout=11, terminal=size, init=True)
    assert host.wait(1) == 0
    assert host.read_to_end(11).split() == [b"20", b"50", b"/dev/pts/0"]


def test_nobody_becomes_an_init_by_its_name_alone(tmp_path):
    """Outside a container it has no child, and ends."""
    from tests.guest.driver import AGENT

    run = subprocess.run(["firkin-init", "1234567"], executable=AGENT, timeout=60)
    assert run.returncode == 1
