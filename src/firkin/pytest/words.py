"""What a project and a test say of their containers: ini options, options of the command line, a marker.

    [pytest]                                @pytest.mark.firkin(image="debian", memory="512m")
    firkin_image = alpine:3.20              def test_...

The rule: the call of a fixture comes before the marker, the nearest marker before those around it, and any
marker before the command line and the ini file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import pytest

from firkin.errors import FirkinError

__tracebackhide__ = True  # what a failure shows is the test

DEFAULT_IMAGE = "busybox"
_MARKER = """\
firkin(image='', command=(), **words): what the containers and the machine of this test are, in the words of \
Engine.run(), such as kernel, memory, network; see docs/reference/pytest.md"""


def add_options(parser: pytest.Parser) -> None:
    """What may stand in the ini file and on the command line."""
    group = parser.getgroup("firkin", "containers in machines of their own")
    group.addoption("--firkin-image", metavar="NAME", help="image of containers that name none")
    group.addoption("--firkin-kernel", metavar="PATH", help="kernel that machines boot")
    parser.addini("firkin_image", "image of containers that name none", default=DEFAULT_IMAGE)
    parser.addini("firkin_kernel", "kernel that machines boot; else firkin's own choice", default="")
    parser.addini(
        "firkin_images", "images of every engine, a line each: NAME, or NAME = ARCHIVE", type="linelist"
    )
    parser.addini(
        "firkin_missing", "skip or fail where this host can run no machine; in CI it is fail", default=""
    )


def add_marker(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)


def image(config: pytest.Config) -> str:
    return str(config.getoption("firkin_image") or config.getini("firkin_image"))


def kernel(config: pytest.Config) -> str:
    """An absolute path, or ""."""
    if said := config.getoption("firkin_kernel"):
        return os.path.abspath(str(said))
    named = config.getini("firkin_kernel")
    return str(_base(config) / named) if named else ""


def images(config: pytest.Config) -> Mapping[str, Path | None]:
    """The images of every engine, and for those that come from one the archive. Raises UsageError."""
    lines = [line.partition("=") for line in config.getini("firkin_images")]
    for name, sign, path in lines:
        if not name.strip() or bool(sign) != bool(path.strip()):
            raise pytest.UsageError(f"firkin_images: {name + sign!r} is not NAME, nor NAME = ARCHIVE")
    return {name.strip(): _base(config) / path.strip() if sign else None for name, sign, path in lines}


def of_node(node: pytest.Collector | pytest.Item) -> dict[str, Any]:
    """What markers say of the containers of a test, a file or the session. Raises pytest.UsageError."""
    words: dict[str, Any] = {}
    for marker in reversed(list(node.iter_markers("firkin"))):
        if marker.args:
            raise pytest.UsageError(f"{node.nodeid}: pytest.mark.firkin takes words, such as image='debian'")
        words |= marker.kwargs
    return words


def unsupported(config: pytest.Config, error: FirkinError) -> NoReturn:
    """Skip the test that this host cannot run, or fail it, as the project says. In CI nothing is skipped."""
    reason = f"{error} ({error.hint})" if error.hint else str(error)
    said = config.getini("firkin_missing") or ("fail" if os.environ.get("CI") else "skip")
    if said not in ("skip", "fail"):
        raise pytest.UsageError(f"firkin_missing: {said!r} is neither skip nor fail")
    if said == "skip":
        pytest.skip(reason)
    pytest.fail(reason, pytrace=False)


def _base(config: pytest.Config) -> Path:
    """What paths in the ini file are relative to."""
    return config.inipath.parent if config.inipath else config.rootpath
