"""A person at a terminal with `firkin run -it`: sizes, keys, leaving and coming back."""

from __future__ import annotations

import sys

import pytest

from firkin.pytest.command import FIRKIN, Command
from firkin.pytest.home import Home
from tests.machine.cli_terminal import on_terminal

pytestmark = pytest.mark.machine


def test_one_can_leave_a_terminal_and_come_back_to_it(busybox: Command, home: Home) -> None:
    environ = home.environ() | {"TERM": "xterm"}
    with on_terminal([*FIRKIN, "run", "-it", "--name", "sh", "busybox"], environ, rows=30, columns=100) as at:
        at.until("/ # ")
        at.type("stty size\r")
        at.until("30 100")
        at.resize(50, 132)
        at.type("while test \"$(stty size)\" != '50 132'; do :; done; echo resiz''ed\r")
        at.until("resized")
        at.type("sh -c 'echo star\"\"ted; exec cat'\r")
        at.until("started")  # said by the job: busybox's own shell may lose a ^C while it starts one
        at.type("\x03")
        at.until("/ # ")
        at.type("remembered=yes\r\x10\x11")
        at.until("firkin: left container sh running")
        assert at.wait() == 0
    assert busybox("ps", "--format", "{{.Names}} {{.State}}").stdout == "sh running\n"
    with on_terminal([*FIRKIN, "attach", "sh"], environ, rows=20, columns=70) as at:
        at.type("while test \"$(stty size)\" != '20 70'; do :; done; echo $remembered again\r")
        at.until("yes again")
        at.type("exit 7\r")
        assert at.wait() == 7
    assert busybox("wait", "sh").stdout == "7\n"
    assert busybox("rm", "sh").status == 0


def test_a_terminal_with_rm_leaves_nothing(busybox: Command, home: Home) -> None:
    with on_terminal([*FIRKIN, "run", "-it", "--rm", "busybox"], home.environ() | {"TERM": "xterm"}) as at:
        at.until("/ # ")
        at.type("exit 3\r")
        assert at.wait() == 3
    assert busybox("ps", "-aq").stdout == ""


def test_a_command_that_is_not_there_is_said_on_a_cooked_terminal(busybox: Command, home: Home) -> None:
    with on_terminal([*FIRKIN, "run", "-it", "--rm", "busybox", "nosuch"], home.environ()) as at:
        at.until("firkin: command not found in container: 'nosuch'\r\n")
        assert at.wait() == 127
    assert busybox("ps", "-aq").stdout == ""


def test_ctrl_c_while_a_terminal_s_machine_starts_ends_it(busybox: Command, home: Home) -> None:
    argv = [*FIRKIN, "--debug", "run", "-it", "--rm", "busybox"]
    with on_terminal(argv, home.environ()) as at:
        at.until("- rootfs|< rootfs")
        at.type("\x03")
        assert at.wait() == 130
    assert busybox("ps", "-aq").stdout == ""


def test_exec_can_have_a_terminal_of_its_own(busybox: Command, home: Home) -> None:
    busybox("run", "-d", "--name", "web", "busybox", "sleep", "1000", check=True)
    with on_terminal([*FIRKIN, "exec", "-it", "web", "sh"], home.environ(), rows=33, columns=99) as at:
        at.until("/ # ")
        at.type("stty size; tty\r")
        at.until("33 99")
        at.until("/dev/pts/0")
        at.type("exit 5\r")
        assert at.wait() == 5
    assert busybox("rm", "-f", "web").status == 0


def test_a_program_lends_its_terminal_to_a_container_and_has_it_back(busybox: Command, home: Home) -> None:
    program = (
        "import firkin\n"
        "ended = firkin.run('busybox', ['sh'], terminal=True, stdin=None, stdout=None)\n"
        "print('it said', ended.status.status, repr(ended.stdout))"
    )
    argv = [sys.executable, "-c", program]
    with on_terminal(argv, home.environ() | {"TERM": "xterm"}, rows=30, columns=100) as at:
        before = at.modes()
        at.until("/ # ")
        at.type("stty size\r")
        at.until("30 100")
        at.resize(50, 132)
        at.type("while test \"$(stty size)\" != '50 132'; do :; done; echo resiz''ed\r")
        at.until("resized")
        at.type("sh -c 'echo star\"\"ted; exec cat'\r")
        at.until("started")
        at.type("\x03")
        at.until("/ # ")
        at.type("exit 7\r")
        at.until("it said 7 b''")
        assert at.modes() == before
        assert at.wait() == 0
