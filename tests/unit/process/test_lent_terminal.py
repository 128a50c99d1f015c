"""A terminal of this program, lent to a process: a pty is both, and the fake agent's processes are real."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator

import pytest

from firkin.agent import AgentClient
from firkin.process.lent_terminal import LentTerminal
from firkin.process.relay import Relays
from firkin.process.spec import TerminalSize
from firkin.testing.check_agent import shell
from firkin.testing.fake_agent import fake_machine
from firkin.wire.messages import Terminal


class Window:
    """A terminal, and the person in front of it."""

    def __init__(self) -> None:
        self.person, self.fd = os.openpty()
        self.resize(30, 100)

    def resize(self, rows: int, cols: int) -> None:
        fcntl.ioctl(self.person, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def modes(self) -> list[object]:
        return termios.tcgetattr(self.fd)

    async def until(self, text: str) -> str:
        seen = ""
        while text not in seen:
            seen += (await asyncio.to_thread(os.read, self.person, 4096)).decode()
        return seen

    def tied(self) -> dict[str, int]:
        return {name: os.dup(self.fd) for name in ("stdin", "stdout")}


@pytest.fixture
def window() -> Iterator[Window]:
    window = Window()
    yield window
    os.close(window.person)
    os.close(window.fd)


SCRIPT = "stty size; while test \"$(stty size)\" != '50 132'; do sleep 0.05; done; echo resized; cat; exit 7"


async def test_keys_pass_unseen_sizes_are_followed_and_it_is_given_back_as_it_was(window: Window) -> None:
    before = window.modes()
    async with fake_machine() as (_, sock), await AgentClient.open(sock, "m") as client:
        await client.start()
        spawn = shell("trap 'echo caught; exit 7' INT; " + SCRIPT, terminal=Terminal(rows=30, cols=100))
        process = await client.spawn(spawn, stdin=True)
        fds = window.tied()
        relays = Relays(fds, "it", LentTerminal.found(fds), TerminalSize(30, 100))
        rest = relays.begin(process)
        assert window.modes() != before
        await window.until("30 100")
        window.resize(50, 132)
        await window.until("resized")
        os.write(window.person, b"\x03")  # is no signal for this program
        await window.until("caught")
        assert (await rest.wait()).code == 7
        await relays.settled()
    assert window.modes() == before


async def test_it_is_given_back_when_nobody_copies_any_more_and_when_the_machine_is_gone(
    window: Window,
) -> None:
    before = window.modes()
    for end in ("copying", "machine"):
        async with fake_machine() as (_, sock), await AgentClient.open(sock, "m") as client:
            await client.start()
            process = await client.spawn(shell("echo up; cat", terminal=Terminal(rows=1, cols=1)), stdin=True)
            fds = window.tied()
            relays = Relays(fds, "it", LentTerminal.found(fds))
            relays.begin(process)
            await window.until("up")
            assert window.modes() != before
            if end == "copying":
                await process.signal(9)
                await relays.end()
                assert window.modes() == before
        await relays.end()
        assert window.modes() == before


def test_it_is_given_back_at_the_end_of_a_program_that_forgot_it(window: Window) -> None:
    before = window.modes()
    forgets = (
        "from firkin.process.lent_terminal import LentTerminal\n"
        "LentTerminal.found({'stdin': 0}).begin(None, None)\n"
        "import termios; print(termios.tcgetattr(0)[3] & termios.ICANON)\n"
        "raise SystemExit(3)"
    )
    done = subprocess.run([sys.executable, "-c", forgets], stdin=window.fd, stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (3, b"0\n")
    assert window.modes() == before


def test_what_is_no_terminal_is_not_lent() -> None:
    with open("/dev/null", "rb") as nothing:
        assert LentTerminal.found({"stdin": nothing.fileno()}) is None
