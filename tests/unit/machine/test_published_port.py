"""Docker's `-p` syntax as PublishedPort values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firkin.errors import UsageError
from firkin.machine.spec import PublishedPort


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", [("0.0.0.0", 0, 80, "tcp")]),
        ("8080:80", [("0.0.0.0", 8080, 80, "tcp")]),
        ("8080:80/udp", [("0.0.0.0", 8080, 80, "udp")]),
        ("127.0.0.1:8080:80", [("127.0.0.1", 8080, 80, "tcp")]),
        ("127.0.0.1::80", [("127.0.0.1", 0, 80, "tcp")]),
        ("[::1]:8080:80", [("::1", 8080, 80, "tcp")]),
        ("7000-7001:80-81", [("0.0.0.0", 7000, 80, "tcp"), ("0.0.0.0", 7001, 81, "tcp")]),
        ("80-81", [("0.0.0.0", 0, 80, "tcp"), ("0.0.0.0", 0, 81, "tcp")]),
    ],
)
def test_parse_reads_what_docker_reads(text: str, expected: list[tuple[str, int, int, str]]) -> None:
    assert [(p.host_ip, p.host_port, p.guest_port, p.protocol) for p in PublishedPort.parse(text)] == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "0",
        "65536",
        "80/sctp",
        "1.2.3:80:80",
        "1:2:3:4",
        "5-4",
        "1-2:3-5",
        "a:80",
        "80:",
        "²",
        "-1:80",
    ],
)
def test_parse_refuses_what_is_no_port_and_shows_it(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        PublishedPort.parse(text)
    assert repr(text) in str(caught.value)
    assert caught.value.hint


@given(
    st.integers(1, 65535),
    st.integers(0, 65535),
    st.ip_addresses().map(str),
    st.sampled_from(["tcp", "udp"]),
)
def test_every_port_parses_back_from_its_words(guest: int, host: int, ip: str, protocol: str) -> None:
    port = PublishedPort(guest_port=guest, host_port=host, host_ip=ip, protocol=protocol)  # type: ignore[arg-type]
    assert PublishedPort.parse(str(port)) == (port,)
