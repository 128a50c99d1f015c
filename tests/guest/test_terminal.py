"""Controlling terminals: pty(7) of the container's own, with a size, job control and an end."""

from __future__ import annotations

import errno

import pytest

from tests.guest.driver import Refused


def start(host, *args, rows=24, cols=80, **fields):
    host.spawn(1, *args, stdin=10, stdout=11, terminal={"rows": rows, "cols": cols}, **fields)


def expect(host, wanted):
    host.until(lambda: wanted in host.output[11], f"{wanted!r} in {bytes(host.output[11])!r}")


def test_the_program_sees_a_controlling_terminal_of_the_size_asked_for(host, box):
    box.container(host)
    script = "tty; stty size; ls -l /dev/console; echo controlling > /dev/tty"
    start(host, "sh", "-c", script, rows=33, cols=99, container="c1")
    out = host.read_to_end(11)
    assert out.startswith(b"/dev/pts/0\r\n")
    assert out.endswith(b"controlling\r\n")
    assert b"33 99\r\n" in out
    assert b"136,   0" in out  # /dev/console is that terminal
    assert host.wait(1) == 0


def test_a_resize_reaches_the_program(host):
    start(host, "sh", "-c", "trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done")
    expect(host, b"ready")
    host.ask("resize", proc=1, rows=50, cols=120)
    expect(host, b"50 120")


def test_what_is_typed_is_echoed_and_interrupts(host):
    start(
        host,
        "sh",
        "-c",
        "trap 'echo caught; exit 4' INT; echo ready; read line; echo got $line; while :; do sleep 0.05; done",
    )
    expect(host, b"ready")
    host.write(10, b"hello\n")
    expect(host, b"hello\r\ngot hello")
    host.write(10, b"\x03")
    assert host.wait(1) == 4
    assert host.read_to_end(11).endswith(b"caught\r\n")


@pytest.mark.parametrize("typed", [b"", b"a line\n", b"an open line"])
def test_the_end_of_input_is_the_end_of_file(host, typed):
    start(host, "sh", "-c", "stty -echo; echo ready; cat; echo ended")
    expect(host, b"ready")
    host.write(10, typed)
    host.end(10)
    assert host.read_to_end(11).replace(b"\r", b"") == b"ready\n" + typed + b"ended\n"
    assert host.wait(1) == 0


def test_output_of_a_terminal_is_whole_though_its_program_ends_at_once(host):
    start(host, "sh", "-c", "i=0; while [ $i -lt 5000 ]; do echo line $i; i=$((i+1)); done")
    assert host.read_to_end(11).replace(b"\r", b"") == b"".join(
        b"line %d\n" % number for number in range(5000)
    )


def test_the_terminal_belongs_to_the_user(host, box):
    box.container(host)
    start(host, "sh", "-c", "echo x > /dev/stdout; echo y > /dev/tty; id -u", user="ann", container="c1")
    assert host.read_to_end(11) == b"x\r\ny\r\n1000\r\n"


def test_a_second_terminal_is_of_the_same_container(host, box):
    box.running(host)
    host.spawn(2, "tty", container="c1", stdin=20, stdout=21, terminal={"rows": 1, "cols": 1})
    assert host.read_to_end(21) == b"/dev/pts/0\r\n"


def test_a_process_without_a_terminal_has_no_size(host):
    host.spawn(1, "sleep", "1000")
    with pytest.raises(Refused) as refused:
        host.ask("resize", proc=1, rows=1, cols=1)
    assert refused.value.errno == errno.ENOTTY


def test_a_terminal_needs_its_two_streams(host):
    for streams in ({"stdin": 10}, {"stdout": 11}, {"stdin": 10, "stdout": 11, "stderr": 12}):
        with pytest.raises(Refused) as refused:
            host.spawn(1, "tty", terminal={"rows": 1, "cols": 1}, **streams)
        assert refused.value.errno == errno.EINVAL
