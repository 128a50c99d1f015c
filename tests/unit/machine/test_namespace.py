"""A namespace's network and its failures, as values."""

from __future__ import annotations

import errno
import struct

import pytest

from firkin.errors import HostUnsupported, PortInUse
from firkin.machine.namespace import network as networks
from firkin.machine.namespace.failure import failure
from firkin.machine.namespace.network import UserNetwork
from firkin.machine.spec import PublishedPort


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks.shutil, "which", lambda name, path: f"/usr/bin/{name}")


def report(kind: int, number: int, step: bytes, what: bytes) -> bytes:
    return struct.pack("=Ii32s224s", kind, number, step, what)


def test_the_hosts_loopback_has_no_address_unless_that_is_asked_for(installed):
    assert "--no-map-gw" in UserNetwork().command()
    assert "--no-map-gw" not in UserNetwork(host_loopback=True).command()


def test_only_published_ports_are_opened_and_none_of_the_hosts_is_the_containers(installed):
    command = UserNetwork(ports=PublishedPort.parse("127.0.0.1:8080-8081:80-81")).command()
    options = [command[at + 1] for at, word in enumerate(command) if word == "--tcp-ports"]
    assert options == ["127.0.0.1/8080:80", "127.0.0.1/8081:81"]
    for option in ("--udp-ports", "--tcp-ns", "--udp-ns"):
        assert command[command.index(option) + 1] == "none"


def test_a_port_on_every_address_names_none(installed):
    command = UserNetwork(ports=PublishedPort.parse("53:53/udp")).command()
    assert command[command.index("--udp-ports") + 1] == "53:53"


def test_without_pasta_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(networks.shutil, "which", lambda name, path: None)
    with pytest.raises(HostUnsupported, match="pasta") as refused:
        UserNetwork().command()
    assert "apt install passt" in refused.value.hint


def test_what_pid_1_reports_names_the_step_and_the_object():
    error = failure("web", report(3, errno.EINVAL, b"overlay", b"/data"))
    assert isinstance(error, HostUnsupported)
    assert "'web'" in str(error)
    assert "overlay /data: Invalid argument" in str(error)


def test_a_namespace_that_the_host_denies_has_the_doctors_hint():
    error = failure("web", report(3, errno.ENOSPC, b"namespaces", b"user"))
    assert error is not None
    assert "firkin doctor --explain userns-limited" in error.hint


def test_a_port_that_was_taken_meanwhile_is_told_as_one():
    complaint = "Failed to bind any port for '-t 8080:80', exiting\nFailed to send 51 bytes to syslog"
    assert isinstance(failure("web", report(3, errno.EIO, b"network", b"pasta"), complaint), PortInUse)


@pytest.mark.parametrize("said", [b"", b"1234", report(1, 0, b"", b"")])
def test_what_tells_of_no_failure_is_none(said):
    assert failure("web", said) is None
