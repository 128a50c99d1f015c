"""What -p says."""

import pytest

from firkin.engine.ports import parse_ports
from firkin.errors import UsageError
from firkin.machine.spec import PublishedPort


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("80", [("0.0.0.0", 0, 80, "tcp")]),
        ("8080:80", [("0.0.0.0", 8080, 80, "tcp")]),
        ("8080:80/udp", [("0.0.0.0", 8080, 80, "udp")]),
        ("127.0.0.1:8080:80", [("127.0.0.1", 8080, 80, "tcp")]),
        ("127.0.0.1::80", [("127.0.0.1", 0, 80, "tcp")]),
        ("[::1]:8080:80", [("::1", 8080, 80, "tcp")]),
        ("8000-8001:80-81", [("0.0.0.0", 8000, 80, "tcp"), ("0.0.0.0", 8001, 81, "tcp")]),
        ("80-81", [("0.0.0.0", 0, 80, "tcp"), ("0.0.0.0", 0, 81, "tcp")]),
    ],
)
def test_a_published_port_reads_as_docker_reads_it(word, expected):
    ports = [
        PublishedPort(host_ip=ip, host_port=host, guest_port=guest, protocol=p)
        for ip, host, guest, p in expected
    ]
    assert list(parse_ports(word)) == ports


@pytest.mark.parametrize(
    "word",
    [
        "",
        "x",
        "0",
        "65536",
        "80:",
        ":",
        "1:2:3",
        "300.0.0.1:1:2",
        "80/sctp",
        "2-1:1-2",
        "1-2:80",
        "1-1000",
        "٣",
        "-1",
        "1:2/tcp/udp",
    ],
)
def test_a_port_that_cannot_be_meant_is_refused_with_the_word_in_the_message(word):
    with pytest.raises(UsageError) as refused:
        parse_ports(word)
    assert repr(word) in str(refused.value)
    assert refused.value.hint
