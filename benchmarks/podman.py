"""podman as a peer: the same root file system, in storage and, where root runs it, in namespaces of its own.

The rule: nothing of it is left on the host: its bridge, its firewall rules, its records and its lock files
go with the namespaces.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Measures, command_times
from benchmarks.place import Place
from tests.support.images import busybox_tar

_IMAGE = "localhost/busybox"
_UNIFIED = "/sys/fs/cgroup/unified"
_NAMESPACE = f"""
for hidden in /run /var/lib; do mount -t tmpfs none $hidden; done
if [ -d {_UNIFIED} ]; then mount -t tmpfs -o size=1m none {_UNIFIED}; fi  # hybrid cgroups, which crun refuses
echo ready
exec cat
"""
_LIMITS = ("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000")
"""podman's own defaults are beyond what a host may allow."""


@dataclass(frozen=True, slots=True)
class Podman:
    """`run("none")` and `run("")`, its default network, each run `true` in a new container."""

    command: tuple[str, ...]
    network: str
    """The default one's name."""
    enter: tuple[str, ...] = ()
    """What brings a command to where podman is run."""

    def run(self, network: str = "") -> Measures:
        chosen = ("--network", network) if network else ()
        return command_times([*self.command, "run", "--rm", *_LIMITS, *chosen, _IMAGE, "true"])

    def create(self) -> Measures:
        """A container without a network, which is not started."""
        return command_times([*self.command, "create", *_LIMITS, "--network", "none", _IMAGE, "true"])

    def exec(self, container: str) -> Measures:
        """`true` in a container that runs."""
        return command_times([*self.command, "exec", container, "true"])

    @contextmanager
    def running(self) -> Iterator[str]:
        """The name of a container that sleeps."""
        start = [*self.command, "run", "-d", "--name", "bench", *_LIMITS, "--network", "none", _IMAGE]
        subprocess.run([*start, "sleep", "1000000"], stdout=subprocess.DEVNULL, check=True)
        yield "bench"


@contextmanager
def podman(place: Place) -> Iterator[Podman | None]:
    """podman with busybox in its storage; None where it is not installed. Raises CalledProcessError."""
    if shutil.which("podman") is None:
        yield None
        return
    with ExitStack() as stack:
        enter: tuple[str, ...] = ()
        if as_root := os.geteuid() == 0:
            pid = stack.enter_context(_namespaces())
            enter = ("nsenter", f"--net=/proc/{pid}/ns/net", f"--mount=/proc/{pid}/ns/mnt", "--")
        storage = place.root / "podman"
        # Copying the 2 MB of this image is quicker than mounting an overlay.
        options = ("--storage-driver", "vfs", "--root", f"{storage}/root", "--runroot", f"{storage}/run")
        command = (*enter, "podman", *options)
        archive = place.root / "busybox.tar"
        archive.write_bytes(busybox_tar())
        place.run([*command, "import", "-q", str(archive), _IMAGE])
        stack.callback(_tidy, command)
        yield Podman(command, "bridge" if as_root else "slirp4netns", enter)


@contextmanager
def _namespaces() -> Iterator[int]:
    """A network and a mount namespace, held by the process of this pid."""
    argv = ["unshare", "--net", "--mount", "sh", "-ec", _NAMESPACE]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        if not holder.stdout.readline():
            raise RuntimeError("there are no namespaces to run podman in")
        yield holder.pid
        holder.communicate()


def _tidy(command: tuple[str, ...]) -> None:
    """Remove what a container left that is just being cleaned up, and podman's own control groups."""
    subprocess.run([*command, "rm", "--all", "--force"], stdout=subprocess.DEVNULL, check=False)
    for parent in Path("/sys/fs/cgroup").glob("*/libpod_parent"):
        for group in (*parent.glob("*"), parent):
            if group.is_dir() and os.access(parent, os.W_OK):
                group.rmdir()
