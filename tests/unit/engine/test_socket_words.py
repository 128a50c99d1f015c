"""The words of --socket, --publish-socket and `firkin forward`, refused before a machine starts."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firkin.container.shared_socket import SharedSocket
from firkin.engine.forward_words import Forward
from firkin.engine.socket_words import MAX_SOCKETS, check_sockets, parse_socket, parse_sockets
from firkin.errors import UsageError
from firkin.wire.sockets import Place

ports = st.integers(0, 65535)
addresses = st.one_of(st.just(""), st.ip_addresses().map(str))
places = st.one_of(
    st.builds(lambda port, address: Place(port=port, address=address), ports, addresses),
    st.from_regex(r"/[a-z./ ]{0,20}[a-z]", fullmatch=True).map(lambda path: Place(path=path)),
)


@given(places)
def test_a_place_is_what_it_is_written_as(place: Place) -> None:
    assert Place.parse(str(place)) == place


@pytest.mark.parametrize(
    ("word", "host", "guest"),
    [
        ("80", "80", "80"),
        ("8080:80", "8080", "80"),
        (":80", "0", "80"),
        ("0.0.0.0:8080:80", "0.0.0.0:8080", "80"),
        ("[::1]:8080:80", "[::1]:8080", "80"),
        ("8080:/run/s", "8080", "/run/s"),
        ("[::1]:8080:/run/s", "[::1]:8080", "/run/s"),
        ("/tmp/s:80", "/tmp/s", "80"),
        ("/tmp/s:/run/s", "/tmp/s", "/run/s"),
    ],
)
def test_a_forward_is_parsed(word: str, host: str, guest: str) -> None:
    assert Forward.parse(word) == Forward(Place.parse(host), Place.parse(guest))
    assert Forward.parse(str(Forward.parse(word))) == Forward.parse(word)


def test_a_host_socket_is_found_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Forward.parse("./s:80").host == Place(path=f"{tmp_path}/s")


@pytest.mark.parametrize("word", ["", "x", "0", "80:", "8080:0", "1:2:3:4", "70000:80", "80:web", "/run/s"])
def test_a_forward_that_cannot_be_is_refused(word: str) -> None:
    with pytest.raises(UsageError):
        Forward.parse(word)


def test_sockets_are_parsed_in_both_directions() -> None:
    words = {"sockets": ["/h/s:/c/s:mode=660,uid=1000,gid=50"], "publish_sockets": ["/c/t:/h/t"]}
    assert parse_sockets(words) == (  # type: ignore[arg-type]
        SharedSocket(host="/h/s", guest="/c/s", mode=0o660, uid=1000, gid=50),
        SharedSocket(host="/h/t", guest="/c/t", published=True),
    )


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("/only", "HOST:CONTAINER"),
        ("s:/c", "is not a path"),
        ("/h:c", "is not a path in the container"),
        ("/h:/", "not the path of a socket"),
        ("/h:/c:mode=888", "cannot be honoured"),
        ("/h:/c:mode=1777", "cannot be honoured"),
        ("/h:/c:uid=-1", "cannot be honoured"),
        ("/h:/c:uid=4294967295", "cannot be honoured"),
        ("/h:/c:ro", "cannot be honoured"),
    ],
)
def test_a_socket_that_cannot_be_is_refused(word: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        parse_socket(word)
    with pytest.raises(UsageError, match="is not a list"):
        parse_sockets({"sockets": word})


def test_what_cannot_be_shared_here_is_refused_before_anything_starts(tmp_path: Path) -> None:
    file, live = tmp_path / "file", tmp_path / "live"
    file.touch()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(live))
        shared = parse_socket(f"{live}:/c/s")
        check_sockets((shared,))
        published = parse_socket(f"/c/s:{live}", published=True)
        check_sockets((published,))  # whether somebody listens there is known when it is listened at
        refused = {
            "cannot find": (parse_socket(f"{tmp_path}/none:/c/s"),),
            "is not a socket": (parse_socket(f"{file}:/c/s"),),
            "exists and is not a socket": (parse_socket(f"/c/s:{file}", published=True),),
            "no directory": (parse_socket(f"/c/s:{tmp_path}/none/s", published=True),),
            "two sockets at /c/s": (shared, shared),
            "more than": (shared,) * (MAX_SOCKETS + 1),
        }
        for why, sockets in refused.items():
            with pytest.raises(UsageError, match=why):
                check_sockets(sockets)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may give files away")
def test_only_root_may_give_a_published_socket_away(tmp_path: Path) -> None:
    for option in ("uid=0", "gid=0"):
        with pytest.raises(UsageError, match=r"only root may|not in group"):
            check_sockets((parse_socket(f"/c/s:{tmp_path}/s:{option}", published=True),))
