"""The process that tries an overlay: root of a user namespace, with mounts of its own.

It mounts one in the directory that is its first argument, by the program that is its second ("": by the
kernel), removes what lies below, and puts a new directory in the place of one: what a container does all the
time. Exit status 0: it works; else what failed is on stderr.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

from firkin.linux.mounts import MS_NODEV, MS_NOSUID, mount

_LAYERS = "lowerdir=lower,upperdir=upper,workdir=work"
_DEADLINE_S = 20.0


def main(directory: str, program: str) -> str:
    os.chdir(directory)
    if not program:
        return _tried(_mount)
    with subprocess.Popen([program, "-f", "-o", _LAYERS, "merged"], stderr=subprocess.DEVNULL) as fuse:
        try:
            return _tried(lambda: _await(fuse, program))
        finally:
            fuse.kill()


def _tried(mount_it: Callable[[], object]) -> str:
    steps = (
        ("mount", mount_it),
        ("write", lambda: open("merged/written", "w").close()),
        ("remove", lambda: os.unlink("merged/removed")),
        ("replace", _replace),
    )
    for word, step in steps:
        try:
            step()
        except OSError as error:
            return f"{word}: {error.strerror}"
    gone = not os.path.exists("merged/removed")
    return "" if gone and os.listdir("merged/replaced") == [] else "what was removed is still seen"


def _mount() -> None:
    mount("firkin", "merged", "overlay", MS_NODEV | MS_NOSUID, f"{_LAYERS},userxattr")


def _await(fuse: subprocess.Popen[bytes], program: str) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not os.path.ismount("merged"):
        if fuse.poll() is not None or time.monotonic() > deadline:
            raise OSError(0, f"{program} mounts nothing")
        time.sleep(0.002)


def _replace() -> None:
    os.rmdir("merged/replaced")
    os.mkdir("merged/replaced")


if __name__ == "__main__":
    failed = main(*sys.argv[1:])
    sys.stderr.write(failed)
    sys.exit(1 if failed else 0)
