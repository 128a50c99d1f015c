"""Spawning a program of ours that arranges itself: posix_spawn(3), which copies no page table.

fork.start() is for programs that are to be confined before they run: it costs 2 ms and more, since all memory
of this process is shared with the child meanwhile, and each page that is written then is copied.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence

import msgspec


class Spawn(msgspec.Struct, frozen=True, kw_only=True):
    """A program to start, by an absolute path. It gets standard streams, `fds` under their own numbers, and
    no other descriptor that is closed by exec, as Python's are.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    stdin_fd: int
    stdout_fd: int
    stderr_fd: int
    fds: Sequence[int] = ()


def start(spawn: Spawn) -> tuple[int, int]:
    """Start it as the leader of a session of its own, so that a terminal's ^C is not for it, with signals as
    a program expects them: its pid and pidfd, which the caller owns. Raises OSError.
    """
    streams = (spawn.stdin_fd, spawn.stdout_fd, spawn.stderr_fd)
    pid = os.posix_spawn(
        spawn.argv[0],
        spawn.argv,
        spawn.env,
        file_actions=[
            *((os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(streams)),
            *((os.POSIX_SPAWN_DUP2, fd, fd) for fd in spawn.fds),  # which exec does not close then
        ],
        setsid=True,
        setsigmask=(),
        setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
    )
    return pid, os.pidfd_open(pid)
