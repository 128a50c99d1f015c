"""File systems that somebody else's tool makes: mkfs.ext4, of a directory with busybox in it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_PLACES = "/usr/sbin:/sbin:/usr/bin:/bin"
MKFS = shutil.which("mkfs.ext4", path=_PLACES) or "mkfs.ext4"
BUSYBOX = shutil.which("busybox") or "busybox"


def make(path: Path, *options: str, size: str = "16M") -> Path:
    """An empty ext4 in the file `path`."""
    subprocess.run([MKFS, "-q", "-F", *options, str(path), size], check=True, capture_output=True)
    return path


def with_busybox(path: Path, *options: str, size: str = "16M") -> Path:
    """An ext4 in the file `path` with a shell, and /hello, which says so."""
    tree = path.with_name(f"{path.name}.tree")
    (tree / "bin").mkdir(parents=True)
    shutil.copy(BUSYBOX, tree / "bin" / "busybox")
    done = subprocess.run([BUSYBOX, "--list"], check=True, capture_output=True, text=True)
    for applet in done.stdout.split():
        if applet != "busybox":
            (tree / "bin" / applet).symlink_to("busybox")
    (tree / "hello").write_text("hello\n")
    make(path, "-d", str(tree), *options, size=size)
    shutil.rmtree(tree)
    return path
