"""Where a copy goes, by Docker's rules."""

from __future__ import annotations

import pytest

from firkin.engine.aim import Source, aim
from firkin.errors import NotFound, UsageError


@pytest.mark.parametrize(
    ("source", "is_directory", "destination", "found", "expected"),
    [
        (b"/a/f", False, b"/d", "directory", (b"/d", b"f")),
        (b"/a/f", False, b"/d/g", "file", (b"/d/", b"g")),
        (b"/a/f", False, b"/d/g", "nothing", (b"/d/", b"g")),
        (b"f", False, b"g", "nothing", (b".", b"g")),
        (b"f", False, b"/g", "nothing", (b"/", b"g")),
        (b"/a/t/", True, b"/d/", "directory", (b"/d/", b"t")),
        (b"/a/t", True, b"/d/new/", "nothing", (b"/d/", b"new")),
        (b"/a/t/.", True, b"/d", "directory", (b"/d", b"")),
        (b"/a/t/.", True, b"/d/new", "nothing", (b"/d/", b"new")),
        (b"/", True, b"/d", "directory", (b"/d", b"")),
        (b"/a/b/..", True, b"/d", "directory", (b"/d", b"a")),
    ],
)
def test_a_copy_goes_where_docker_puts_it(source, is_directory, destination, found, expected):
    assert aim(Source(source, is_directory), destination, found) == expected


@pytest.mark.parametrize(
    ("is_directory", "destination", "found", "kind"),
    [
        (True, b"/d/f", "file", UsageError),
        (False, b"/d/f/", "file", UsageError),
        (False, b"/d/none/", "nothing", NotFound),
    ],
)
def test_what_has_no_place_is_refused_with_the_destination(is_directory, destination, found, kind):
    with pytest.raises(kind, match=destination.decode()):
        aim(Source(b"/a/x", is_directory), destination, found)
