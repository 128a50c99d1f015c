"""A directory of the host in a container, read and looked at, beside the host's own file system.

The floor is the same static program in the same directory, without a machine: what no transport can beat.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.measure import Contender, Measures, command_times, take_turns, timed
from benchmarks.place import Place
from benchmarks.table import Row

SIZE_BYTES = 64 << 20
FILES = 2000
_WORK = {
    f"{SIZE_BYTES >> 20} MiB read": "cat {0}/large >/dev/null; echo",
    f"{FILES} files looked at": "ls -l {0}/many | wc -l",
    f"{FILES} files read": "cat {0}/many/* | wc -c",
}
"""By what a row says: what a shell is told."""


def rows(place: Place) -> Iterator[Row]:
    import firkin
    from firkin.settings import Settings

    busybox = "/bin/busybox"
    with TemporaryDirectory() as name, firkin.Engine(Settings.load(place.environ)) as engine:
        directory = Path(name)
        (directory / "large").write_bytes(os.urandom(SIZE_BYTES))
        (directory / "many").mkdir()
        for number in range(FILES):
            (directory / "many" / f"{number}").write_text(f"file {number}\n" * 100)
        words = ["sleep", "100000"]
        with engine.run(place.static_image, words, volumes=[f"{name}:/shared"]) as container:
            for what, work in _WORK.items():
                here = [busybox, "sh", "-c", work.format(shlex.quote(name))]

                def inside(work: str = work) -> Measures:
                    command = ["sh", "-c", work.format("/shared")]
                    return {"whole": timed(lambda: container.exec(command).output(check=True))}

                def outside(here: list[str] = here) -> Measures:
                    return command_times(here)

                contenders = [Contender("host", outside), Contender("container", inside)]
                samples = take_turns(contenders, place.rounds, warmups=1)
                yield Row(
                    f"shared directory: {what}", samples["container"]["whole"], "ms",
                    floor=samples["host"]["whole"], floor_name="host's own",
                )  # fmt: skip
