"""A registry with real images in it, until standard input ends: `python -m tests.support.serve DIR NAME...`.

Prints the registry's host:port when all NAMEs (busybox, debian, debian-python) are there. For ./dev demo.
"""

from __future__ import annotations

import sys
from pathlib import Path

from firkin.pytest.registry import running_registry
from tests.support.images import Images


def main() -> None:
    directory, *names = sys.argv[1:]
    Path(directory).mkdir(parents=True, exist_ok=True)
    with running_registry(Path(directory)) as registry:
        images = Images(registry)
        for name in names:
            getattr(images, name.replace("-", "_"))()
        print(registry.host, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
