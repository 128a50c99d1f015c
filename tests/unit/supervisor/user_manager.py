"""A user's systemd with firkin's units, in namespaces of its own, and a supervisor.

`python -m tests.unit.supervisor.user_manager`, as PID 1 of new mount and pid namespaces, with a home's
variables. Prints JSON; "skip" says why systemd cannot run here. All that it starts ends with it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from firkin.container.locks import holders
from firkin.engine import supervised
from firkin.linux.mounts import MS_PRIVATE, MS_REC, mount, unshare
from firkin.settings import Settings

MANAGER = next(filter(os.path.exists, ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")), "")
_GROUPS = Path("/sys/fs/cgroup")
_NAME = f"firkin-{os.urandom(4).hex()}"
_CLONE_NEWCGROUP = 0x02000000
_DEADLINE_S = 60.0


def main() -> None:
    if os.getpid() != 1:
        sys.exit("only as the first process of a pid namespace: it kills all others")
    settings = Settings.load()
    try:
        above = _make_place()
    except OSError as error:
        print(json.dumps({"skip": f"no control groups of its own: {error}"}))
        return
    try:
        _start_manager(Path(settings.run_dir).parent)
        print(json.dumps(dict(_story(settings))))
    finally:
        _leave_place(above)


def _make_place() -> int:
    """A root of control groups and a /run that no other systemd has; the directory above that root."""
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    mount("tmpfs", "/run", "tmpfs")
    os.makedirs("/run/systemd/system")
    mount("none", str(_GROUPS), "cgroup2")
    above = os.open(_GROUPS, os.O_RDONLY | os.O_DIRECTORY)
    os.mkdir(_NAME, dir_fd=above)
    (_GROUPS / _NAME / "cgroup.procs").write_text("0")
    subprocess.run(["umount", "--lazy", str(_GROUPS)], check=True)
    unshare(_CLONE_NEWCGROUP)  # the group that we are in is the root from now on
    mount("none", str(_GROUPS), "cgroup2")
    return above


def _leave_place(above: int) -> None:
    """Control groups outlive namespaces: they go with all that is in them."""
    os.kill(-1, signal.SIGKILL)  # of this pid namespace, whose first process is spared
    with suppress(ChildProcessError):
        while True:
            os.wait()
    with open("cgroup.procs", "w", opener=lambda path, flags: os.open(path, flags, dir_fd=above)) as procs:
        procs.write("0")
    for group in sorted((each for each in _GROUPS.rglob("*") if each.is_dir()), reverse=True):
        group.rmdir()
    os.rmdir(_NAME, dir_fd=above)


def _start_manager(runtime: Path) -> None:
    """Return when it has started what its default target wants (sd_notify(3))."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(runtime / "told"))
        told.settimeout(_DEADLINE_S)
        log = (runtime / "log").open("w")
        variables = os.environ | {"NOTIFY_SOCKET": str(runtime / "told"), "SYSTEMD_LOG_TARGET": "console"}
        subprocess.Popen([MANAGER, "--user"], env=variables, stdout=log, stderr=log)
        while b"READY=1" not in told.recv(4096):
            pass


def _story(settings: Settings) -> Iterator[tuple[str, object]]:
    def wake() -> int:
        """Ask the supervisor something: its pid."""
        asyncio.run(supervised.wake(settings))
        (pid,) = holders(settings.paths.supervisor_lock_path)
        return pid

    at_boot = _shown("MainPID")
    yield "started at boot", at_boot == wake() != 0
    asyncio.run(supervised.shutdown(settings))
    yield "the socket stays", (_active("firkin.socket"), settings.paths.supervisor_socket_path.exists())
    yield "starts for who asks", (pid := wake()) == _shown("MainPID") != at_boot
    os.kill(pid, 9)
    yield "starts after a crash", wake() == _shown("MainPID") != pid
    _systemctl("stop", "firkin.socket")
    yield "outlives the socket", _shown("MainPID") == wake()
    _systemctl("stop", "firkin.service")
    clients = wake()
    yield "without the socket it is a client's", (_active("firkin.service"), _shown("MainPID"))
    _systemctl("start", "firkin.socket")
    yield (
        "the client's goes on until somebody asks",
        holders(settings.paths.supervisor_lock_path) == [clients],
    )
    yield "gives way to systemd's", wake() == _shown("MainPID") != clients
    mode = settings.paths.supervisor_socket_path.stat().st_mode & 0o777
    yield "mode", f"{mode:o}"
    machine = _in_its_group(_shown("MainPID"))
    _systemctl("stop", "firkin.service")
    yield "a machine outlives the service", machine.poll() is None
    asyncio.run(supervised.shutdown(settings))


def _in_its_group(pid: int) -> subprocess.Popen[bytes]:
    """A process in the control group of the service, as a machine is."""
    machine = subprocess.Popen(["sleep", "1000"])
    group = Path(f"/proc/{pid}/cgroup").read_text().partition("0::")[2].strip()
    Path(f"{_GROUPS}{group}/cgroup.procs").write_text(str(machine.pid))
    return machine


def _systemctl(*words: str) -> str:
    told = subprocess.run(
        ["systemctl", "--user", *words], capture_output=True, text=True, timeout=_DEADLINE_S
    )
    return told.stdout.strip()


def _active(unit: str) -> str:
    return _systemctl("is-active", unit)


def _shown(name: str) -> int:
    return int(_systemctl("show", "--value", "-p", name, "firkin.service"))


if __name__ == "__main__":
    main()
    sys.stdout.flush()
