"""The words for a health check, and what they make of the image's."""

from __future__ import annotations

from typing import Any

import pytest

from firkin.container.health import HealthCheck
from firkin.container.port_test import PortTest
from firkin.engine.health_facts import image_check
from firkin.engine.health_words import health_check, health_options
from firkin.engine.image_changes import changed
from firkin.errors import UsageError
from firkin.oci.healthcheck import ImageHealthCheck
from firkin.oci.image_config import ImageConfig, decode_config, encode_config
from firkin.oci.platform import Platform

IMAGE = ImageHealthCheck(test=("CMD", "ping"), interval=5 * 10**9, retries=9)
BASH = ("/bin/bash", "-c")


def made(
    image: ImageHealthCheck | None = None, shell: tuple[str, ...] = (), **words: Any
) -> HealthCheck | None:
    return health_check(health_options(words), image, shell)


def test_what_is_not_said_is_the_images_and_else_dockers_default() -> None:
    assert made() is None
    check = made(health_cmd="curl -f http://localhost")
    assert check == HealthCheck(test=("CMD-SHELL", "curl -f http://localhost"))
    assert (check.interval_s, check.timeout_s, check.retries) == (30, 30, 3)
    assert (check.start_period_s, check.start_interval_s) == (0, 5)
    inherited = made(IMAGE, BASH)
    assert inherited == HealthCheck(test=("CMD", "ping"), shell=BASH, interval_s=5, retries=9)
    mixed = made(IMAGE, health_interval="1m30s", health_retries="2", health_start_period="500ms")
    assert mixed == HealthCheck(test=("CMD", "ping"), interval_s=90, retries=2, start_period_s=0.5)
    assert made(IMAGE, health_cmd=["test", "-e", "/x"], health_interval=0) == HealthCheck(
        test=("CMD", "test", "-e", "/x"), interval_s=5, retries=9
    )
    assert made(IMAGE, no_healthcheck=True) is None
    assert made(ImageHealthCheck(test=("NONE",))) is None


def test_a_port_is_asked_as_it_is_written() -> None:
    check = made(IMAGE, health_http="http://localhost/ready", health_on_failure="stop")
    assert check is not None
    assert (check.test, check.on_failure) == (("HTTP", "http://localhost:80/ready"), "stop")
    check = made(health_http=["https://[::1]:8443/?q", "Host: me", "X: y"])
    assert check is not None
    assert check.port is not None
    assert PortTest.parse(check.port.test) == check.port
    assert check.port.request == (
        b"GET /?q HTTP/1.1\r\nUser-Agent: firkin-probe\r\nAccept: */*\r\nHost: me\r\nX: y\r\n"
        b"Connection: close\r\n\r\n"
    )
    assert made(health_tcp="80") == made(health_tcp=80) == HealthCheck(test=("TCP", "80"))
    assert made(health_grpc=9000) == HealthCheck(test=("GRPC", "9000"))
    call = made(health_grpc="9000/a/b.C")
    assert call == HealthCheck(test=("GRPC", "9000", "a/b.C"))
    assert call.port is not None
    assert PortTest.parse(call.port.test) == call.port


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ({"health_interval": "1s"}, "^health_cmd: neither"),
        ({"no_healthcheck": True, "health_cmd": "x"}, "^no_healthcheck: "),
        ({"health_cmd": "x", "health_interval": "soon"}, "^health_interval: "),
        ({"health_cmd": "x", "health_interval": "0.1ms"}, "^health_interval: .*1 ms"),
        ({"health_cmd": "x", "health_timeout": -1}, "^health_timeout: "),
        ({"health_cmd": "x", "health_timeout": float("nan")}, "^health_timeout: "),
        ({"health_cmd": "x", "health_start_period": "9000h"}, "^health_start_period: "),
        ({"health_cmd": "x", "health_retries": -1}, "^health_retries: "),
        ({"health_cmd": "x", "health_retries": "many"}, "^health_retries: "),
        ({"health_cmd": "a\0b"}, "^health_cmd: "),
        ({"health_cmd": []}, "^health_cmd: "),
        ({"health_cmd": "x", "health_tcp": 80}, "^health_cmd and health_tcp: "),
        ({"health_grpc": "0/x"}, "^health_grpc: '0' is not a TCP port"),
        ({"health_grpc": "80/a b"}, "^health_grpc: 'a b' is not the name of a service"),
        ({"health_tcp": "http"}, "^health_tcp: 'http' is not a TCP port"),
        ({"health_http": "localhost:80"}, "^health_http: .* no address of a page"),
        ({"health_http": "http://example.org/"}, "^health_http: .* asked itself, and not example.org"),
        ({"health_http": "http://me@localhost/"}, "^health_http: "),
        ({"health_http": "http://localhost:99999/"}, "^health_http: "),
        ({"health_http": ["http://localhost/", "no header"]}, "^health_http: 'no header'"),
        ({"health_http": ["http://localhost/", "a: b\r\nc: d"]}, "^health_http: "),
        ({"health_cmd": "x", "health_on_failure": "reboot"}, "^health_on_failure: 'reboot'"),
        ({"health_on_failure": "kill"}, "^health_cmd: neither"),
    ],
)
def test_what_makes_no_check_is_refused_by_its_name(words: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        made(**words)


@pytest.mark.parametrize(
    "image",
    [
        ImageHealthCheck(test=("CMD",)),
        ImageHealthCheck(test=("CMD-SHELL", "a", "b")),
        ImageHealthCheck(test=("WHAT", "a")),
        ImageHealthCheck(test=("CMD", "a"), interval=-1),
        ImageHealthCheck(test=("CMD", "a"), timeout=5),
        ImageHealthCheck(test=("CMD", "a"), retries=-1),
    ],
)
def test_an_image_with_a_check_that_cannot_be_run_is_refused_but_without_it(image: ImageHealthCheck) -> None:
    with pytest.raises(UsageError, match="the image has a health check that cannot be run"):
        made(image)
    assert made(image, no_healthcheck=True) is None


def test_an_image_config_keeps_its_check_in_dockers_form() -> None:
    document = (
        b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers"},"config":{"Shell":["/bin/bash","-c"],'
        b'"Healthcheck":{"Test":["CMD","ping"],"Interval":5000000000,"Retries":9}}}'
    )
    config = decode_config(document, "a config")
    assert (config.healthcheck, config.shell) == (IMAGE, BASH)
    assert decode_config(encode_config(config), "ours") == config
    check = made(IMAGE, BASH)
    assert check is not None
    assert made(image_check(check), BASH) == check


@pytest.mark.parametrize(
    ("line", "check"),
    [
        (
            "HEALTHCHECK --interval=5s --timeout=1m --start-period=500ms --start-interval=1s "
            "--retries=9 CMD a b",
            ImageHealthCheck(
                test=("CMD-SHELL", "a b"), interval=5 * 10**9, timeout=60 * 10**9, start_period=5 * 10**8,
                start_interval=10**9, retries=9,
            ),
        ),
        ('healthcheck cmd ["ping", "-c1"]', ImageHealthCheck(test=("CMD", "ping", "-c1"))),
        ("HEALTHCHECK NONE", ImageHealthCheck(test=("NONE",))),
    ],
)  # fmt: skip
def test_an_image_is_given_a_check_as_by_a_dockerfile(line: str, check: ImageHealthCheck) -> None:
    config = ImageConfig(platform=Platform.host(), diff_ids=())
    assert changed(config, [line]).healthcheck == check


@pytest.mark.parametrize(
    "line",
    ["HEALTHCHECK", "HEALTHCHECK CMD", "HEALTHCHECK NONE x", "HEALTHCHECK curl x", "HEALTHCHECK CMD []",
     "HEALTHCHECK --interval=soon CMD a", "HEALTHCHECK --timeout=1ns CMD a", "HEALTHCHECK --forever CMD a"],
)  # fmt: skip
def test_what_is_no_check_in_a_dockerfile_either_is_refused(line: str) -> None:
    with pytest.raises(UsageError):
        changed(ImageConfig(platform=Platform.host(), diff_ids=()), [line])
