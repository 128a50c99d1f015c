"""Images for isolated homes: each is fetched once a session, and then only linked.

    shared/images/<digest of the name>/     blobs, refs and rootfs of one image, its disk built

An image comes from the archive that the project names for it, else from the store of the user who runs the
tests, else from its registry, by that user's settings: whose policy is obeyed, and whose login is used.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from firkin.errors import ImageNotFound, UsageError
from firkin.pytest.once import once

if TYPE_CHECKING:
    from firkin import Engine
    from firkin.pytest.home import Home

_PARTS = ("blobs", "refs", "rootfs", "version")
_MARKS = frozenset({"manifest.json", "oci-layout"})
"""What is at the top of an archive of images, and not of a root file system."""


class Shelf:
    """The images in `directory`. `archives` are the project's own: name to file."""

    def __init__(self, directory: Path, archives: Mapping[str, Path]) -> None:
        self._dir = directory
        self._archives = archives

    def stock(self, home: Home, name: str) -> None:
        """Put the image `name` into `home`. Raises what fetching it raises."""
        key = hashlib.sha256(name.encode()).hexdigest()[:16]
        self._dir.mkdir(exist_ok=True)
        stock(home, once(self._dir / key, partial(self._fetch, name)))

    def _fetch(self, name: str, directory: Path) -> None:
        from firkin import Engine

        with Engine(data_dir=str(directory), run_dir=str(directory / "run")) as engine:
            if archive := self._archives.get(name):
                _take(engine, archive, name)
            elif not _take_own(engine, directory / "own.tar", name):
                engine.pull(name, policy="missing")
            engine.create(name, ["true"]).remove()  # its disk is built


def stock(home: Home, shelf: Path) -> None:
    """Put the images of `shelf` into `home`. Files of a store are never changed, so links will do."""
    for part in _PARTS:
        source = shelf / part
        if source.is_dir():
            shutil.copytree(source, home.data_dir / part, copy_function=_link, dirs_exist_ok=True)
        elif source.exists():
            shutil.copy2(source, home.data_dir / part)


def _link(source: str, target: str) -> None:
    if not os.path.exists(target):
        os.link(source, target)


def _take(engine: Engine, archive: Path, name: str) -> None:
    """The image of `archive`: what `docker save`, `podman save` or `firkin save` wrote, or the files of a
    root.
    """
    try:
        with tarfile.open(archive) as tar:
            holds_images = any(member.name in _MARKS for member in tar)
    except (OSError, tarfile.TarError) as error:
        raise UsageError(f"cannot read {archive}: {error}", hint="mend firkin_images") from error
    if not holds_images:
        engine.import_image(archive, name)
        return
    images = engine.load_images(archive)
    if len(images) != 1:
        raise UsageError(
            f"{archive} holds {len(images)} images, and is to be {name!r}",
            hint="save it to a file of its own",
        )
    engine.tag(str(images[0].digest), name)


def _take_own(engine: Engine, through: Path, name: str) -> bool:
    """Whether the user who runs the tests has the image; then it is copied."""
    from firkin import Engine

    with Engine() as own:
        try:
            own.save_images([name], through, format="oci-archive")
        except ImageNotFound:
            return False
    engine.load_images(through)
    through.unlink()
    return True
