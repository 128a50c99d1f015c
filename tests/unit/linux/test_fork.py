"""Starting programs: what they get, what they do not get, and what comes back when they cannot start."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from firkin.linux import fork, landlock
from firkin.linux.credentials import CAP_NET_BIND_SERVICE, can_become, unprivileged
from firkin.linux.landlock import EXECUTE, READ, READ_FILE, Rule
from firkin.linux.sink import Sink

SYSTEM = tuple(Rule(path, READ | EXECUTE) for path in ("/usr", "/bin", "/lib", "/lib64"))


@pytest.fixture
def output() -> Iterator[Sink]:
    sink = Sink("output")
    yield sink
    sink.close()


def run(output: Sink, script: str, **more: object) -> int:
    """The exit status of a shell script, its output in `output`."""
    null_fd = os.open(os.devnull, os.O_RDWR)
    try:
        argv = ["/bin/sh", "-c", script]
        launch = fork.Launch(argv, {"PATH": "/usr/bin:/bin"}, null_fd, output.fd, output.fd, **more)  # type: ignore[arg-type]
        pid, pidfd = fork.start(launch)
    finally:
        os.close(null_fd)
    os.close(pidfd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_program_gets_the_named_descriptors_and_no_other(output: Sink, tmp_path: Path) -> None:
    given, secret = (os.open(tmp_path, os.O_RDONLY) for _ in range(2))
    os.set_inheritable(secret, True)
    assert run(output, "ls /proc/$$/fd", fds=(given,)) == 0
    assert set(output.text().split()) == {"0", "1", "2", str(given)}
    os.close(given)
    os.close(secret)


def test_a_program_that_is_not_there_is_an_error_and_no_process(output: Sink) -> None:
    children = Path("/proc/thread-self/children")  # other tests' servers may be among them
    before = children.read_text()
    null_fd = os.open(os.devnull, os.O_RDWR)
    with pytest.raises(FileNotFoundError):
        fork.start(fork.Launch(["/nowhere/qemu"], {}, null_fd, null_fd, null_fd))
    os.close(null_fd)
    assert children.read_text() == before


def test_signals_that_we_ignore_or_block_are_the_programs_again(output: Sink) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        assert run(output, "kill -TERM $$") == -signal.SIGTERM
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGTERM, before)


def test_a_terminals_interrupt_is_not_for_it(output: Sink) -> None:
    assert run(output, 'test "$(cut -d" " -f6 /proc/self/stat)" != ' + str(os.getsid(0))) == 0


def test_no_program_may_gain_privileges(output: Sink) -> None:
    run(output, "grep NoNewPrivs /proc/self/status")
    assert output.text().split() == ["NoNewPrivs:", "1"]


def test_what_prepare_raises_reaches_the_caller(output: Sink) -> None:
    def fail() -> None:
        raise PermissionError(1, "unshare: Operation not permitted")

    with pytest.raises(PermissionError, match="unshare"):
        run(output, "true", prepare=fail)


@pytest.mark.root
def test_a_dropped_program_has_a_uid_of_its_own_and_no_capability(output: Sink) -> None:
    who = unprivileged(7)
    assert can_become(who)
    assert who.uid != unprivileged(8).uid
    run(output, "id -u; id -G; grep -E 'Cap(Prm|Eff|Bnd|Amb)' /proc/self/status", credentials=who)
    uid, groups, *capabilities = output.text().splitlines()
    assert (uid, groups) == (str(who.uid), str(who.gid))
    assert {line.split()[1] for line in capabilities} == {"0" * 16}


@pytest.mark.root
def test_a_dropped_program_may_keep_the_right_to_low_ports(output: Sink) -> None:
    run(
        output,
        "grep CapEff /proc/self/status",
        credentials=unprivileged(7, ambient=1 << CAP_NET_BIND_SERVICE),
    )
    assert int(output.text().split()[1], 16) == 1 << CAP_NET_BIND_SERVICE


@pytest.fixture
def ruleset() -> Iterator[int]:
    if landlock.abi() == 0:
        pytest.skip("this kernel has no Landlock")
    fd = landlock.create_ruleset(landlock.abi(), SYSTEM)
    yield fd
    os.close(fd)


def test_a_confined_program_opens_only_what_its_rules_name(
    output: Sink, tmp_path: Path, ruleset: int
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    assert run(output, f"cat {secret}", landlock_fd=ruleset) != 0
    assert run(output, f"echo x > {tmp_path}/new", landlock_fd=ruleset) != 0
    assert "secret" not in output.text().replace(str(secret), "")
    assert not (tmp_path / "new").exists()
    fd = landlock.create_ruleset(landlock.abi(), (*SYSTEM, Rule(str(secret), READ_FILE)))
    assert run(output, f"cat {secret} && ! echo x > {secret}", landlock_fd=fd) == 0
    os.close(fd)


def test_a_confined_program_makes_no_tcp_connection(output: Sink) -> None:
    if landlock.abi() < 4:
        pytest.skip("this kernel's Landlock knows no network")
    fd = landlock.create_ruleset(landlock.abi(), SYSTEM, handled_tcp=landlock.BIND_TCP | landlock.CONNECT_TCP)
    script = "/usr/bin/python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 9))'"
    assert run(output, script, landlock_fd=fd) != 0
    assert "Permission denied" in output.text()
    os.close(fd)


def test_a_rule_for_what_is_not_there_allows_nothing_and_breaks_nothing() -> None:
    if landlock.abi():
        os.close(landlock.create_ruleset(landlock.abi(), [Rule("/nowhere", READ)]))


def test_a_sink_keeps_the_beginning_of_a_flood_and_stops_nobody(output: Sink) -> None:
    assert run(output, "yes flood | head -c 1000000 >&2; echo done; exit 3") == 3
    assert output.text().startswith("flood\nflood")
