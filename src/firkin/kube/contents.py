"""Contents: what ConfigMaps and Secrets of a manifest hold, by kind, name and key."""

from __future__ import annotations

import base64
import binascii
import re

import msgspec

from firkin.kube.fields import Fields, bad

_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
KINDS = ("ConfigMap", "Secret")


class Contents(msgspec.Struct, frozen=True):
    """Those of all documents."""

    held: dict[tuple[str, str], dict[str, bytes]]

    def of(self, kind: str, name: str, path: str, *, optional: bool) -> dict[str, bytes]:
        """What `name` holds; nothing where it is `optional` and not there. Raises UsageError for `path`."""
        found = self.held.get((kind, name))
        if found is None and not optional:
            raise bad(
                path, f"there is no {kind} {name!r} in the manifest", "add it, or give it with --configmap"
            )
        return found or {}

    def value(self, kind: str, name: str, key: str, path: str, *, optional: bool) -> bytes | None:
        """One key of it; None where that is `optional` and not there. Raises UsageError for `path`."""
        found = self.of(kind, name, path, optional=optional).get(key)
        if found is None and not optional:
            raise bad(path, f"{kind} {name!r} has no key {key!r}", "add it there")
        return found


def read(kind: str, document: Fields) -> tuple[str, dict[str, bytes]]:
    """The name and the content of a ConfigMap or a Secret. Raises UsageError."""
    with document:
        metadata = document.map("metadata")
        if metadata is None:
            raise bad(document.at("metadata"), "it is missing", "the manifest must name it")
        with metadata:
            name = metadata.needed("name")
            metadata.ignore("namespace", "labels", "annotations", "creationTimestamp")
        document.ignore("immutable", "type")
        plain, coded = ("data", "binaryData") if kind == "ConfigMap" else ("stringData", "data")
        found = {**_decoded(document, coded), **{k: v.encode() for k, v in document.pairs(plain).items()}}
        for key in found:
            if not _KEY.fullmatch(key):
                raise bad(document.at(f"data.{key}"), "it is no key", "use letters, digits, -, _ and .")
        return name, found


def _decoded(document: Fields, name: str) -> dict[str, bytes]:
    found = {}
    for key, text in document.pairs(name).items():
        try:
            found[key] = base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise bad(document.at(f"{name}.{key}"), "it is not base64", "encode it: base64 -w0") from error
    return found
