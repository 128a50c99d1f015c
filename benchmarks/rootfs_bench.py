"""From a compressed layer to a bootable disk, apart from the pull: Debian, gzip and zstd.

Against `gzip -dc | tar x`, or zstd, of the same layer in the same turns. Tar hashes nothing, syncs nothing
and makes no disk; ours verifies the diff id and ends with an fsync.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

from benchmarks.measure import Contender, Measures, take_turns, timed
from benchmarks.place import Place
from benchmarks.table import Row
from tests.support.images import compressed, debian_tar
from tests.support.layers import Shelf

OF_TAR = {"gzip": 0.45 / 1.37, "zstd": 0.5}
DISK_BYTES = 10 << 30

_numbers = count()


def rows(place: Place) -> Iterator[Row]:
    tar = debian_tar()
    for compression, part in OF_TAR.items():
        blob = compressed(tar, compression)
        assert isinstance(blob, Path)
        shelf = Shelf()
        layer = shelf.file(blob, tar)
        unpack = f"{compression} -dc {blob} | tar -x"
        peer = f"{compression} | tar"
        contenders = [
            Contender(peer, partial(_in_fresh, place, partial(_shell, unpack))),
            Contender(
                "firkin", partial(_in_fresh, place, partial(shelf.build, [layer], size_bytes=DISK_BYTES))
            ),
        ]
        if shutil.which(compression) is None:
            continue
        samples = take_turns(contenders, max(3, place.rounds // 2))
        floor = samples[peer]["whole"]
        yield Row(
            f"disk of Debian from {compression}",
            samples["firkin"]["whole"],
            "s",
            goal=f"<= {part:.2f} x {peer}",
            limit=floor.median * part,
            floor=floor,
            floor_name=peer,
        )


def _in_fresh(place: Place, work: Callable[[Path], object]) -> Measures:
    """Seconds of `work` in a new directory, which is removed when the clock has stopped."""
    directory = place.root / f"disk{next(_numbers)}"
    directory.mkdir()
    took = timed(partial(work, directory))
    shutil.rmtree(directory)
    return {"whole": took}


def _shell(script: str, directory: Path) -> None:
    subprocess.run(["sh", "-c", script], cwd=directory, check=True)
