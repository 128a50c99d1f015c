"""A home's images by short names, ready to run: imported and built once a session, then linked."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.support.command import FIRKIN, Command
from tests.support.home import Home, fresh_home
from tests.support.images import busybox_tar, debian_tar


def stock(home: Home, shelf: Path) -> None:
    """Put the images of `shelf` into `home`. Files of a store are never changed, so links will do."""
    for part in ("blobs", "refs", "rootfs", "version"):
        source = shelf / part
        if source.is_dir():
            shutil.copytree(source, home.data_dir / part, copy_function=os.link, dirs_exist_ok=True)
        elif source.exists():
            shutil.copy2(source, home.data_dir / part)


def warm_cache(directory: Path) -> None:
    """Boot once with `directory` as firkin's cache, and make the templates that most tests fork."""
    with fresh_home() as home:
        home.share_cache(directory)
        firkin = Command(FIRKIN, home.environ(), home.work_dir)
        firkin("import", "-", "busybox", input=busybox_tar(), check=True)
        firkin("run", "--rm", "busybox", "true", check=True)
        firkin("run", "--rm", "-v", "/volume", "busybox", "true", check=True)
        firkin("warm", "--network", "none", check=True)


def fill_shelf(directory: Path, cache_dir: Path) -> None:
    """busybox and debian, with their disks built, in `directory`."""
    with fresh_home() as home:
        home.share_cache(cache_dir)
        firkin = Command(FIRKIN, home.environ(), home.work_dir)
        for name, shell, archive in (
            ("busybox", "sh", busybox_tar()),
            ("debian", "bash", debian_tar().read_bytes()),
        ):
            firkin("import", "--change", f'CMD ["{shell}"]', "-", name, input=archive, check=True)
            firkin("run", "--rm", name, "true", check=True)
        for part in ("blobs", "refs", "rootfs", "version"):
            if (home.data_dir / part).exists():
                (home.data_dir / part).rename(directory / part)
