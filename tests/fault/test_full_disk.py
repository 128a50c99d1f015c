"""A disk that fills up in the middle: one clear error with the path and the bytes, and nothing half done
stays.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from firkin.engine.snapshot_moves import export
from firkin.pytest.home import Home
from firkin.settings import Settings
from tests.support.bad_registry import LAYER, Exchange, bad_registry
from tests.support.snapshots import MIB, PAGE, make_snapshot

SMALL_BYTES = 3 << 20

PROGRAM = """
import asyncio, os, sys
from pathlib import Path
from firkin.engine.images import Images
from firkin.engine.snapshot_moves import import_archive
from firkin.errors import StorageFull
from firkin.settings import Settings

async def main():
    settings = Settings.load()
    images = Images(settings)
    what, argument = sys.argv[1:]
    try:
        if what == "snapshot":
            await import_archive(settings, argument)
        else:
            await (images.pull(argument) if what == "pull" else images.import_archive(argument, "it"))
    except StorageFull as error:
        print(error)
        print(error.hint)
    data = Path(Settings.load().data_dir)
    print(sorted(path.name for path in data.rglob("*") if path.is_file()))

asyncio.run(main())
"""


@pytest.fixture
def small_disk(home: Home) -> dict[str, str]:
    """An environment whose data are on a disk of 3 MiB, which only that program sees and which goes with
    it.
    """
    home.data_dir.mkdir(parents=True, exist_ok=True)
    return {
        **home.environ(),
        "SMALL": str(home.data_dir),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }


def run(environ: dict[str, str], *args: str) -> list[str]:
    """The program's lines, in a mount namespace of its own."""
    mount = f'mount -t tmpfs -o size={SMALL_BYTES},mode=700 none "$SMALL" && exec "$@"'
    unshare = ["unshare", "--mount", "--propagation", "private"]
    unshare += [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = [*unshare, "sh", "-c", mount, "sh", sys.executable, "-c", PROGRAM, *args]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    if "unshare" in ended.stderr or "mount:" in ended.stderr:
        pytest.skip(f"cannot mount a small disk here: {ended.stderr.strip()}")
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def test_a_layer_that_cannot_fit_is_refused_before_it_is_fetched(small_disk: dict[str, str]) -> None:
    with bad_registry() as registry:
        registry.add_image("x")
        message, hint, files = run(small_disk, "pull", f"{registry.host}/x")
        assert registry.asked_for(registry.blob_path("x")) == []
    assert small_disk["SMALL"] in message
    assert f"{len(LAYER)} bytes (4.2MB) are needed" in message
    assert "firkin rmi" in hint
    assert files.count(",") == 2, "lock, version and the config's blob"


def test_a_disk_that_fills_while_a_layer_arrives_keeps_nothing_of_it(small_disk: dict[str, str]) -> None:
    layer = LAYER[: 2 << 20]
    with bad_registry() as registry:
        registry.add_image("x", layer)
        path = registry.blob_path("x", layer)
        filler = Path(small_disk["SMALL"]) / "filler"

        def fill_up(exchange: Exchange) -> None:
            # What the program sees there is its own mount: reach it through the process that asks.
            for pid in _pids_of(small_disk["SMALL"]):
                Path(f"/proc/{pid}/root{filler}").write_bytes(bytes(2 << 20))
            exchange.send(200, {}, layer)

        registry.routes[path] = fill_up
        message, _, files = run(small_disk, "pull", f"{registry.host}/x")
    assert "no space left on the disk" in message
    assert "filler" in files
    assert "ingest" not in files
    assert files.count(",") == 3, "filler, lock, version and the config's blob"


def _pids_of(directory: str) -> list[str]:
    """The processes that see a tmpfs at `directory`."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            mounts = Path(f"/proc/{pid}/mounts").read_text()
        except OSError:
            continue
        if f"none {directory} tmpfs" in mounts:
            found.append(pid)
    return found[:1]


def test_an_import_that_cannot_fit_keeps_nothing(small_disk: dict[str, str], tmp_path: Path) -> None:
    archive = tmp_path / "root.tar.gz"
    archive.write_bytes(gzip.compress(os.urandom(4 << 20), 1))
    message, _, files = run(small_disk, "import", str(archive))
    assert f"no space left on the disk of {small_disk['SMALL']}/ingest/" in message
    assert files.count(",") == 1, "lock and version"


async def test_a_disk_that_fills_while_a_snapshot_is_unpacked_keeps_nothing_of_it(
    small_disk: dict[str, str], settings: Settings, tmp_path: Path
) -> None:
    pages = (f"page {number} ".encode() * PAGE for number in range(16 * MIB // PAGE))
    await make_snapshot(settings, memory=b"".join(page[:PAGE] for page in pages))
    archive = tmp_path / "frozen.tar"
    await export(settings, "frozen", archive)
    assert archive.stat().st_size < SMALL_BYTES - MIB  # its blobs fit, what is in them does not
    message, hint, files = run(small_disk, "snapshot", str(archive))
    assert "no space left on the disk of" in message
    assert "free some space" in hint
    assert files == str(["lock", "version"])
