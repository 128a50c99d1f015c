"""`python -m benchmarks.floor.relay ONE TWO`: a wire between the unix sockets of two cards, which looks at
nothing of what it carries.
"""

from __future__ import annotations

import socket
import sys
import threading

_PIECE_BYTES = 256 << 10


def carry(source: socket.socket, target: socket.socket) -> None:
    piece = memoryview(bytearray(_PIECE_BYTES))
    while size := source.recv_into(piece):
        target.sendall(piece[:size])


def main() -> None:
    ends = []
    for path in sys.argv[1:]:
        end = socket.socket(socket.AF_UNIX)
        end.connect(path)
        ends.append(end)
    one, two = ends
    print("connected", flush=True)
    back = threading.Thread(target=carry, args=(two, one), daemon=True)
    back.start()
    carry(one, two)


if __name__ == "__main__":
    main()
