"""Who signed a Release file: gpgv and the keys that apt trusts on this host.

The rule: at least one good signature by a trusted key and none that is bad; only the bytes that were signed
are handed on.
"""

from __future__ import annotations

import base64
import binascii
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from firkin.errors import HostUnsupported, IntegrityError

_DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_DEADLINE_S = 30.0
_MAX_KEY_BYTES = 1 << 20
_REFUSALS = ("BADSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG")


def verify(
    signed: bytes, signature: bytes | None, signed_by: tuple[str, ...], apt_dir: Path, what: str
) -> bytes:
    """The signed content of an InRelease, or of a Release with its detached `signature`.

    Raises IntegrityError where no trusted key signed it, HostUnsupported without gpgv or without keys.
    """
    gpgv = shutil.which("gpgv")
    if gpgv is None:
        raise HostUnsupported(f"cannot verify {what}: there is no gpgv", hint="sudo apt install gpgv")
    keys = list(_trusted_keys(signed_by, apt_dir))
    if not keys:
        raise HostUnsupported(
            f"cannot verify {what}: no key is trusted", hint="install debian-archive-keyring"
        )
    with TemporaryDirectory(prefix="firkin-gpgv-") as name:
        return _run(gpgv, keys, signed, signature, Path(name), what)


def _run(
    gpgv: str, keys: list[bytes], signed: bytes, signature: bytes | None, home: Path, what: str
) -> bytes:
    argv = [gpgv, "--homedir", str(home), "--status-fd", "1"]
    for number, key in enumerate(keys):
        keyring = home / f"key{number}.gpg"
        keyring.write_bytes(key)
        argv += ["--keyring", str(keyring)]
    document, output = home / "signed", home / "content"
    document.write_bytes(signed)
    if signature is None:
        argv += ["--output", str(output), str(document)]
    else:
        (home / "signature").write_bytes(signature)
        argv += [str(home / "signature"), str(document)]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=_DEADLINE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostUnsupported(f"cannot verify {what}: {error}", hint="check gpgv") from error
    _judge(done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"), what)
    return output.read_bytes() if signature is None else signed


def _judge(status: str, complaint: str, what: str) -> None:
    said = {line.split()[1] for line in status.splitlines() if line.startswith("[GNUPG:] ")}
    if {"GOODSIG", "VALIDSIG"} <= said and not said.intersection(_REFUSALS):
        return
    reason = complaint.strip().splitlines()[-1:] or ["gpgv found no good signature"]
    raise IntegrityError(
        f"{what} is not signed by a key that apt trusts: {reason[0]}",
        hint="check Signed-By in apt's sources; nothing was kept",
    )


def _trusted_keys(signed_by: tuple[str, ...], apt_dir: Path) -> Iterable[bytes]:
    """The keys as gpgv reads them: those that the source names, else all that apt trusts."""
    if signed_by:
        for each in signed_by:
            if "BEGIN PGP" in each:
                yield _binary(each.encode())
            elif each.startswith("/"):
                yield from _key_file(Path(each))
        return
    paths = [apt_dir / "trusted.gpg", *sorted((apt_dir / "trusted.gpg.d").glob("*")), _DEBIAN_KEYRING]
    for path in paths:
        if path.suffix in (".gpg", ".asc"):
            yield from _key_file(path)


def _key_file(path: Path) -> Iterable[bytes]:
    try:
        with path.open("rb") as file:
            yield _binary(file.read(_MAX_KEY_BYTES))
    except OSError:
        return  # a key that cannot be read trusts nobody; without any other, verify says so


def _binary(key: bytes) -> bytes:
    """A key file without its armor (RFC 9580, 6.2): gpgv reads binary ones only."""
    if b"-----BEGIN PGP" not in key:
        return key
    packets = b""
    for block in key.split(b"-----BEGIN PGP PUBLIC KEY BLOCK-----")[1:]:
        lines = block.split(b"-----END PGP")[0].replace(b"\r", b"").partition(b"\n\n")[2].split()
        try:
            packets += base64.b64decode(b"".join(line for line in lines if not line.startswith(b"=")))
        except binascii.Error:
            continue
    return packets
