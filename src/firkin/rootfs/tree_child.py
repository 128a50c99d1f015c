"""The process that makes a tree of files: root of the storage namespace, in which it was started.

    stdin: a Job            stdout: lines of Progress, then Made or Failed

Whatever it leaves when it fails or is killed lies in the directory that it was given, for whoever started it.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from typing import BinaryIO

import msgspec

from firkin.errors import FirkinError
from firkin.events import Event, subscribed
from firkin.linux.syscalls import checked, libc
from firkin.oci.digest import Digest
from firkin.rootfs.apply import apply
from firkin.rootfs.materialise import Materials
from firkin.rootfs.owners import Owners
from firkin.rootfs.spool import Spool
from firkin.rootfs.tree import Tree
from firkin.rootfs.tree_job import Answer, Failed, Job, Made, Progress

_MOST_NAMES = 4 << 20
_PROGRESS_S = 0.05
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def main() -> None:
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    try:
        _say(_made(job))
    except FirkinError as error:
        _say(Failed(type(error).__name__, str(error), error.hint))
    except OSError as error:
        _say(Failed("", error.strerror or str(error), number=error.errno or 0))


def _made(job: Job) -> Made:
    os.mkdir("spool", 0o700, dir_fd=job.fd)
    os.mkdir("root", 0o700, dir_fd=job.fd)
    spool_fd = os.open("spool", _DIRECTORY, dir_fd=job.fd)
    root_fd = os.open("root", _DIRECTORY, dir_fd=job.fd)
    paths = {each.digest: each.path for each in job.layers}

    def open_blob(digest: Digest) -> BinaryIO:
        return open(paths[str(digest)], "rb")

    tree, spool = Tree(_MOST_NAMES), Spool(spool_fd)
    with subscribed(_Teller()):
        apply([each.layer for each in job.layers], open_blob, tree, spool, job.limit_bytes)
    materials = Materials(spool, Owners(job.id_map, job.ours), devices=job.devices)
    materials.check(tree.root)
    materials.build(tree.root, root_fd)
    for left in os.listdir(spool_fd):
        os.unlink(left, dir_fd=spool_fd)
    os.rmdir("spool", dir_fd=job.fd)
    checked("syncfs", libc().syncfs(ctypes.c_int(job.fd)))
    return Made(tree.names, tuple(materials.left_out), materials.left_out_count)


class _Teller:
    """Says how far it is, not too often."""

    def __init__(self) -> None:
        self._next = 0.0

    def __call__(self, event: Event) -> None:
        if event.name == "rootfs.progress" and (now := time.monotonic()) >= self._next:
            self._next = now + _PROGRESS_S
            _say(Progress(event.fields["done"], event.fields["total"]))


def _say(answer: Answer) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
