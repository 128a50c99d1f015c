"""What a session makes once: firkin's cache after a first boot, and images for homes."""

from __future__ import annotations

from pathlib import Path

from tests.support.command import FIRKIN, Command
from tests.support.home import fresh_home
from tests.support.images import busybox_tar, debian_tar


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
