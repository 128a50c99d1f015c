"""A world outside the machine, for one command.

`unshare --mount --net python -m tests.support.outside COMMAND...` runs COMMAND in it.

    127.0.0.1:53     the name server that resolv.conf names: web.test is WEB, and nothing else has an address
    WEB:80           greets whoever connects, and so does WEB6
    [::1]:80         has a greeting for who should not get there

The rule: all of it stands in the caller's new namespaces and ends with the command, whose status is ours.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading

NAME = "web.test"
WEB = "192.0.2.80"  # TEST-NET-1, RFC 5737
WEB6 = "fd00:2::80"  # of nobody, RFC 4193
GREETING = b"greetings from outside\n"

_SIOCSIFFLAGS, _SIOCSIFADDR = 0x8914, 0x8916  # netdevice(7)
_IPV6_FREEBIND = 78  # ipv6(7)
_IFF_UP_RUNNING = 0x1 | 0x40
_A, _IN = 1, 1


def main() -> int:
    _raise_loopback()
    with tempfile.NamedTemporaryFile("w", prefix="resolv") as resolv_conf:
        resolv_conf.write("nameserver 127.0.0.1\n")
        resolv_conf.flush()
        os.chmod(resolv_conf.name, 0o644)  # as everybody's resolv.conf is: QEMU, which reads it, is not root
        subprocess.run(["mount", "--bind", resolv_conf.name, "/etc/resolv.conf"], check=True)
        names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        names.bind(("127.0.0.1", 53))
        webs = [socket.create_server((WEB, 80)), *_six_servers()]
        for serve, sock in ((_answer_names, names), *((_greet, web) for web in webs)):
            threading.Thread(target=serve, args=(sock,), daemon=True).start()
        return subprocess.run(sys.argv[1:]).returncode


def _raise_loopback() -> None:
    address = struct.pack("=16sHH4s8x", b"lo:web", socket.AF_INET, 0, socket.inet_aton(WEB))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("=16sH14x", b"lo", _IFF_UP_RUNNING))
        fcntl.ioctl(any_socket, _SIOCSIFADDR, address)


def _six_servers() -> list[socket.socket]:
    if not os.path.exists("/proc/net/if_inet6"):
        return []
    request = socket.inet_pton(socket.AF_INET6, WEB6) + struct.pack("=Ii", 128, socket.if_nametoindex("lo"))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFADDR, request)
    return [_six_server(each) for each in (WEB6, "::1")]


def _six_server(address: str) -> socket.socket:
    """A server at `address`, though the kernel may still be looking for another who has it."""
    server = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    server.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
    server.bind((address, 80))
    server.listen()
    return server


def _answer_names(server: socket.socket) -> None:
    while True:
        query, asker = server.recvfrom(512)
        server.sendto(_answer(query), asker)


def _answer(query: bytes) -> bytes:
    """The reply to a query of one question (RFC 1035, section 4.1)."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in NAME.split("."))
    name, rest = query[12:].split(b"\0", 1)
    kind, _ = struct.unpack_from("!HH", rest)
    known = name.lower() == labels
    found = known and kind == _A
    flags = 0x8180 if known else 0x8183  # an answer; for other names: no such domain
    header = query[:2] + struct.pack("!5H", flags, 1, int(found), 0, 0)
    record = struct.pack("!HHHIH4s", 0xC00C, _A, _IN, 60, 4, socket.inet_aton(WEB)) if found else b""
    return header + name + b"\0" + rest[:4] + record


def _greet(server: socket.socket) -> None:
    while True:
        with server.accept()[0] as client:
            client.sendall(GREETING)


if __name__ == "__main__":
    sys.exit(main())
