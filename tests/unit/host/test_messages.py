"""What programs print for a fault is recognised. messages.txt has lines that
podman 4.3 and its kin print.
"""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest

from firkin.errors import UsageError
from firkin.faults.catalogue import FAULTS
from firkin.host.messages import MAX_BYTES, recognised
from firkin.pytest.home import Home

LINES = [
    tuple(line.split("\t")) for line in Path(__file__).with_name("messages.txt").read_text().splitlines()
]


@pytest.mark.parametrize(("fault_id", "line"), LINES)
def test_a_message_gives_its_cause_and_the_fix(fault_id: str, line: str) -> None:
    (finding,) = recognised(f"some log\n  {line}\nend".encode())
    assert finding.id == fault_id
    assert line[:60] in finding.what
    assert finding.fix


class SpeaksHttp(BaseRequestHandler):
    """Answers a greeting of TLS as a web server does."""

    def handle(self) -> None:
        self.request.recv(1024)
        self.request.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")


def said_by_skopeo(*words: str) -> bytes:
    return subprocess.run(["skopeo", *words], capture_output=True, timeout=60).stderr


def test_what_skopeo_says_is_recognised(home: Home) -> None:
    certificates = home.work_dir / "certs"
    certificates.mkdir()
    (certificates / "client.key").touch()
    with ThreadingTCPServer(("127.0.0.1", 0), SpeaksHttp) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        plain = f"127.0.0.1:{server.server_address[1]}"
        image = f"docker://{plain}/x"
        said = [
            said_by_skopeo("inspect", image),
            said_by_skopeo("inspect", "--cert-dir", str(certificates), image),
            said_by_skopeo("--policy", str(home.work_dir / "policy.json"), "copy", image, "dir:copy"),
        ]
        server.shutdown()
    said.append(said_by_skopeo("inspect", image))
    found = [finding for line in said for finding in recognised(line)]
    assert [each.id for each in found] == ["plain-http", "certificates-lone", "policy-missing", "refused"]
    assert f"={plain} " in found[0].fix[0]
    assert found[1].fix[0].endswith("rm client.key")


def test_names_in_a_message_are_in_the_fix() -> None:
    (missing,) = recognised(b"cannot find UID/GID for user ada: no subuid ranges found")
    assert missing.fix[0].endswith(" ada && podman system migrate")
    (absent,) = recognised(b"Error: statfs /srv/my data: no such file or directory")
    assert absent.fix == ("mkdir -p '/srv/my data'",)


def test_the_registry_of_a_message_is_in_the_fix() -> None:
    (plain,) = recognised(
        b'Get "https://127.0.0.1:5000/v2/": http: server gave HTTP response to HTTPS client'
    )
    assert plain.fix[0].startswith("export FIRKIN_INSECURE_REGISTRIES=127.0.0.1:5000 ")
    (unknown,) = recognised(b'Get "https://reg.test/v2/": x509: certificate signed by unknown authority')
    assert "/etc/containers/certs.d/reg.test/ca.crt" in unknown.fix[2]


def test_a_name_in_a_message_cannot_become_a_command() -> None:
    (finding,) = recognised(b"Error: statfs /srv/$(reboot);`x`: no such file or directory")
    assert finding.fix == ("mkdir -p '/srv/$(reboot);`x`'",)


def test_each_fault_is_told_once_by_its_first_line() -> None:
    log = b"a: no space left on device\nb: connection refused\nc: no space left on device\n"
    assert [each.id for each in recognised(log)] == ["space", "refused"]
    assert "a: no space" in recognised(log)[0].what


def test_a_log_without_known_messages_tells_nothing() -> None:
    assert recognised(b"all is well\n\xff\xfe\0\n") == []


def test_our_own_hints_are_recognised() -> None:
    for fault in FAULTS.values():
        (finding,) = recognised(f"  hint: {fault.hint()}".encode())
        assert finding.id == fault.id


def test_a_log_without_an_end_is_refused() -> None:
    with pytest.raises(UsageError, match="more than 32 MiB"):
        recognised(b"x" * (MAX_BYTES + 1))


def test_a_long_line_costs_little() -> None:
    assert recognised(b"statfs " * 1_000_000) == []
