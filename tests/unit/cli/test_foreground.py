"""A process in the foreground owns the streams, the terminal and the signals of the command that runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.machine.cli_terminal import on_terminal

ROOT = Path(__file__).parents[3]
PROGRAM = [sys.executable, "-m", "tests.unit.cli.foreground_program"]


def environ() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "TERM": "xterm"}


def run(*words: str, input: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *words], input=input, capture_output=True, text=True, env=environ(), timeout=60
    )


@contextmanager
def started(*words: str) -> Iterator[subprocess.Popen[str]]:
    """The program, once its process printed `ready`."""
    with subprocess.Popen([*PROGRAM, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, env=environ()) as child:  # fmt: skip
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "ready\n"
            yield child
        finally:
            child.kill()


def test_output_error_input_and_status_are_the_process_s() -> None:
    ended = run("-i", "cat; echo err >&2; exit 7", input="in\n")
    assert (ended.stdout, ended.stderr, ended.returncode) == ("in\n", "err\n", 7)


def test_a_process_that_a_signal_ended_is_128_and_the_signal() -> None:
    assert run("kill -KILL $$").returncode == 137


def test_a_terminal_is_refused_where_standard_input_is_none() -> None:
    ended = run("-i", "-t", "true")
    assert "standard input is not a terminal" in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_passed_on(number: signal.Signals) -> None:
    name = number.name.removeprefix("SIG")
    with started(f"trap 'echo got {name}; exit 9' {name}; echo ready; while :; do sleep 0.05; done") as child:
        child.send_signal(number)
        out, err = child.communicate(timeout=30)
    assert (out, err, child.returncode) == (f"got {name}\n", "", 9)


def test_a_process_that_dies_of_ctrl_c_gives_130() -> None:
    with started("trap 'trap - INT; kill -INT $$' INT; echo ready; while :; do sleep 0.05; done") as child:
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 130


def test_a_second_ctrl_c_ends_what_did_not_hear_the_first() -> None:
    with started("trap '' INT; echo ready; exec sleep 1000") as child:
        child.send_signal(signal.SIGINT)
        assert child.stderr is not None
        assert child.stderr.readline() == "firkin: it has not ended yet\n"
        assert child.stderr.readline() == "  hint: Ctrl-C once more ends it at once\n"
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 130


def test_patience_ends_with_the_process() -> None:
    with started("--patience", "0.2", "trap '' TERM; echo ready; exec sleep 1000") as child:
        child.send_signal(signal.SIGTERM)
        assert child.wait(30) == 143


def test_a_second_ctrl_c_leaves_what_was_only_attached() -> None:
    with started("--attach", "trap '' INT; echo ready; exec sleep 1000") as child:
        child.send_signal(signal.SIGINT)
        assert child.stderr is not None
        assert child.stderr.readline() == "firkin: it has not ended yet\n"
        assert child.stderr.readline() == "  hint: Ctrl-C once more leaves it running\n"
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 130


def test_a_reader_that_went_away_ends_the_process_quietly() -> None:
    ended = subprocess.run(
        ["bash", "-c", '"$@" | head -1; echo ${PIPESTATUS[0]}', "-", *PROGRAM, "yes"],
        capture_output=True, text=True, env=environ(), timeout=60,
    )  # fmt: skip
    assert ended.stdout == "y\n141\n"
    assert ended.stderr == ""


def test_a_terminal_is_raw_has_its_size_and_follows_its_changes() -> None:
    script = "stty size; trap 'stty size' WINCH; echo ready; while read -r line; do echo got $line; done"
    with on_terminal([*PROGRAM, "-i", "-t", script], environ(), rows=30, columns=100) as terminal:
        cooked = terminal.modes()
        terminal.until("30 100.*ready")
        assert terminal.modes() != cooked
        terminal.type("hello\r")
        terminal.until("got hello")
        terminal.resize(50, 132)
        terminal.until("50 132")
        terminal.type("\x04")
        assert terminal.wait() == 0


def test_ctrl_c_at_a_terminal_is_a_key_for_the_process() -> None:
    script = "trap 'echo interrupted' INT; echo ready; while :; do sleep 0.05; done"
    with on_terminal([*PROGRAM, "-i", "-t", script], environ()) as terminal:
        terminal.until("ready")
        terminal.type("\x03")
        terminal.until("interrupted")
        terminal.type("\x10\x11")
        terminal.until("firkin: left it running")
        assert terminal.wait() == 0


def test_the_terminal_is_as_it_was_after_the_detach_keys() -> None:
    with on_terminal(["bash", "--norc"], {**environ(), "PS1": "$ "}) as terminal:
        terminal.until(r"\$ ")
        terminal.type("stty -g\r")
        before = terminal.until(r"[\r\n]([0-9a-f:]{40,})\r\n").group(1)
        terminal.type(" ".join(PROGRAM) + " -i -t 'echo ready; cat'\r")
        terminal.until(r"\rready\r\n")
        terminal.type("\x10\x11")
        terminal.until("left it running")
        terminal.type("stty -g\r")
        assert terminal.until(r"[\r\n]([0-9a-f:]{40,})\r\n").group(1) == before
        terminal.type("exit 0\r")
        assert terminal.wait() == 0
