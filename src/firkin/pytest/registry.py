"""A real registry on loopback (distribution's, which Debian calls docker-registry), and a pusher to it.

The pusher sends what it is told, so that tests can push what no tool would: odd media types, wrong digests,
indexes over anything.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import re
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firkin.errors import HostUnsupported, Timeout
from firkin.oci.digest import Digest

PROGRAMS = ("docker-registry", "registry", "distribution")
"""What Debian, and distribution's own releases and packages, call it."""

_DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True)
class Registry:
    """A running registry. `host` is 127.0.0.1:<port>."""

    host: str
    storage_dir: Path
    log_path: Path
    ca_path: Path | None = None
    login: tuple[str, str] | None = None

    def reference(self, repository: str, tag: str = "latest") -> str:
        return f"{self.host}/{repository}:{tag}"

    def put_blob(self, repository: str, content: bytes | Path) -> Digest:
        """Push a blob, in one piece."""
        digest = Digest.of(content) if isinstance(content, bytes) else digest_of(content)
        if self._request("HEAD", f"/v2/{repository}/blobs/{digest}", accepted=(200, 404))[0] == 200:
            return digest
        _, headers, _ = self._request("POST", f"/v2/{repository}/blobs/uploads/", accepted=(202,))
        location = re.sub(r"^https?://[^/]+", "", headers["location"])
        joint = "&" if "?" in location else "?"
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        sent = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        with contextlib.ExitStack() as stack:
            body = content if isinstance(content, bytes) else stack.enter_context(content.open("rb"))
            self._request("PUT", f"{location}{joint}digest={digest}", body, sent, accepted=(201,))
        return digest

    def put_manifest(self, repository: str, tag: str, content: bytes, media_type: str) -> Digest:
        """Push a manifest or an index, whose blobs are there already."""
        sent = {"Content-Type": media_type}
        self._request("PUT", f"/v2/{repository}/manifests/{tag}", content, sent, accepted=(201,))
        return Digest.of(content)

    def _request(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        *,
        accepted: tuple[int, ...],
    ) -> tuple[int, dict[str, str], bytes]:
        connection: http.client.HTTPConnection
        if self.ca_path is None:
            connection = http.client.HTTPConnection(self.host, timeout=120)
        else:
            context = ssl.create_default_context(cafile=str(self.ca_path))
            connection = http.client.HTTPSConnection(self.host, timeout=120, context=context)
        with contextlib.closing(connection):
            connection.request(method, path, body, (headers or {}) | self._authorization())
            response = connection.getresponse()
            content = response.read()
        assert response.status in accepted, f"{method} {path}: {response.status} {content[:500]!r}"
        return response.status, {k.lower(): v for k, v in response.getheaders()}, content

    def _authorization(self) -> dict[str, str]:
        if self.login is None:
            return {}
        from firkin.registry.credentials import Credentials

        return {"Authorization": Credentials(*self.login).basic}


@contextlib.contextmanager
def running_registry(
    directory: Path, *, login: tuple[str, str] | None = None, tls: bool = False
) -> Iterator[Registry]:
    """A registry whose files are all in `directory`, ended when the block ends or this process dies.

    Only `login`, a name and a password, may use it where one is given; with `tls` its certificate is one that
    nobody else trusts. Raises HostUnsupported where no registry is installed.
    """
    program = _program()
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(directory / "storage")}, "delete": {"enabled": True}},
        "http": {"addr": "127.0.0.1:0", "secret": "tests"},
    }
    if login is not None:
        (directory / "htpasswd").write_text(f"{login[0]}:{_bcrypt(login[1])}\n")
        config["auth"] = {"htpasswd": {"realm": "tests", "path": str(directory / "htpasswd")}}
    if tls:
        certificate, key = self_signed(directory)
        config["http"]["tls"] = {"certificate": str(certificate), "key": str(key)}
    config_path = directory / "config.json"  # JSON is YAML too
    config_path.write_text(json.dumps(config))
    log_path = directory / "log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", program, "serve", str(config_path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        host = f"127.0.0.1:{_port(process, log_path)}"
        yield Registry(host, directory / "storage", log_path, directory / "cert.pem" if tls else None, login)
    finally:
        process.terminate()
        process.wait(20)


def self_signed(directory: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody else trusts, and its key."""
    certificate, key = directory / "cert.pem", directory / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=tests"
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return certificate, key


def _bcrypt(password: str) -> str:
    """`password` as the registry's htpasswd file wants it (Python's own crypt module ends with 3.12)."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    hashed: bytes = crypt(password.encode(), b"$2b$04$" + b"firkinfirkinfirkin.tes")
    return hashed.decode()


def _program() -> str:
    for name in PROGRAMS:
        if found := shutil.which(name):
            return found
    raise HostUnsupported(
        f"there is no registry on PATH ({', '.join(PROGRAMS)})", hint="apt install docker-registry"
    )


def _port(process: subprocess.Popen[bytes], log_path: Path) -> int:
    """The port that the kernel chose, from the log: the line is written once the socket listens."""
    end = time.monotonic() + _DEADLINE_S
    while process.poll() is None and time.monotonic() < end:
        if match := re.search(rb"listening on 127\.0\.0\.1:(\d+)", log_path.read_bytes()):
            return int(match[1])
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
    raise Timeout(
        f"the registry did not listen within {_DEADLINE_S:g} s, or ended: {log_path.read_text()[-2000:]}"
    )


def digest_of(path: Path) -> Digest:
    import hashlib

    with path.open("rb") as file:
        return Digest("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())
