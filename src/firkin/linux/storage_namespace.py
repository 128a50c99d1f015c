"""The storage namespace: a user's own, in which are all ids that he may map.

The rule: trees of subordinate ids are made, changed and removed in it, since only its root may. Root of the
host needs none: every id is his already.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from firkin.errors import HostUnsupported, UsageError
from firkin.linux import fork, user_namespace
from firkin.linux.id_map import IdMap
from firkin.linux.id_modes import whole
from firkin.linux.subordinate_ids import Holder

ENVIRONMENT: Mapping[str, str] = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


def storage_map() -> IdMap:
    """Which ids of the host stand behind those in it."""
    return whole(Holder.here())


@contextmanager
def started(
    argv: Sequence[str],
    *,
    stdin_fd: int,
    stdout_fd: int,
    stderr_fd: int = 2,
    fds: Sequence[int] = (),
    env: Mapping[str, str] = ENVIRONMENT,
) -> Iterator[int]:
    """`argv` as the namespace's root: its pid, to be waited for; killed where the block fails before.

    Raises HostUnsupported, OSError.
    """
    namespace_fd = None if os.geteuid() == 0 else user_namespace.create(storage_map())
    try:
        pid, pidfd = fork.start(
            fork.Launch(
                list(argv),
                env,
                stdin_fd,
                stdout_fd,
                stderr_fd,
                fds=fds,
                prepare=None if namespace_fd is None else lambda: user_namespace.enter(namespace_fd),
            )
        )
    finally:
        if namespace_fd is not None:
            os.close(namespace_fd)
    try:
        yield pid
    except BaseException:
        fork.end(pid, pidfd)
        raise
    os.close(pidfd)


def run(argv: Sequence[str]) -> int:
    """`argv` as the namespace's root, to its end, without input and unheard: its exit status, -N by signal N.

    Raises HostUnsupported, OSError.
    """
    null_fd = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        with started(argv, stdin_fd=null_fd, stdout_fd=null_fd, stderr_fd=null_fd) as pid:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(null_fd)


def give(path: str, uid: int, gid: int) -> None:
    """Give `path` and all below it to those ids of the host. Links are changed themselves, and none is
    followed, whoever changes the tree meanwhile. Raises UsageError for an id that this user may not map,
    HostUnsupported.
    """
    ours = storage_map()
    inside = ours.uids.inside(uid), ours.gids.inside(gid)
    if None in inside:
        raise UsageError(
            f"cannot give {path} to {uid}:{gid}: these ids are not among those that this user may map",
            hint="`firkin doctor --only subordinate-ids` says how to have more",
        )
    require(["/bin/chown", "-hRP", "--", f"{inside[0]}:{inside[1]}", path], f"give {path} to {uid}:{gid}")


def require(argv: Sequence[str], what: str) -> None:
    """As run(). Raises HostUnsupported where it fails, with what it said; `what` is what was to be done."""
    complaint_fd = os.memfd_create("complaint", os.MFD_CLOEXEC)
    with open(complaint_fd, "rb") as complaint, open(os.devnull, "r+b") as null:
        try:
            started_it = started(
                argv, stdin_fd=null.fileno(), stdout_fd=null.fileno(), stderr_fd=complaint_fd
            )
            with started_it as pid:
                status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        except OSError as error:
            raise HostUnsupported(
                f"cannot {what}: {error.strerror}", hint="`firkin doctor` looks at this host"
            ) from error
        if status:
            complaint.seek(0)
            said = complaint.read(4096).decode(errors="backslashreplace").strip().partition("\n")[0]
            raise HostUnsupported(
                f"cannot {what}: {said or f'exit status {status}'}",
                hint="`firkin unshare ls -ln` shows whose it is; what is another user's stays his",
            )
