"""From a reference to a bootable disk: Debian from a registry on loopback, nothing of it here before.

Against `gzip -dc | tar x` of the same layer, which has no registry, no digests and no disk to write, and
against podman's pull where podman is installed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count

from benchmarks.measure import Contender, Measures, take_turns
from benchmarks.place import Place
from benchmarks.table import Row
from tests.support.images import compressed, debian_tar

TO_DISK = (sys.executable, "-m", "benchmarks.to_disk")
OF_TAR = 0.5
OF_PODMAN = 1 / 3


def rows(place: Place) -> Iterator[Row]:
    reference = place.images.debian()
    layer = str(compressed(debian_tar(), "gzip"))
    numbers = count()

    def fresh() -> str:
        return str(place.root / f"pull{next(numbers)}")

    def tar() -> Measures:
        target = fresh()
        return _timed(["sh", "-c", f"mkdir {target} && gzip -dc {layer} | tar -x -C {target}"], target)

    def ours() -> Measures:
        home = fresh()
        return _timed([*TO_DISK, reference], home, place.environ_of(home))

    def podman() -> Measures:
        root = fresh()
        storage = ["--root", f"{root}/root", "--runroot", f"{root}/run"]
        return _timed(["podman", *storage, "pull", "-q", "--tls-verify=false", reference], root)

    contenders = [Contender("gzip | tar", tar), Contender("firkin", ours)]
    if shutil.which("podman"):
        contenders.append(Contender("podman", podman))
    samples = take_turns(contenders, max(3, place.rounds // 2))
    for peer, part in (("gzip | tar", OF_TAR), ("podman", OF_PODMAN)):
        if peer in samples:
            floor = samples[peer]["whole"]
            yield Row(
                "pull and disk of Debian",
                samples["firkin"]["whole"],
                "s",
                goal=f"<= {part:.2f} x {peer}",
                limit=floor.median * part,
                floor=floor,
                floor_name=peer,
            )


def _timed(argv: list[str], directory: str, environ: dict[str, str] | None = None) -> Measures:
    """Seconds of `argv`, which fills `directory`; the directory is removed when the clock has stopped."""
    begin = time.perf_counter()
    subprocess.run(argv, env=environ, check=True, stdout=subprocess.DEVNULL)
    took = time.perf_counter() - begin
    shutil.rmtree(directory, ignore_errors=True)
    return {"whole": took}
