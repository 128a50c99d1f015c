"""RootWords: what is said of a container's root file system. The words of --rootfs are podman's."""

from __future__ import annotations

import os
from typing import TypedDict

from firkin.container.root import OF_AN_IMAGE, Root, RootFile, WritableLayer
from firkin.errors import UsageError
from firkin.units import parse_size


class RootWords(TypedDict, total=False):
    rootfs: bool
    """The image is the path of a file or block device with an ext4 on it; behind it `:rw` to write there."""
    writable_layer: str | int
    """What is written goes to a disk of its own: a new one of that size, or a file or block device with an
    ext4 on it, whose path begins with / . or ~.
    """


def root_of(image: str, words: RootWords) -> Root:
    """The root that is asked for. Raises UsageError."""
    file = _file(image) if words.get("rootfs", False) else None
    layer = _layer(words.get("writable_layer", ""))
    return OF_AN_IMAGE if file is None and layer is None else Root(file=file, layer=layer)


def _file(image: str) -> RootFile:
    path, colon, mode = image.rpartition(":")
    if not colon or mode not in ("rw", "O"):
        path, mode = image, ""
    if not is_path(path):
        raise UsageError(f"rootfs: {image!r} is not a path", hint="write /PATH, or /PATH:rw to write to it")
    return RootFile(path=_real(path), writable=mode == "rw")


def _layer(word: str | int) -> WritableLayer | None:
    if word == "":
        return None
    if isinstance(word, str) and word.startswith(("/", ".", "~")):
        if not is_path(word):
            raise UsageError(f"writable_layer: {word!r} is not a path", hint="write a size, or /PATH")
        return WritableLayer(file=RootFile(path=_real(word), role="writable_layer", writable=True))
    try:
        return WritableLayer(size_bytes=parse_size(str(word)))
    except UsageError as error:
        raise UsageError(
            f"writable_layer: {word!r} is neither a size nor a path",
            hint="write a size such as 2g, or a path that begins with / . or ~",
        ) from error


def is_path(text: str) -> bool:
    """Whether a file of this host could be called so."""
    return bool(text) and "\0" not in text and len(text) <= 4095


def _real(path: str) -> str:
    return os.path.realpath(os.path.expanduser(path))
