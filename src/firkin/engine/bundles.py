"""Bundles: a directory with a config.json and a root file system, which becomes an image that a container
stands on as on any other.

    DIR/config.json   what runs there, and how; see engine.bundle_words
    DIR/rootfs/       where root.path says; each file is owned in the container as it is on the disk

The image is known as localhost/bundle:<the directory's name>-<digits of its path>: one image a bundle, that
of its last run; the same tree gives the same image. The rule: nothing of the bundle is executed or mounted
here, and nothing that a rootfs' links name outside of it is read.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, Unpack, cast

import msgspec

from firkin.archive.packing import pack
from firkin.engine import rules
from firkin.engine.bundle_words import words_of
from firkin.engine.images import Images
from firkin.engine.options import RunOptions
from firkin.engine.words import RunWords, run_options
from firkin.errors import UsageError
from firkin.oci.runtime_spec import MAX_BYTES, RuntimeSpec, parse, refused
from firkin.settings import Settings

_SAID_THERE = (
    *("entrypoint", "env", "env_files", "workdir", "user", "groups", "umask", "ulimits", "scheduler"),
    *("privileged", "capabilities", "cap_add", "cap_drop", "security_opts", "no_new_privs", "seccomp"),
    *("selinux", "apparmor", "oom_score_adj", "io_priority", "read_only", "terminal", "init"),
    *("platform",),
)
"""Words that a config.json has the last one of, whether it says something or not."""

_END = bytes(1024)  # two empty blocks end a tar


class Bundle(msgspec.Struct, frozen=True):
    """A bundle that can be run. `root` is its root file system's directory."""

    directory: str
    spec: RuntimeSpec
    root: str

    @property
    def reference(self) -> str:
        """What its image is called."""
        name = re.sub(r"[^A-Za-z0-9_.-]", "", os.path.basename(self.directory)).lstrip(".-")[:64]
        return f"localhost/bundle:{name or 'root'}-{hashlib.sha256(self.directory.encode()).hexdigest()[:12]}"


def read(directory: str | os.PathLike[str]) -> Bundle:
    """The bundle there, its config.json checked as far as a file can be. Raises UsageError."""
    path = os.path.realpath(directory)
    try:
        with open(os.path.join(path, "config.json"), "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"cannot read {path}/config.json: {error.strerror}",
            hint="a bundle is a directory with a config.json and a root file system",
        ) from error
    if len(content) > MAX_BYTES:
        raise refused(f"it is larger than {MAX_BYTES >> 20} MiB", "give a smaller one")
    spec = parse(content)
    root = os.path.realpath(os.path.join(path, spec.root.path))
    if not os.path.isdir(root) or root == "/":
        raise refused(f"root.path {spec.root.path!r} is no directory of a root file system", "mend it")
    return Bundle(path, spec, root)


def options_of(bundle: Bundle, **words: Unpack[RunWords]) -> RunOptions:
    """What running `bundle` means, with `words` beside it about what a config.json says nothing of.

    Raises UsageError for a word that the bundle has, and for what in it cannot be honoured.
    """
    said, bundled = words_of(bundle.spec, bundle.directory)
    beside = _beside(words, said)
    try:
        options = run_options(bundle.reference, bundle.spec.process.args, **{**beside, **said})
        options = msgspec.structs.replace(options, bundle=bundled, pull="never")
        rules.check(options)
    except UsageError as error:
        raise UsageError(f"bundle {bundle.directory}: {error}", hint=error.hint) from error
    return options


async def put(bundle: Bundle, settings: Settings) -> None:
    """Make its root file system an image, which its options name. Raises as Images.import_archive, and
    NotFound, UsageError, Conflict where the tree cannot be read or changes meanwhile.
    """
    images = Images(settings)
    archive = cast(BinaryIO, _Packed(bundle.root))
    await images.import_archive(archive, bundle.reference, message=f"bundle {bundle.directory}")
    await images.sweep()


def _beside(words: RunWords, said: dict[str, Any]) -> dict[str, Any]:
    """`words` without those that say nothing. Raises UsageError for one that the bundle says, too."""
    given: dict[str, Any] = {name: value for name, value in words.items() if _is_said(value)}
    given.pop("environ", None)
    adding = given.pop("mounts", ())
    for name in given:
        if name in _SAID_THERE or _is_said(said.get(name)):
            raise UsageError(f"{name}: the bundle's config.json says it", hint="say it there, and not here")
    said["mounts"] = [*said["mounts"], *adding]
    for name in given:
        said.pop(name, None)
    if given.pop("pull", "missing") != "missing":
        raise UsageError("pull: a bundle brings its own files", hint="leave it out")
    published = "publish" in given or "publish_all" in given
    return {"network": "user" if published else "none", **given}


def _is_said(value: object) -> bool:
    """Zero says something."""
    return value is not None and value is not False and value not in ("", (), [], {})


class _Packed(io.RawIOBase):
    """A tree of this host as the archive that it makes."""

    def __init__(self, root: str) -> None:
        self.name = root
        self._pieces = self._packed(root)
        self._left = b""

    def _packed(self, root: str) -> Iterator[bytes]:
        yield from pack(root, b".")
        yield _END

    def read(self, size: int = -1) -> bytes:
        while len(self._left) < size and (piece := next(self._pieces, b"")):
            self._left += piece
        found, self._left = self._left[:size], self._left[size:]
        return found
