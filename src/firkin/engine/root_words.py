"""RootWords: what is said of a container's root file system. The words of --rootfs are podman's."""

from __future__ import annotations

import os
from typing import TypedDict

from firkin.container.root import OF_AN_IMAGE, Root, RootFile
from firkin.errors import UsageError


class RootWords(TypedDict, total=False):
    rootfs: bool
    """The image is the path of a file or block device with an ext4 on it; behind it `:rw` to write there."""


def root_of(image: str, words: RootWords) -> Root:
    """The root that is asked for. Raises UsageError."""
    if not words.get("rootfs", False):
        return OF_AN_IMAGE
    path, colon, mode = image.rpartition(":")
    if not colon or mode not in ("rw", "O"):
        path, mode = image, ""
    if not path or "\0" in path or len(path) > 4095:
        raise UsageError(f"rootfs: {image!r} is not a path", hint="write /PATH, or /PATH:rw to write to it")
    return Root(file=RootFile(path=os.path.realpath(os.path.expanduser(path)), writable=mode == "rw"))
