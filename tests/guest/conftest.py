"""The agent itself, as PID 1 of namespaces, without a machine.

serving   starts an agent on a socket and gives the host's end
host      a session with an agent of this test's own
box       a container root of busybox, as a directory; box.container(host, ...) makes a container of it
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hatch_build import build_agent
from tests.guest.driver import Host, agent

_BUSYBOX = Path("/bin/busybox")
_PASSWD = (
    "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000:Ann:/home/ann:/bin/sh\nnot a line\nbob:x:1001:7:::\n"
)
_GROUP = "root:x:0:\nann:x:1000:\nwheel:x:10:bob,ann\naudio:x:29:ann\nvideo:x:44:annabel\nann2:x:1000:ann\n"


@pytest.fixture(scope="session", autouse=True)
def _built() -> None:
    """The agent is the one that this checkout's sources make."""
    build_agent()


@pytest.fixture(scope="session")
def namespaces() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to give the agent namespaces with more than one user in them")
    probe = subprocess.run(
        ["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True, text=True
    )
    if probe.returncode != 0:
        pytest.skip(f"no namespaces here: {probe.stderr.strip()}")


@pytest.fixture
def serving(namespaces: None) -> Iterator[Callable[[], socket.socket]]:
    with ExitStack() as stack:

        def start() -> socket.socket:
            ours, theirs = socket.socketpair()
            stack.enter_context(ours)
            stack.enter_context(agent(theirs))
            theirs.close()
            return ours

        yield start


@pytest.fixture
def host(serving: Callable[[], socket.socket]) -> Host:
    session = Host(serving())
    session.sync()
    return session


@dataclass
class Box:
    root: Path

    def container(self, host: Host, name: str = "c1", **fields: Any) -> str:
        device = {"device": str(self.root), "fstype": "bind", "readonly": fields.pop("readonly", False)}
        host.ask("container", **{"container": name, "root": device, "hostname": "box", **fields})
        return name

    def running(self, host: Host, name: str = "c1", **fields: Any) -> str:
        """A container whose first process, proc 1, waits for a signal."""
        self.container(host, name, **fields)
        host.spawn(1, "sleep", "1000", container=name)
        return name


@pytest.fixture
def box(tmp_path: Path) -> Box:
    if not _BUSYBOX.exists():
        pytest.skip("no busybox: apt install busybox-static")
    root = tmp_path / "root"
    for directory in ("bin", "etc", "home/ann", "tmp"):
        (root / directory).mkdir(parents=True)
    shutil.copy(_BUSYBOX, root / "bin/busybox")
    applets = subprocess.run([_BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text(_PASSWD)
    (root / "etc/group").write_text(_GROUP)
    return Box(root)
