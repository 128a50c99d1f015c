"""The process that compares a container's files in namespaces with its image's: root of the storage
namespace, in which it was started.

    stdin: a Job     stdout: lines of changes, or a layer     stderr: where it fails, why, as tree_job.Failed

It only reads.
"""

from __future__ import annotations

import os
import sys

import msgspec

from firkin.errors import FirkinError
from firkin.rootfs.tree_job import Failed
from firkin.snapshot.tree_compare import Job
from firkin.snapshot.tree_diff import Files, Overlaid, Plain, changes
from firkin.snapshot.tree_layer import Ids, tree_layer

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def main() -> int:
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    failed: Failed
    try:
        _answer(job)
    except FirkinError as error:
        failed = Failed(type(error).__name__, str(error), error.hint)
    except BrokenPipeError:
        return 1  # nobody listens any more
    except OSError as error:
        failed = Failed("", error.strerror or str(error), number=error.errno or 0)
    else:
        return 0
    sys.stderr.buffer.write(msgspec.json.encode(failed))
    return 1


def _answer(job: Job) -> None:
    lower_fd, upper_fd = os.open(job.lower, _DIRECTORY), os.open(job.upper, _DIRECTORY)
    files: Files = Overlaid(upper_fd, lower_fd, fuse=job.fuse) if job.overlaid else Plain(upper_fd)
    found = changes(lower_fd, files, apart_from=job.apart_from)
    out = sys.stdout.buffer
    if job.layer:
        for piece in tree_layer(found, upper_fd, Ids(job.id_map, job.ours)):
            out.write(piece)
    else:
        for kind, path in found:
            out.write(msgspec.json.encode((kind, os.fsencode(path))) + b"\n")
    out.flush()


if __name__ == "__main__":
    sys.exit(main())
