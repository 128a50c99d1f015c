"""Unix sockets at any path."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from firkin.linux import unix_socket


@pytest.mark.parametrize("depth", [0, 3], ids=["short path", "path beyond 107 bytes"])
def test_a_socket_listens_and_is_reached_at_any_length_of_path(tmp_path: Path, depth: int) -> None:
    directory = tmp_path.joinpath(*["d" * 60] * depth)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "agent.sock"
    with unix_socket.listen(path) as listener, unix_socket.connect(path) as client:
        server, _ = listener.accept()
        server.sendall(b"hello")
        assert client.recv(5) == b"hello"
        server.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    unix_socket.listen(path).close()
    with pytest.raises(ConnectionRefusedError):
        unix_socket.connect(path)
    with unix_socket.listen(path):
        unix_socket.connect(path).close()
