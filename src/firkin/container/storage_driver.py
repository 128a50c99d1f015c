"""StorageDriver: how a container in namespaces gets a root of its own over the tree of its image.

    overlay          the kernel's overlayfs, mounted in the container's user namespace: nothing is copied
    fuse-overlayfs   the same by a process of the container's, where that is installed and the kernel's fails
    copy             the tree is copied when the container first starts: takes its size and its time

The rule: what is chosen works, by a probe that mounts, removes and replaces, where the data is; it is chosen
once for a container, and is on its record. The verdict is kept with the sockets, for one boot and one kernel.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import msgspec

from firkin.container.spec import StorageDriver
from firkin.decoder import json_decoder
from firkin.errors import FirkinError, HostUnsupported
from firkin.events import event
from firkin.linux import fork, user_namespace
from firkin.linux.removal import remove_tree
from firkin.linux.storage_namespace import ENVIRONMENT, storage_map
from firkin.paths import Paths
from firkin.store.files import replace_file
from firkin.store.lock import locked

_DEADLINE_S = 60.0
_CHILD = "firkin.container.storage_driver_child"
_PLACES = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
_SAID_BYTES = 400


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`why` says what keeps the kernel's overlay from working here; "" where nothing does."""

    driver: StorageDriver
    why: str = ""
    of: str = ""
    """The boot and the file system that it is about."""


def choose(paths: Paths, wanted: str = "auto") -> Verdict:
    """What `wanted`, a setting, means here. Raises OSError, StorageFull, InUse."""
    if wanted == "copy":
        return Verdict(driver="copy", why="the setting storage_driver says so")
    if wanted in ("overlay", "fuse-overlayfs"):
        return Verdict(driver="overlay" if wanted == "overlay" else "fuse-overlayfs")
    paths.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    subject = f"{_boot_id()} {os.uname().release} {os.stat(paths.data).st_dev}"
    known = _known(paths)
    if known is not None and known.of == subject:
        return known
    with locked(
        paths.run / "driver.lock", shared=False, deadline_s=_DEADLINE_S, what="the probe of overlays"
    ):
        found = msgspec.structs.replace(_found(paths.cache_dir / "overlay-probe"), of=subject)
    replace_file(paths.driver_path, msgspec.json.encode(found))
    event("driver.chosen", driver=found.driver, why=found.why)
    return found


def _found(directory: Path) -> Verdict:
    why = probe(directory)
    if not why:
        return Verdict(driver="overlay")
    program = fuse_program()
    fails = probe(directory, program) if program else "fuse-overlayfs is not installed"
    return Verdict(driver="copy" if fails else "fuse-overlayfs", why=f"{why}; {fails}" if fails else why)


def fuse_program() -> str:
    """The path of fuse-overlayfs; "" where it is not installed."""
    return shutil.which("fuse-overlayfs", path=_PLACES) or ""


def require_fuse() -> str:
    """Its path. Raises HostUnsupported."""
    if program := fuse_program():
        return program
    raise HostUnsupported(
        "fuse-overlayfs, which the container's root needs, is not installed",
        hint="sudo apt install fuse-overlayfs; `firkin info` shows which storage driver new containers get",
    )


def probe(directory: Path, program: str = "") -> str:
    """What keeps overlays in user namespaces, or those that `program` makes, from working in `directory`,
    which is made and removed; "" where nothing does. Raises OSError.
    """
    remove_tree(directory)
    try:
        for name in ("lower/replaced", "upper", "work", "merged"):
            (directory / name).mkdir(mode=0o755, parents=True)
        (directory / "lower/removed").touch()
        return _tried(directory, program)
    finally:
        remove_tree(directory)


def _tried(directory: Path, program: str) -> str:
    said_fd = os.memfd_create("said", os.MFD_CLOEXEC)
    with open(said_fd, "rb") as said, open(os.devnull, "r+b") as null:
        try:
            namespace_fd = user_namespace.create(storage_map())
        except FirkinError as error:
            return str(error)
        env = {**ENVIRONMENT, "PYTHONPATH": ":".join(filter(None, sys.path))}
        argv = [sys.executable, "-m", _CHILD, os.path.abspath(directory), program]
        enter = user_namespace.entered_with_mounts(namespace_fd)
        try:
            pid, pidfd = fork.start(
                fork.Launch(argv, env, null.fileno(), null.fileno(), said_fd, prepare=enter)
            )
        except OSError as error:
            return f"a process in a user namespace: {error.strerror}"
        finally:
            os.close(namespace_fd)
        try:
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        finally:
            os.close(pidfd)
        said.seek(0)
        text = said.read(_SAID_BYTES).decode(errors="replace").strip()
        return (text or f"exit status {status}") if status else ""


def _known(paths: Paths) -> Verdict | None:
    try:
        found: Verdict = json_decoder(Verdict).decode(paths.driver_path.read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
    return found


def _boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()
