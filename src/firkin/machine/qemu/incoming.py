"""Telling a waiting QEMU where its memory and state come from: QMP commands sent before it even listens.

The lines lie in the socket when QEMU comes to it, so a restore waits for no round trip. They are
written by hand, since the QMP library costs more to import than QEMU takes to start.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

import msgspec

from firkin.linux import unix_socket


def begin(qmp_path: Path, stream_fd: int, *, announces: bool = True) -> socket.socket:
    """Have the QEMU that will listen at `qmp_path` become what its descriptor `stream_fd` holds, without the
    memory.

    QEMU announces the cards of a machine that arrived unless it `announces` nothing: a card whose listening
    socket it has not got to yet would end it then (net/stream.c of QEMU 7.2).
    The caller closes the socket once the machine runs, not before: QEMU forgets the commands of a client
    that left. Raises OSError.
    """
    parameters = () if announces else ({"execute": "migrate-set-parameters", "arguments": NO_ROUNDS},)
    commands = (
        {"execute": "qmp_capabilities"},
        *parameters,
        {"execute": "migrate-set-capabilities", "arguments": {"capabilities": [IGNORE_SHARED]}},
        {"execute": "migrate-incoming", "arguments": {"uri": f"fd:{stream_fd}"}},
        {"execute": "cont"},
    )
    sock = unix_socket.connect(qmp_path)
    sock.sendall(b"".join(msgspec.json.encode(command) + b"\n" for command in commands))
    sock.setblocking(False)
    return sock


NO_ROUNDS = {"announce-rounds": 0}
IGNORE_SHARED = {"capability": "x-ignore-shared", "state": True}


def refusal(answers: bytes) -> str:
    """What QEMU refused in these lines of its answers; "" where nothing."""
    for line in answers.splitlines():
        with suppress(ValueError, AttributeError):
            if error := msgspec.json.decode(line).get("error"):
                return str(error.get("desc", error))[:200]
    return ""
