"""What -v and --tmpfs say."""

import os

import pytest

from firkin.container.spec import Bind, Tmpfs
from firkin.engine.volumes import parse_bind, parse_tmpfs
from firkin.errors import UsageError


@pytest.mark.parametrize(
    ("word", "bind"),
    [
        ("/src:/dst", Bind(source="/src", target="/dst")),
        ("/src:/dst:ro", Bind(source="/src", target="/dst", readonly=True)),
        ("/src:/dst:rw", Bind(source="/src", target="/dst")),
        ("/src/:/dst/", Bind(source="/src", target="/dst")),
        ("/a/../src://dst/./x", Bind(source="/src", target="/dst/x")),
    ],
)
def test_a_volume_reads_as_docker_reads_it(word, bind):
    assert parse_bind(word) == bind


def test_a_relative_host_path_is_made_absolute():
    assert parse_bind("./x:/y").source == os.path.join(os.getcwd(), "x")
    assert parse_bind("~/x:/y").source == os.path.expanduser("~/x")


@pytest.mark.parametrize(
    "word", ["", "/x", "name:/x", "/x:y", "/x:/", "/x:/..", "/x:/y:z", "/x:/y:ro:rw", ":/y", "/x:"]
)
def test_a_volume_that_cannot_be_meant_is_refused(word):
    with pytest.raises(UsageError) as refused:
        parse_bind(word)
    assert refused.value.hint


def test_tmpfs_is_closed_by_default_and_opens_when_told():
    assert parse_tmpfs("/t") == Tmpfs(target="/t", options=("nosuid", "nodev", "noexec"))
    assert parse_tmpfs("/t:exec,size=1m,mode=1777") == Tmpfs(
        target="/t", options=("nosuid", "nodev", "size=1048576", "mode=1777")
    )
    assert parse_tmpfs("/t:ro,rw").options == ("nosuid", "nodev", "noexec")


@pytest.mark.parametrize("word", ["t", "/", "/t:uid=1", "/t:mode=9", "/t:size=", "/t:size", "/t:mode=77777"])
def test_a_tmpfs_that_cannot_be_honoured_is_refused(word):
    with pytest.raises(UsageError):
        parse_tmpfs(word)
