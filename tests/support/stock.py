"""What a session makes once: firkin's cache after a first boot, and images for homes."""

from __future__ import annotations

from pathlib import Path

from firkin.pytest.command import FIRKIN, Command
from firkin.pytest.home import fresh_home
from tests.support.images import busybox_tar, debian_tar

_IMAGES = {"busybox": ("sh", busybox_tar), "debian": ("bash", lambda: debian_tar().read_bytes())}
"""Name to the shell of an image, and what makes the archive of its files."""


def warm_cache(directory: Path) -> None:
    """Boot once with `directory` as firkin's cache, and make the templates that most tests fork."""
    with fresh_home() as home:
        home.share_cache(directory)
        firkin = Command(FIRKIN, home.environ(), home.work_dir)
        firkin("import", "-", "busybox", input=busybox_tar(), check=True)
        firkin("run", "--rm", "busybox", "true", check=True)
        firkin("run", "--rm", "-v", "/volume", "busybox", "true", check=True)
        firkin("warm", "--network", "none", check=True)


def fill_shelf(directory: Path, cache_dir: Path, image: str) -> None:
    """`image`, busybox or debian, with its disk built, in `directory`."""
    shell, archive = _IMAGES[image]
    with fresh_home() as home:
        home.share_cache(cache_dir)
        firkin = Command(FIRKIN, home.environ(), home.work_dir)
        firkin("import", "--change", f'CMD ["{shell}"]', "-", image, input=archive(), check=True)
        firkin("run", "--rm", image, "true", check=True)
        for part in ("blobs", "refs", "rootfs", "version"):
            if (home.data_dir / part).exists():
                (home.data_dir / part).rename(directory / part)
