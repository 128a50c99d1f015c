"""Certificates: whom TLS believes, and the keys of registries that want one (containers-certs.d(5))."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from firkin.faults import images
from firkin.faults.fault import Finding
from firkin.host import reading
from firkin.host.asker import Asker

_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",
)
_MOST_HOSTS = 200


class Facts(msgspec.Struct, frozen=True):
    """`lone` are files without their other half: (path, what is missing)."""

    believed: bool = True
    searched: tuple[str, ...] = _BUNDLES
    lone: tuple[tuple[str, str], ...] = ()


def gather(asker: Asker) -> Facts:
    named = [asker.environ[name] for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if asker.environ.get(name)]
    searched = tuple(named) or _BUNDLES
    places = (
        asker.config_home / "containers/certs.d",
        Path("/etc/containers/certs.d"),
        Path("/etc/docker/certs.d"),
    )
    hosts = [place / host for place in places for host in reading.names(place, _MOST_HOSTS)]
    lone = tuple(found for host in hosts for found in _lone(host))
    return Facts(any(map(_holds_any, searched)), searched, lone)


def _holds_any(path: str) -> bool:
    try:
        return bool(reading.names(path, 1)) if os.path.isdir(path) else os.path.getsize(path) > 0
    except OSError:
        return False


def _lone(host: Path) -> Iterator[tuple[str, str]]:
    names = set(reading.names(host))
    for name in sorted(names):
        stem, dot, ending = name.rpartition(".")
        other = {"key": "cert", "cert": "key"}.get(ending)
        if dot and other and f"{stem}.{other}" not in names:
            yield str(host / name), f"{stem}.{other}"


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    if not facts.believed:
        where = ", ".join(facts.searched)
        yield images.CERTIFICATES_MISSING.found(
            f"there are no certificates of authorities: looked at {where}"
        )
    for path, missing in facts.lone[:1]:
        directory = os.path.dirname(path)
        what = f"{path} has no {missing} beside it"
        yield images.CERTIFICATES_LONE.found(what, path=path, directory=directory, missing=missing)
