"""Key: what sigstore signs with and is verified by. SHA-256 with ECDSA or RSA (PKCS #1 v1.5), or Ed25519:
what cosign makes of each kind of key.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from firkin.errors import Untrusted, UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    AnyPublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
    AnyPrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

MAX_KEY_BYTES = 64 << 10
MIN_RSA_BITS = 2048
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
_COSIGN = re.compile(rb"-----BEGIN ENCRYPTED (?:COSIGN|SIGSTORE) PRIVATE KEY-----")
_KINDS = "ECDSA on P-256, P-384 or P-521, RSA of at least 2048 bits, or Ed25519"
_MAKE = "make one: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -aes256 -out FILE"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that verifies. Made by `load`, which refuses what is weak or unknown."""

    _key: AnyPublicKey

    @classmethod
    def load(cls, pem: bytes, what: str) -> PublicKey:
        """The key of a PEM text. Raises Untrusted, which says `what` cannot be used."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        hint = f"it has to be a public key in PEM: {_KINDS}"
        try:
            key: Any = load_pem_public_key(pem[: MAX_KEY_BYTES + 1])
        except (ValueError, UnsupportedAlgorithm) as error:
            raise Untrusted(f"cannot use {what}: it is not a public key in PEM", hint=hint) from error
        if len(pem) > MAX_KEY_BYTES or not _is_usable(key):
            raise Untrusted(f"cannot use {what}: not a kind of key that firkin verifies with", hint=hint)
        return cls(key)

    @property
    def pem(self) -> bytes:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def verifies(self, signature: bytes, content: bytes) -> bool:
        """Whether this key's owner signed `content` so."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
        from cryptography.hazmat.primitives.hashes import SHA256

        try:
            if isinstance(self._key, ed25519.Ed25519PublicKey):
                self._key.verify(signature, content)
            elif isinstance(self._key, ec.EllipticCurvePublicKey):
                self._key.verify(signature, content, ec.ECDSA(SHA256()))
            else:
                self._key.verify(signature, content, padding.PKCS1v15(), SHA256())
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True, repr=False)
class PrivateKey:
    """A key that signs. Its repr shows nothing of it."""

    _key: AnyPrivateKey

    @classmethod
    def load(cls, content: bytes, what: str, passphrase: Callable[[], bytes]) -> PrivateKey:
        """The key of a PEM text, PKCS #8 or its kind's own format, encrypted or not.

        `passphrase` is called where it is encrypted, and only there. Raises UsageError, which names `what`.
        cosign's own format is refused: its cipher (XSalsa20) is in no library that firkin stands on.
        """
        if _COSIGN.search(content):
            raise UsageError(
                f"cannot use the private key {what}: it is in the format of cosign generate-key-pair",
                hint=f"{_MAKE}; `cosign import-key-pair --key FILE` gives cosign the same key",
            )
        try:
            key = _load_private(content, passphrase)
        except ValueError as error:
            hint = f"check the passphrase, or {_MAKE}"
            raise UsageError(f"cannot use the private key {what}: {error}", hint=hint) from error
        if not _is_usable(key.public_key()):
            raise UsageError(f"cannot sign with {what}: firkin signs with {_KINDS}", hint=_MAKE)
        return cls(key)

    @property
    def public(self) -> PublicKey:
        return PublicKey(self._key.public_key())

    def sign(self, content: bytes) -> bytes:
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding
        from cryptography.hazmat.primitives.hashes import SHA256

        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(content)
        if isinstance(self._key, ec.EllipticCurvePrivateKey):
            return self._key.sign(content, ec.ECDSA(SHA256()))
        return self._key.sign(content, padding.PKCS1v15(), SHA256())


def _load_private(content: bytes, passphrase: Callable[[], bytes]) -> Any:
    """Raises ValueError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if len(content) > MAX_KEY_BYTES:
        raise ValueError("it is too long to be one")
    try:
        try:
            return load_pem_private_key(content, None)
        except TypeError:  # it is encrypted
            return load_pem_private_key(content, passphrase())
    except (UnsupportedAlgorithm, TypeError) as error:  # TypeError: an empty passphrase
        raise ValueError(str(error)) from error


def _is_usable(key: object) -> bool:
    """Whether `key`, a public one, is of a kind and strength that firkin trusts."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size >= MIN_RSA_BITS
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key.curve.name in _CURVES
    return isinstance(key, ed25519.Ed25519PublicKey)
