"""What e2fsprogs says about an image: e2fsck as the judge, debugfs as the reader."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Not every user's PATH has them.
_PLACES = "/usr/sbin:/sbin:/usr/bin:/bin"
E2FSCK = shutil.which("e2fsck", path=_PLACES) or "e2fsck"
DEBUGFS = shutil.which("debugfs", path=_PLACES) or "debugfs"

_KINDS = {
    "regular": "f",
    "directory": "d",
    "symlink": "l",
    "character special": "c",
    "block special": "b",
    "FIFO": "p",
}


def assert_clean(image: Path) -> None:
    """e2fsck finds nothing to say about `image`."""
    checked = subprocess.run([E2FSCK, "-fn", image], capture_output=True, text=True, check=False)
    said = [
        line
        for line in checked.stdout.splitlines()
        if line and not re.match(r"Pass \d:|/.*: \d+/\d+ files", line)
    ]
    assert (checked.returncode, said) == (0, []), checked.stdout


def debugfs(image: Path, *commands: str) -> str:
    """What debugfs prints for `commands`, without its echo of them."""
    done = subprocess.run(
        [DEBUGFS, "-f", "-", image],
        input="\n".join(commands) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    return "\n".join(line for line in lines if not line.startswith("debugfs: "))


def read(image: Path, path: str) -> bytes:
    """The content of a file, as debugfs reads it."""
    return subprocess.run([DEBUGFS, "-R", f'cat "{path}"', image], capture_output=True, check=True).stdout


def names(image: Path, path: str = "/") -> set[str]:
    """The names in a directory of the image."""
    lines = debugfs(image, f'ls -p "{path}"').splitlines()
    return {line.split("/")[5] for line in lines if line.startswith("/") and line.split("/")[1] != "0"} - {
        ".",
        "..",
    }


@dataclass(frozen=True, slots=True)
class Stat:
    """One inode, as `debugfs stat` describes it. Times are (seconds, nanoseconds)."""

    inode: int
    kind: str
    mode: int
    uid: int
    gid: int
    size: int
    links: int
    mtime_ns: int
    atime_ns: int
    ctime_ns: int
    target: str
    device: tuple[int, int] | None


def stat(image: Path, *paths: str) -> list[Stat]:
    """What debugfs says about each of `paths`."""
    texts = debugfs(image, *(f'stat "{path}"' for path in paths)).split("Inode: ")[1:]
    return [_stat("Inode: " + text) for text in texts]


def _stat(text: str) -> Stat:
    device = re.search(r"Device major/minor number: (\d+):(\d+)", text)
    target = re.search(r'Fast link dest: "(.*)"', text)
    mtime_ns, atime_ns, ctime_ns = (_time(name, text) for name in ("mtime", "atime", "ctime"))
    return Stat(
        int(_found(r"Inode: (\d+)", text)),
        _KINDS[_found(r"Type: ([\w ]+?)\s+Mode", text)],
        int(_found(r"Mode: +(\d+)", text), 8),
        int(_found(r"User: +(\d+)", text)),
        int(_found(r"Group: +(\d+)", text)),
        int(_found(r"Size: (\d+)", text) if "Size:" in text else 0),
        int(_found(r"Links: (\d+)", text)),
        mtime_ns,
        atime_ns,
        ctime_ns,
        target[1] if target else "",
        (int(device[1]), int(device[2])) if device else None,
    )


def _time(name: str, text: str) -> int:
    low, extra = re.search(rf"{name}: 0x([0-9a-f]+)(?::([0-9a-f]+))?", text).groups()  # type: ignore[union-attr]
    seconds = int(low, 16)
    seconds -= (seconds >> 31) << 32
    more = int(extra or "0", 16)
    return (seconds + ((more & 3) << 32)) * 1_000_000_000 + (more >> 2)


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match is not None, (pattern, text)
    return match[1]
