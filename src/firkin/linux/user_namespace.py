"""User namespaces: made, mapped and entered.

The rule: a namespace that is returned has its map. Whoever has its descriptor may enter it, as long as the
descriptor is open; no process need be in it.

    create ──fork──► child: unshare(CLONE_NEWUSER), waits      map: that child's uid_map and gid_map, by us
       │               ▲                                       where the kernel lets us, else by newuidmap
       └─ map, open ───┘ killed: the descriptor keeps it       and newgidmap, which are root's
"""

from __future__ import annotations

import errno
import os
import signal
import struct
from collections.abc import Callable

from firkin.errors import HostUnsupported
from firkin.faults import ids
from firkin.linux.fork import fork
from firkin.linux.id_map import IdMap, IdRanges
from firkin.linux.idmap_programs import Program, found
from firkin.linux.mounts import CLONE_NEWNS, CLONE_NEWUSER, MS_PRIVATE, MS_REC, mount, unshare
from firkin.linux.syscalls import PR_GET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, checked, libc, prctl
from firkin.linux.userns_denied import Denials, denier

_DEADLINE_S = 30.0
_ERRNO = struct.Struct("=i")


def create(id_map: IdMap) -> int:
    """A new user namespace with that map: a descriptor, which the caller owns. Raises HostUnsupported."""
    libc()  # loaded here: a forked child must not
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    parent = os.getpid()
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # none is for the child
    try:
        pid = fork()
        if pid == 0:
            _be_mapped(write_fd, parent)
    except OSError as error:
        os.close(read_fd)
        raise refused("fork", error.errno or 0) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        os.close(write_fd)
    try:
        with open(read_fd, "rb", buffering=0) as report:
            said = report.read(_ERRNO.size)
        number = _ERRNO.unpack(said)[0] if said else errno.ECHILD
        if number:
            raise refused("unshare", number)
        write_map(pid, id_map)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def write_map(pid: int, id_map: IdMap) -> None:
    """Give the user namespace of `pid`, our own child that has just made it, its map.

    Root writes it, a user what the kernel lets him: his own ids alone, with setgroups(2) denied; the rest do
    newuidmap and newgidmap. Raises HostUnsupported.
    """
    own_uid, own_gid = os.geteuid(), os.getegid()
    if own_uid == 0 or _is_own(id_map.gids, own_gid):
        if own_uid:
            _write(pid, "setgroups", "deny")
        _write(pid, "gid_map", id_map.gids.lines)
    else:
        _ask("newgidmap", pid, id_map.gids)
    if own_uid == 0 or _is_own(id_map.uids, own_uid):
        _write(pid, "uid_map", id_map.uids.lines)
    else:
        _ask("newuidmap", pid, id_map.uids)


def enter(namespace_fd: int, uid: int = 0, gid: int = 0) -> None:
    """Go into a user namespace of this user's, as an id of its own with every right in it.

    For a process of one thread, a forked child that is about to exec. Raises OSError.
    """
    checked("setns", libc().setns(namespace_fd, CLONE_NEWUSER))
    try:
        os.setgroups(())
    except PermissionError:
        pass  # denied with the map of a user's own group: nobody can leave his groups there
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def entered_with_mounts(namespace_fd: int) -> Callable[[], None]:
    """What a forked child calls to be root there, with mounts that nobody else sees."""

    def enter_both() -> None:
        enter(namespace_fd)
        unshare(CLONE_NEWNS)
        mount("none", "/", flags=MS_REC | MS_PRIVATE)

    return enter_both


def _be_mapped(report_fd: int, parent: int) -> None:
    """The child's whole life: it is there until it is killed. Never returns."""
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        number = 0
        try:
            unshare(CLONE_NEWUSER)
        except OSError as error:
            number = error.errno or errno.EPERM
        os.write(report_fd, _ERRNO.pack(number))
        while os.getppid() == parent:
            signal.pause()
    finally:
        os._exit(0)


def _is_own(ranges: IdRanges, own: int) -> bool:
    return ranges.count == 1 and ranges.ranges[0].outside == own


def _write(pid: int, name: str, text: str) -> None:
    try:
        fd = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)
    except OSError as error:
        shown = " ".join(text.split("\n")).strip()
        raise HostUnsupported(
            f"cannot write {shown!r} to {name} of a user namespace: {error.strerror}",
            hint="the namespace that we are in lacks these ids; `cat /proc/self/uid_map` shows those it has"
            if error.errno == errno.EPERM and os.geteuid() == 0
            else denier(name, error.errno or 0, Denials.here()).hint(),
        ) from error


def _ask(name: str, pid: int, ranges: IdRanges) -> None:
    """Have the program write the map. Raises HostUnsupported."""
    import subprocess  # 10 ms, on the way of a start

    path = found(name)
    if not path:
        raise HostUnsupported(
            f"cannot map the ids {ranges}: {name} is not installed", hint=ids.IDMAP_MISSING.hint()
        )
    numbers = [str(n) for each in ranges.ranges for n in (each.inside, each.outside, each.count)]
    try:
        done = subprocess.run(
            [path, str(pid), *numbers],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_DEADLINE_S,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostUnsupported(
            f"cannot map the ids {ranges}: {path}: {error}", hint=ids.IDMAP_POWERLESS.hint(path=path)
        ) from error
    if done.returncode:
        said = done.stderr[-500:].decode(errors="replace").strip()
        raise HostUnsupported(f"cannot map the ids {ranges}: {said}", hint=_why(name, path, said))


def _why(name: str, path: str, said: str) -> str:
    """The fault that made newuidmap or newgidmap fail, as a hint."""
    program = Program.at(name, path)
    if prctl(PR_GET_NO_NEW_PRIVS):
        return ids.NO_NEW_PRIVS.hint()
    if program.nosuid:
        return ids.IDMAP_NOSUID.hint(path=path)
    if not (program.setuid or program.capable):
        return ids.IDMAP_POWERLESS.hint(path=path)
    if "not allowed" in said:
        return ids.SUBIDS_MISSING.hint()
    return denier(name, errno.EPERM, Denials.here()).hint()


def refused(step: str, number: int) -> HostUnsupported:
    """Why there is no user namespace, or why it gives no rights: `step` is what answered the errno.

    ENOSPC is a limit that is reached, EPERM that somebody denies it.
    """
    if number in (errno.ENOSPC, errno.EUSERS):
        fault, words = ids.USERNS_LIMITED, {"sysctl": "user.max_user_namespaces"}
    elif number == errno.EINVAL:
        fault, words = ids.USERNS_ABSENT, {}
    else:
        fault, words = denier(step, number, Denials.here()), {}
    return HostUnsupported(
        f"cannot use a user namespace: {step}: {os.strerror(number)}: {fault.title}", hint=fault.hint(**words)
    )
