"""Starting a program with exactly the descriptors, the credentials and the walls that it is to have.

The rule: everything is prepared in the parent, the child between fork and exec only enters it. What fails
there comes back to the caller as an OSError, before anything else happens.
"""

from __future__ import annotations

import os
import signal
import struct
import warnings
from collections.abc import Callable, Mapping, Sequence

import msgspec

from firkin.linux import credentials as credentials_of
from firkin.linux import landlock, seccomp
from firkin.linux.credentials import Credentials
from firkin.linux.syscalls import PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, libc, prctl, set_cloexec_from

_ERRNO = struct.Struct("=i")


class Launch(msgspec.Struct, frozen=True):
    """A program to start. It gets standard streams, `fds` under their own numbers, and no other descriptor.

    It is the leader of a session of its own, so that a terminal's ^C is not for it, and stands in /.
    """

    argv: list[str]
    env: Mapping[str, str]
    stdin_fd: int
    stdout_fd: int
    stderr_fd: int
    fds: Sequence[int] = ()
    dies_with_parent: bool = True
    """SIGKILL when the thread that started it ends (PR_SET_PDEATHSIG)."""
    prepare: Callable[[], None] | None = None
    """Called in the child before its rights are dropped: system calls only, no locks, no imports."""
    credentials: Credentials | None = None
    no_new_privs: bool = True
    """Whether no program that it starts gets more rights than it has."""
    landlock_fd: int | None = None
    seccomp_filter: bytes | None = None
    """Entered last: the program's first instruction runs under it."""


def start(launch: Launch) -> tuple[int, int]:
    """Start `launch.argv[0]` (an absolute path): its pid and pidfd, once exec succeeded. The caller owns
    both.

    Raises OSError for what failed in the child before exec, and exec itself.
    """
    libc()  # loaded here: a forked child must not
    report_fd, child_report_fd = os.pipe2(os.O_CLOEXEC)
    parent = os.getpid()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = fork()
        if pid == 0:
            _become(launch, parent, child_report_fd)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        os.close(child_report_fd)
    with open(report_fd, "rb") as report:
        pidfd = os.pidfd_open(pid)
        failure = report.read()
    if failure:
        os.close(pidfd)
        os.waitpid(pid, 0)
        raise OSError(*_ERRNO.unpack_from(failure), failure[_ERRNO.size :].decode())
    return pid, pidfd


def end(pid: int, pidfd: int) -> None:
    """Kill and reap a child that nobody waits for, and close its pidfd."""
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        pass
    os.waitpid(pid, 0)
    os.close(pidfd)


def fork() -> int:
    """fork(2): the child makes system calls and ends, or execs. Raises OSError."""
    with warnings.catch_warnings():
        # Python 3.12 warns of forks beside threads. The child takes no lock: it makes system calls and execs.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _become(launch: Launch, parent: int, report_fd: int) -> None:
    """The child's whole life before exec. Never returns."""
    try:
        _reset_signals()
        os.setsid()
        os.umask(0o077)
        os.chdir("/")
        _arrange_descriptors(launch, report_fd)
        if launch.prepare is not None:
            launch.prepare()
        if launch.credentials is not None:
            credentials_of.drop(launch.credentials)
        if launch.no_new_privs:
            prctl(PR_SET_NO_NEW_PRIVS, 1)
        if launch.dies_with_parent:
            # After the change of uid, which clears it. A parent that is gone already will not send it.
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(127)
        if launch.landlock_fd is not None:
            landlock.restrict_self(launch.landlock_fd)
        if launch.seccomp_filter is not None:
            seccomp.enter(launch.seccomp_filter)
        os.execve(launch.argv[0], launch.argv, launch.env)
    except OSError as error:
        os.write(report_fd, _ERRNO.pack(error.errno or 0) + str(error.strerror).encode())
    finally:
        os._exit(127)


def _reset_signals() -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _arrange_descriptors(launch: Launch, report_fd: int) -> None:
    set_cloexec_from(3)
    streams = [os.dup(fd) for fd in (launch.stdin_fd, launch.stdout_fd, launch.stderr_fd)]
    for number, fd in enumerate(streams):
        os.dup2(fd, number, inheritable=True)
    for fd in launch.fds:
        os.set_inheritable(fd, True)
    os.set_inheritable(report_fd, False)
