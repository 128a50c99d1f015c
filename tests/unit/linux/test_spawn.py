"""A program that is spawned has what it was given, and nothing else of ours."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from firkin.linux import spawn

SHOW = (
    "ls /proc/$$/fd; cat /proc/$$/fd/{given}; echo $HELD$HOME; ps -o sid= -p $$ | grep -qw $$ && echo leads;"
    "grep -E 'SigIgn|SigBlk' /proc/self/status; echo err >&2"
)


def test_it_gets_its_streams_its_descriptors_and_a_session_of_its_own(tmp_path: Path) -> None:
    said, erred = (os.open(tmp_path / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC) for name in ("out", "err"))
    null, given, kept = os.open(os.devnull, os.O_RDONLY), os.memfd_create("given"), os.memfd_create("kept")
    os.write(given, b"from us\n")
    os.lseek(given, 0, os.SEEK_SET)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    try:
        pid, pidfd = spawn.start(
            spawn.Spawn(
                argv=("/bin/sh", "-c", SHOW.format(given=given)),
                env={"HELD": "held", "PATH": "/usr/bin:/bin"},
                stdin_fd=null,
                stdout_fd=said,
                stderr_fd=erred,
                fds=(given,),
            )
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    words = (tmp_path / "out").read_text().split()
    assert {"0", "1", "2", str(given)} <= set(words)
    assert str(kept) not in words[: words.index("from")]
    assert words[words.index("from") :][:4] == ["from", "us", "held", "leads"]
    masks = dict(zip(words[-4::2], words[-3::2], strict=True))
    assert int(masks["SigBlk:"], 16) & 1 << signal.SIGUSR1 - 1 == 0
    assert int(masks["SigIgn:"], 16) & 1 << signal.SIGPIPE - 1 == 0, "Python ignores it"
    assert (tmp_path / "err").read_text() == "err\n"
    for fd in (said, erred, null, given, kept, pidfd):
        os.close(fd)


def test_a_program_that_is_not_there_is_told() -> None:
    with pytest.raises(FileNotFoundError):
        spawn.start(spawn.Spawn(argv=("/nowhere/at/all",), env={}, stdin_fd=0, stdout_fd=1, stderr_fd=2))
