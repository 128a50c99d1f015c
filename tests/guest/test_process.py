"""Processes of the machine itself: their output, their end, who they are and what they may use."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import signal

import pytest

from tests.guest.driver import DEFAULT_CAPS, Refused


def test_both_streams_arrive_apart_and_end(host):
    assert host.run(1, "sh", "-c", "echo out; echo err >&2; exit 3") == (3, b"out\n", b"err\n")


def test_outputs_of_one_stream_are_one_pipe_in_the_order_of_writing(host):
    loop = "for i in 1 2 3; do echo o$i; echo e$i >&2; done"
    script = f"readlink /proc/self/fd/1 >&2; readlink /proc/self/fd/2; {loop}"
    host.spawn(1, "sh", "-c", script, stdout=11, stderr=11)
    first, second, *rest = host.read_to_end(11).split()
    assert (first, host.wait(1)) == (second, 0)
    assert rest == [b"o1", b"e1", b"o2", b"e2", b"o3", b"e3"]
    host.hello, host._synced = {}, False
    host.sync()
    (record,) = host.hello["procs"]
    assert (record["stdout"], record["stderr"]) == (11, 0)
    host.ask("forget", proc=1)
    assert host.run(2, "true")[0] == 0


def test_a_stream_that_nobody_asked_for_is_dev_null(host):
    host.spawn(1, "sh", "-c", "readlink /proc/self/fd/0; echo lost >&2", stdout=11)
    assert host.read_to_end(11) == b"/dev/null\n"
    assert host.wait(1) == 0


def test_input_is_read_to_its_end(host):
    data = os.urandom(1_000_000)
    host.spawn(1, "sha256sum", stdin=10, stdout=11)
    host.write(10, data)
    host.end(10)
    assert host.read_to_end(11).split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_an_exit_names_the_code_or_the_signal(host):
    host.spawn(1, "sh", "-c", "exit 255")
    host.spawn(2, "sh", "-c", "kill -SEGV $$")
    host.spawn(3, "sleep", "1000")
    host.ask("signal", proc=3, signal=signal.SIGTERM)
    assert (host.wait(1), host.wait(2), host.wait(3)) == (255, 128 + 11, 128 + 15)
    assert (host.exits[3]["code"], host.exits[3]["signal"], host.exits[3]["core"]) == (None, 15, False)
    assert host.exits[1]["time_ns"] > 1_600_000_000_000_000_000


@pytest.mark.parametrize(
    ("args", "error"),
    [
        (("no-such-program",), errno.ENOENT),
        (("/no/such/program",), errno.ENOENT),
        (("",), errno.ENOENT),
        (("/etc/passwd",), errno.EACCES),
        (("/etc",), errno.EACCES),
    ],
)
def test_a_program_that_cannot_be_run_is_refused_before_anything_is_left(host, args, error):
    with pytest.raises(Refused) as refused:
        host.spawn(1, *args, stdout=11)
    assert (refused.value.step, refused.value.errno) == ("exec", error)
    assert refused.value.object == args[0]
    assert host.run(1, "echo", "the number is free again")[0] == 0


def test_a_file_of_no_known_format_is_told_apart(host, tmp_path):
    program = tmp_path / "program"
    program.write_bytes(b"\x00\x01 no program")
    program.chmod(0o755)
    with pytest.raises(Refused) as refused:
        host.spawn(1, str(program))
    assert (refused.value.step, refused.value.errno) == ("exec", errno.ENOEXEC)


def test_the_path_of_the_environment_is_searched(host, tmp_path):
    for directory, text in (("first", "not executable"), ("second", "#!/bin/sh\necho second\n")):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "tool").write_text(text)
    with pytest.raises(Refused) as refused:
        host.spawn(1, "tool", env=[f"PATH={tmp_path}/none:{tmp_path}/first"])
    assert refused.value.errno == errno.EACCES
    (tmp_path / "second/tool").chmod(0o755)
    path = f"PATH={tmp_path}/first:{tmp_path}/second:/bin"
    assert host.run(2, "tool", env=["PATH=/nowhere", path])[1] == b"second\n"


def test_the_environment_is_what_was_asked_for_and_a_home(host):
    assert host.run(1, "/usr/bin/env", env=["A=1", "B=x y"])[1].splitlines() == [
        b"A=1",
        b"B=x y",
        b"HOME=/root",
    ]
    assert b"HOME=/elsewhere" in host.run(2, "/usr/bin/env", env=["HOME=/elsewhere"])[1].splitlines()


def test_nothing_of_the_agents_is_inherited(host):
    script = "ls /proc/self/fd | wc -l; grep -E 'Sig(Blk|Ign)' /proc/self/status; ulimit -Sn; umask"
    _, out, _ = host.run(1, "sh", "-c", script, umask=0o027)
    lines = out.decode().split()
    assert lines[0] == "4"  # 0, 1, 2 and the directory that ls reads
    assert lines[2] == lines[4] == "0" * 16
    assert lines[-2:] == [str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]), "0027"]


def test_a_process_leads_a_session_of_its_own(host):
    pid = host.spawn(1, "sh", "-c", "ps -o sid= -p $$; echo $$", stdout=11)
    assert host.read_to_end(11).split() == [str(pid).encode()] * 2


def test_capabilities_are_those_that_were_asked_for(host):
    _, out, _ = host.run(1, "sh", "-c", "grep Cap /proc/self/status", caps=DEFAULT_CAPS)
    sets = {line.split()[0]: int(line.split()[1], 16) for line in out.decode().splitlines()}
    assert sets["CapBnd:"] == sets["CapEff:"] == sets["CapPrm:"] == DEFAULT_CAPS
    assert sets["CapInh:"] == sets["CapAmb:"] == 0


def test_a_user_without_ambient_capabilities_has_none(host):
    _, out, _ = host.run(1, "sh", "-c", "id -u; grep -E 'Cap(Eff|Prm)' /proc/self/status", user="65534")
    assert out.split()[0] == b"65534"
    assert {int(word, 16) for word in out.split()[2::2]} == {0}


def test_ambient_capabilities_survive_the_program(host):
    one = 1 << 10  # net_bind_service
    caps = {"bounding": one, "effective": one, "permitted": one, "inheritable": one, "ambient": one}
    _, out, _ = host.run(1, "grep", "CapEff", "/proc/self/status", user="65534", caps=caps)
    assert int(out.split()[1], 16) == one


def test_no_new_privs_is_set_when_asked(host):
    assert b"\t1" in host.run(1, "grep", "NoNewPrivs", "/proc/self/status", no_new_privs=True)[1]
    assert b"\t0" in host.run(2, "grep", "NoNewPrivs", "/proc/self/status")[1]


def test_limits_are_set(host):
    limits = [{"type": 7, "soft": 64, "hard": 128}, {"type": 4, "soft": 0, "hard": 0}]
    assert host.run(1, "sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c", rlimits=limits)[1].split() == [
        b"64",
        b"128",
        b"0",
    ]
    assert host.run(2, "cat", "/proc/self/oom_score_adj", oom_score_adj=500)[1] == b"500\n"


def test_a_missing_directory_is_refused_for_any_but_a_containers_first(host):
    with pytest.raises(Refused) as refused:
        host.spawn(1, "true", cwd="/no/such/directory")
    assert (refused.value.step, refused.value.errno) == ("cwd", errno.ENOENT)


def test_orphans_are_reaped(host):
    host.run(1, "sh", "-c", "(sh -c 'sleep 0.05' &) ; (true &)")
    host.run(2, "sleep", "0.2")
    states = {row["state"] for row in host.ask("ps", container="")["processes"]}
    assert "Z" not in states


def test_output_may_outlive_the_process_that_was_asked_for(host):
    host.spawn(1, "sh", "-c", "exec 3<&0; (read x <&3; echo late) & echo early", stdin=10, stdout=11)
    assert host.wait(1) == 0
    assert 11 not in host.ends
    host.write(10, b"\n")
    host.end(10)
    host.until(lambda: 11 in host.ends, "end of output")
    assert bytes(host.output[11]) == b"early\nlate\n"


def test_a_number_in_use_is_refused_until_it_is_forgotten(host):
    host.spawn(1, "sleep", "1000", stdout=11)
    for proc, streams in (
        (1, {}),
        (2, {"stdout": 11}),
        (2, {"stdin": 12, "stdout": 12}),
        (2, {"stderr": 11}),
    ):
        with pytest.raises(Refused) as refused:
            host.spawn(proc, "true", **streams)
        assert refused.value.errno == errno.EEXIST
    with pytest.raises(Refused) as refused:
        host.ask("forget", proc=1)
    assert refused.value.errno == errno.EBUSY
    host.ask("signal", proc=1, signal=9)
    host.wait(1)
    host.ask("forget", proc=1)
    assert host.run(1, "true")[0] == 0


def test_hundreds_of_processes_come_and_go(host):
    for proc in range(1, 301):
        host.post_spawn(proc, "echo", str(proc), stdout=proc * 10)
    for proc in range(1, 301):
        assert host.read_to_end(proc * 10) == f"{proc}\n".encode()
        assert host.wait(proc) == 0
        host.ask("forget", proc=proc)
    assert host.ask("ps", container="")["processes"][0]["pid"] == 1
