"""The kernel's own ext4 as the writer and the judge: mounts, random changes, and what stat and read say."""

from __future__ import annotations

import ctypes
import os
import random
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_PUNCH, _COLLAPSE, _INSERT, _ZERO, _KEEP = 0x3, 0x8, 0x20, 0x10, 0x1
_BLOCK = 4096


@contextmanager
def mounted(image: Path, at: Path, options: str = "noatime") -> Iterator[Path]:
    """`image` at the directory that is yielded, by a loop device; unmounted, and so written, at the end.

    It is mounted in a mount namespace of its own, seen through /proc: whoever copies ours meanwhile, as every
    machine's walls do, would else keep it mounted after the end.
    """
    at.mkdir(exist_ok=True)
    script = 'mount -o "loop,$1" "$2" "$3" && echo mounted && read end; umount "$3"'
    holder = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", options, image, at],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "mounted\n"
        try:
            yield Path(f"/proc/{holder.pid}/root{at}")
        finally:
            holder.stdin.close()
            assert holder.wait() == 0


@dataclass(frozen=True, slots=True)
class Seen:
    """One file, as lstat, readlink, read and listxattr tell of it."""

    inode: int
    mode: int
    uid: int
    gid: int
    size: int
    links: int
    rdev: int
    mtime_ns: int
    ctime_ns: int
    target: bytes
    content: bytes
    xattrs: dict[bytes, bytes]


def seen(root: Path) -> dict[bytes, Seen]:
    """Everything below `root`, by its path from there, which begins with a slash."""
    top = os.fsencode(root)
    found = {b"/": _seen(top)}
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            path = os.path.join(folder, name)
            found[path[len(top) :]] = _seen(path)
    return found


def _seen(path: bytes) -> Seen:
    state = os.lstat(path)
    kind = stat.S_IFMT(state.st_mode)
    content = Path(os.fsdecode(path)).read_bytes() if kind == stat.S_IFREG else b""
    names = os.listxattr(path, follow_symlinks=False)
    return Seen(
        state.st_ino, state.st_mode, state.st_uid, state.st_gid, state.st_size, state.st_nlink,
        state.st_rdev if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0,
        state.st_mtime_ns, state.st_ctime_ns,
        os.readlink(path) if kind == stat.S_IFLNK else b"", content,
        {os.fsencode(name): os.getxattr(path, name, follow_symlinks=False) for name in names},
    )  # fmt: skip


def expected(old: dict[bytes, Seen], new: dict[bytes, Seen]) -> list[tuple[str, bytes]]:
    """What changed from `old` to `new`, as firkin tells it, by looking at everything."""
    kinds: dict[bytes, str] = {}
    for path in new.keys() - old.keys():
        kinds[path] = "A"
    for path in old.keys() - new.keys():
        parent = os.path.dirname(path)
        if parent in new and stat.S_ISDIR(new[parent].mode):
            kinds[path] = "D"
    for path in new.keys() & old.keys():
        if told_of(old[path]) != told_of(new[path]):
            kinds[path] = "C"
    for path in list(kinds):
        while (path := os.path.dirname(path)) != b"/":
            kinds.setdefault(path, "C")
    return sorted(((kind, path) for path, kind in kinds.items()), key=lambda it: it[1].split(b"/"))


def told_of(it: Seen) -> tuple[object, ...]:
    """All whose change is told."""
    is_directory = stat.S_ISDIR(it.mode)
    return (
        it.mode, it.uid, it.gid, it.rdev, it.xattrs, it.target, it.content,
        None if is_directory else (it.size, it.mtime_ns),
    )  # fmt: skip


class Changes:
    """Random changes below a directory, the same for the same seed: every call that alters a file."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root, self.rng = os.fsencode(root), random.Random(seed)
        self._count = 0
        self._kinds: list[Callable[[], None]] = [
            *[self._create] * 4, *[self._mkdir] * 2, self._write, self._write, self._fragment, self._truncate,
            self._allocate, self._unlink, self._rename, self._rename, self._link, self._symlink, self._device,
            self._mode, self._owner, self._times, self._set_xattr, self._set_xattr, self._remove_xattr,
            self._acl, self._crowd,
        ]  # fmt: skip

    def make(self, count: int) -> None:
        """`count` changes; one that the kernel refuses (a full disk, a name too long) is none."""
        for _ in range(count):
            with suppress(OSError):
                self.rng.choice(self._kinds)()

    def _name(self) -> bytes:
        self._count += 1
        length = self.rng.choice([1, 3, 8, 20, 100, 240])
        letters = bytes(self.rng.choice(b"abcXYZ.-_ \n\xff\xc3\xa9\x01\x7f") for _ in range(length))
        return b"%d%s" % (self._count, letters)

    def _all(self) -> list[bytes]:
        return sorted(
            os.path.join(folder, name)
            for folder, folders, files in os.walk(self.root)
            for name in folders + files
        )

    def _any(self, *kinds: int) -> bytes:
        """A file of one of the `kinds`, of any where none is given. Raises OSError where there is none."""
        found = [path for path in self._all() if not kinds or stat.S_IFMT(os.lstat(path).st_mode) in kinds]
        if not found:
            raise FileNotFoundError
        return self.rng.choice(found)

    def _folder(self) -> bytes:
        folders = [
            self.root,
            *(path for path in self._all() if os.path.isdir(path) and not os.path.islink(path)),
        ]
        return self.rng.choice(folders)

    def _new(self) -> bytes:
        return os.path.join(self._folder(), self._name())

    def _create(self) -> None:
        with open(self._new(), "xb") as file:
            file.write(self.rng.randbytes(self.rng.choice([0, 1, 100, 4096, 10_000, 200_000])))

    def _mkdir(self) -> None:
        os.mkdir(self._new(), 0o700 + self.rng.randrange(64))

    def _write(self) -> None:
        with open(self._any(stat.S_IFREG), "r+b") as file:
            file.seek(self.rng.randrange(400_000))
            file.write(self.rng.randbytes(self.rng.choice([1, 5000, 50_000])))

    def _fragment(self) -> None:
        """Every second block of a file: its extents need blocks of their own."""
        with open(self._any(stat.S_IFREG), "r+b") as file:
            first = self.rng.randrange(50)
            for place in range(first, first + 2 * self.rng.choice([5, 50, 700]), 2):
                file.seek(place * _BLOCK)
                file.write(b"%d" % place * 50)
                file.flush()
            os.fsync(file.fileno())

    def _truncate(self) -> None:
        os.truncate(self._any(stat.S_IFREG), self.rng.choice([0, 1, 5000, 100_000, 3 << 30]) % (8 << 20))

    def _allocate(self) -> None:
        """fallocate(2): ahead of the end, holes, ranges taken out and put in, zeroes."""
        mode = self.rng.choice([0, _KEEP, _PUNCH, _COLLAPSE, _INSERT, _ZERO])
        at, size = (self.rng.randrange(1, 60) * _BLOCK for _ in "ab")
        with open(self._any(stat.S_IFREG), "r+b") as file:
            libc = ctypes.CDLL(None)
            libc.fallocate(file.fileno(), mode, ctypes.c_int64(at), ctypes.c_int64(size))

    def _unlink(self) -> None:
        path = self._any()
        (os.rmdir if stat.S_ISDIR(os.lstat(path).st_mode) else os.unlink)(path)

    def _rename(self) -> None:
        to = self._any() if self.rng.random() < 0.3 else self._new()
        os.rename(self._any(), to)

    def _link(self) -> None:
        os.link(self._any(stat.S_IFREG, stat.S_IFLNK, stat.S_IFIFO), self._new(), follow_symlinks=False)

    def _symlink(self) -> None:
        os.symlink(b"t" * self.rng.choice([1, 30, 59, 60, 61, 500, 4095]), self._new())

    def _device(self) -> None:
        kind = self.rng.choice([stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
        numbers = self.rng.choice([(1, 3), (0, 0), (255, 255), (256, 1), (4095, 1_048_575), (8, 700)])
        os.mknod(self._new(), kind | 0o640, os.makedev(*numbers))

    def _mode(self) -> None:
        os.chmod(self._any(stat.S_IFREG, stat.S_IFDIR), self.rng.randrange(0o10000))

    def _owner(self) -> None:
        ids = [0, 7, 65_535, 65_536, 4_000_000_000]
        os.chown(self._any(), self.rng.choice(ids), self.rng.choice(ids), follow_symlinks=False)

    def _times(self) -> None:
        time_ns = self.rng.choice(
            [0, -1, 1, -86_400 * 10**9, (1 << 31) * 10**9 + 5, 9_999_999_999_999_999_999]
        )
        os.utime(self._any(), ns=(0, time_ns), follow_symlinks=False)

    def _set_xattr(self) -> None:
        path = self._any(stat.S_IFREG, stat.S_IFDIR)
        name = self.rng.choice(["user.a", "user.b" * 30, "trusted.c", "security.capability", "security.x"])
        value = self.rng.randbytes(self.rng.choice([0, 1, 20, 70, 500, 3000]))
        if name == "security.capability":
            value = b"\1\0\0\2" + b"\0\4\0\0" + bytes(12)
        os.setxattr(path, name, value, follow_symlinks=False)

    def _remove_xattr(self) -> None:
        path = self._any(stat.S_IFREG, stat.S_IFDIR)
        os.removexattr(path, self.rng.choice(os.listxattr(path) or ["user.none"]))

    def _acl(self) -> None:
        path = self._any(stat.S_IFREG, stat.S_IFDIR)
        is_default = os.path.isdir(path) and self.rng.random() < 0.5
        name = "system.posix_acl_default" if is_default else "system.posix_acl_access"
        entries = [(1, 6, -1), (2, 5, 1000), (4, 4, -1), (8, 7, 70_000), (16, 7, -1), (32, 0, -1)]
        value = b"\2\0\0\0" + b"".join(
            tag.to_bytes(2, "little") + bits.to_bytes(2, "little") + (who & 0xFFFFFFFF).to_bytes(4, "little")
            for tag, bits, who in entries
        )
        os.setxattr(path, name, value)

    def _crowd(self) -> None:
        """Many names in one directory: it becomes a tree; some go again, and leave holes in it."""
        folder = self._folder()
        for number in range(self.rng.choice([40, 400])):
            path = os.path.join(
                folder, b"%d-%d-%s" % (self._count, number, b"crowd" * self.rng.randrange(20))
            )
            with open(path, "xb"):
                pass
            if self.rng.random() < 0.3:
                os.unlink(path)
        self._count += 1
