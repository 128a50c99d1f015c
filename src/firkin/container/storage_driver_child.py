"""The process that tries an overlay: root of a user namespace, with mounts of its own.

It mounts one in the directory that is its argument, removes what lies below, and puts a new directory in the
place of one: what a container does all the time. Exit status 0: it works; else what failed is on stderr.
"""

from __future__ import annotations

import os
import sys

from firkin.linux.mounts import MS_NODEV, MS_NOSUID, mount


def main(directory: str) -> str:
    os.chdir(directory)
    steps = (
        ("mount", _mount),
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
    options = "lowerdir=lower,upperdir=upper,workdir=work,userxattr"
    mount("firkin", "merged", "overlay", MS_NODEV | MS_NOSUID, options)


def _replace() -> None:
    os.rmdir("merged/replaced")
    os.mkdir("merged/replaced")


if __name__ == "__main__":
    failed = main(sys.argv[1])
    sys.stderr.write(failed)
    sys.exit(1 if failed else 0)
