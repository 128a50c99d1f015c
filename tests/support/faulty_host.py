"""A host with a fault: the doctor looks at it from a child, in namespaces of its own, as another user.

The host is healthy at first: a small /etc and /dev of its own, programs that do nothing, a kernel that is a
file. Then a test breaks one thing of it. Nothing outlives the child.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import stat
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from firkin.linux.ask import ask
from firkin.linux.mounts import (
    CLONE_NEWNS,
    CLONE_NEWUSER,
    MS_BIND,
    MS_PRIVATE,
    MS_REC,
    mount,
    unshare,
)
from firkin.linux.syscalls import libc, prctl
from firkin.pytest.home import Home
from tests.support.arm64 import program as static_program

UID = 54321
USER = "fkdoctor"
_CLONE_NEWNET = 0x40000000
_MS_REMOUNT, _MS_SHARED = 1 << 5, 1 << 20
_MNT_DETACH = 2
_PR_SET_DUMPABLE, _PR_SET_SECCOMP = 4, 22
_DEADLINE_S = 120.0
_DEVICES = ("null", "zero", "urandom", "kvm", "fuse", "vhost-vsock", "net/tun")

Fault = Callable[["World"], None]


class World:
    """What a test breaks. `env` is the environment that is judged; `last` are run as the user, at the end."""

    def __init__(self, home: Home, uid: int) -> None:
        self.home, self.uid = home, uid
        self.binaries = home.root / "bin"
        self.last: list[Callable[[], None]] = []
        self.probe = False
        self.env = home.environ() | {
            "PATH": str(self.binaries),
            "TMPDIR": str(home.root / "work"),
            "FIRKIN_QEMU": str(self.binaries / "qemu"),
            "FIRKIN_VIRTIOFSD": str(self.binaries / "virtiofsd"),
        }

    # --- what a fault is made of

    def write(self, path: str | Path, text: str = "", mode: int = 0o644) -> Path:
        """A file of the user's, or of root's where it lies in /etc."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        if path.is_relative_to(self.home.root):
            for each in (path, *path.parents):
                if each == self.home.root:
                    break
                os.chown(each, self.uid, self.uid)
        return path

    def remove(self, path: str | Path) -> None:
        Path(path).unlink()

    def program(self, name: str, says: str = "", *, status: int = 0, mode: int = 0o755) -> Path:
        path = self.write(self.binaries / name, f"#!/bin/sh\necho '{says}'\nexit {status}\n")
        os.chown(path, 0, 0)
        path.chmod(mode)
        return path

    def pretend(self, path: str, text: str) -> None:
        """Another content for a file of the kernel's."""
        shown = self.write(self.home.root / "shown" / path.replace("/", "."), text)
        mount(str(shown), path, flags=MS_BIND)

    def memory(self, path: str | Path, options: str = "size=2g,nr_inodes=100k", flags: int = 0) -> None:
        """A tmpfs of the user's."""
        Path(path).mkdir(parents=True, exist_ok=True)
        mount("tmpfs", str(path), "tmpfs", flags, f"mode=700,uid={self.uid},gid={self.uid},{options}")

    def small_disk(self, path: str | Path, options: str) -> None:
        """As memory(), but by its kind no memory: an overlay, which has its upper layer's room."""
        below = self.home.root / "below"
        self.memory(below, options)
        for name in ("lower", "upper", "work"):
            (below / name).mkdir()
            os.chown(below / name, self.uid, self.uid)
        Path(path).mkdir(parents=True, exist_ok=True)
        layers = f"lowerdir={below}/lower,upperdir={below}/upper,workdir={below}/work"
        mount("overlay", str(path), "overlay", data=layers)

    def remount(self, path: str | Path, flags: int) -> None:
        mount(str(path), str(path), flags=MS_BIND)
        mount("none", str(path), flags=MS_BIND | _MS_REMOUNT | flags)

    def unmount(self, path: str) -> None:
        libc().umount2(os.fsencode(path), _MNT_DETACH)

    def deny(self, call: str, error: int) -> None:
        """A seccomp filter of root's, which needs no no_new_privs, under which `call` fails."""
        from firkin.linux.libseccomp import compiled

        class Rule:
            name, verdict = call, 0x00050000 | error
            arguments: tuple[tuple[int, int, int, int], ...] = ()

        filter_bytes = compiled(0x7FFF0000, (), [Rule()])

        class Program(ctypes.Structure):
            _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))

        program = Program(len(filter_bytes) // 8, filter_bytes)
        prctl(_PR_SET_SECCOMP, 2, ctypes.addressof(program))

    # --- its life

    def found(self, fault: Fault | None) -> set[str]:
        """The ids of what the doctor finds."""
        return set(self.tells(fault, self.look))

    def look(self) -> list[str]:
        """The ids of what the doctor finds now. In the child."""
        from firkin.host.doctor import examine

        return [each.id for each in examine(self.env, probe=self.probe)]

    def tells(self, fault: Fault | None, question: Callable[[], Any]) -> Any:
        """What `question` answers there, asked as the user, in a few thousand bytes of JSON."""
        self._prepare_files()
        answer = ask(lambda: self._child(fault, question), _DEADLINE_S).decode()
        assert answer.startswith(("[", "{")), answer
        return json.loads(answer)

    def _child(self, fault: Fault | None, question: Callable[[], Any]) -> bytes:
        try:
            self._prepare_host()
            if fault is not None:
                fault(self)
            self._become_user()
            for step in self.last:
                step()
            return json.dumps(question()).encode()
        except BaseException:  # the parent shows it
            return traceback.format_exc().encode()[-4000:]

    def _prepare_files(self) -> None:
        """What needs no namespace: programs, and a kernel with its modules."""
        self.home.root.chmod(0o711)
        self.binaries.mkdir()
        for name in ("podman", "pasta", "iptables", "virtiofsd"):
            self.program(name)
        self.program("qemu", "QEMU emulator version 7.2.0")
        for name in ("newuidmap", "newgidmap"):
            self.program(name, mode=0o4755)
        emulator = self.program("qemu-aarch64-static")
        emulator.write_bytes(static_program())
        kernel = self.home.data_dir / "kernels" / "6.1.0"
        self.write(kernel / "vmlinuz")
        self.write(kernel / "modules" / "modules.dep")

    def _prepare_host(self) -> None:
        libc()
        unshare(CLONE_NEWNS | _CLONE_NEWNET)
        mount("none", "/", flags=MS_REC | MS_PRIVATE)
        self._new_etc()
        self._new_dev()
        for path in ("/boot", "/usr/sbin", "/usr/local/sbin"):
            if os.path.isdir(path):
                mount("tmpfs", path, "tmpfs", 0, "size=64k")
        self.unmount("/sys/fs/cgroup")
        mount("none", "/sys/fs/cgroup", "cgroup2")
        Path("/proc/sys/net/ipv4/ping_group_range").write_text("0 2147483647")
        Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0")
        mount("none", "/", flags=MS_REC | _MS_SHARED)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, max(4096, hard)))

    def _new_etc(self) -> None:
        etc = self.home.root / "etc"
        etc.mkdir()
        self.write(etc / "passwd", f"root:x:0:0::/:/bin/sh\n{USER}:x:{UID}:{UID}::/:/bin/sh\n")
        self.write(etc / "group", f"root:x:0:\n{USER}:x:{UID}:\n")
        for name in ("subuid", "subgid"):
            self.write(etc / name, f"{USER}:100000:65536\n")
        self.write(etc / "ssl/certs/ca-certificates.crt", "-----BEGIN CERTIFICATE-----\n")
        self.write(etc / "containers/policy.json", '{"default": [{"type": "insecureAcceptAnything"}]}')
        self.write(etc / "containers/registries.conf", 'unqualified-search-registries = ["docker.io"]\n')
        self.write(etc / "containers/storage.conf", '[storage]\ndriver = "overlay"\n')
        mount(str(etc), "/etc", flags=MS_BIND)

    def _new_dev(self) -> None:
        """All devices are /dev/null under other names: they can be opened, and no more is asked of them."""
        dev = self.home.root / "dev"
        dev.mkdir()
        mount("tmpfs", str(dev), "tmpfs", 0, "mode=755,size=64k")
        (dev / "net").mkdir()
        for name in _DEVICES:
            os.mknod(dev / name, stat.S_IFCHR, os.makedev(1, {"zero": 5, "urandom": 9}.get(name, 3)))
            (dev / name).chmod(0o666)
        mount(str(dev), "/dev", flags=MS_BIND)

    def _become_user(self) -> None:
        if self.uid:
            os.setgroups([])
            os.setresgid(self.uid, self.uid, self.uid)
            os.setresuid(self.uid, self.uid, self.uid)
            prctl(_PR_SET_DUMPABLE, 1)  # else /proc/self is root's


def own_limit_of_namespaces(most: int) -> None:
    """A user namespace in which no more than `most` may be made. For root."""
    unshare(CLONE_NEWUSER)
    Path("/proc/self/uid_map").write_text("0 0 1")
    Path("/proc/sys/user/max_user_namespaces").write_text(str(most))


def chroot_into_itself(at: Path) -> None:
    """The kernel lets nobody who is in a chroot make a user namespace."""
    at.mkdir()
    mount("/", str(at), flags=MS_BIND | MS_REC)
    os.chroot(at)
    os.chdir("/")
