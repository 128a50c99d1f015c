"""Naming: unique names for what is kept in a directory named by its id, and the ways to find it again.

    <links>/<name> -> <id>      a symbolic link that names a directory of <objects>/, nothing more

The rule: a name is taken while its link leads to an object that exists. A crash can only leave a link that
leads nowhere, which the next object of that name replaces. Links change under the lock of their directory
alone; readers take no lock.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import msgspec

from firkin.errors import NameInUse, NotFound, UsageError
from firkin.store.files import disk_errors
from firkin.store.lock import locked

ID_DIGITS = 64
_ID = re.compile(r"[0-9a-f]{64}")
MAX_NAME_CHARS = 128
_NAME = re.compile(rf"[a-zA-Z0-9][a-zA-Z0-9_.-]{{1,{MAX_NAME_CHARS - 1}}}")
_LOCK = ".lock"
_LOCK_DEADLINE_S = 10.0


def new_id() -> str:
    """An id: 64 random hex digits."""
    return os.urandom(ID_DIGITS // 2).hex()


def is_id(text: str) -> bool:
    """Whether `text` is a whole id."""
    return _ID.fullmatch(text) is not None


class Naming(msgspec.Struct, frozen=True):
    """The names of one kind of object."""

    kind: str
    """What a person calls one."""
    links_dir: Path
    objects_dir: Path
    missing: type[NotFound]
    """Raised where there is none of that name."""
    lists: str
    """The command that lists them."""
    removes: str
    """The command that removes one."""

    def validate(self, name: str) -> str:
        """`name`, if one may have it. Raises UsageError."""
        if not _NAME.fullmatch(name) or is_id(name):
            strange = "".join(sorted(set(re.sub(r"[a-zA-Z0-9_.-]", "", name))))
            raise UsageError(
                f"{name!r} is not a {self.kind} name" + f": it has {strange!r}" * bool(strange),
                hint="use 2 to 128 letters, digits, _ . and -, beginning with a letter or digit",
            )
        return name

    def named(self, name: str) -> str | None:
        """The id of the one that has `name`; None where there is none."""
        try:
            target = os.readlink(self.links_dir / name)
        except OSError:
            return None
        return target if self._exists(target) else None

    def check_free(self, name: str) -> None:
        """Raise NameInUse where `name` has a holder now."""
        if (holder := self.named(name)) is not None:
            raise NameInUse(
                f"{self.kind} name {name!r} is in use by {holder[:12]}",
                hint=f"choose another name, or `{self.removes} {name}` first",
            )

    @contextmanager
    def reserved(self, name: str, object_id: str) -> Iterator[None]:
        """Give `name` to `object_id`, whose directory is there or must appear within the block.

        Nobody else takes a name meanwhile. Raises NameInUse. Where the block fails, or the process dies in
        it, and there is no directory, the link leads nowhere and the name is free.
        """
        with disk_errors(self.links_dir):
            self.links_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._locked():
            if self.named(name) != object_id:
                self.check_free(name)
            temporary = self.links_dir / f".{uuid.uuid4().hex}"
            with disk_errors(self.links_dir):
                temporary.symlink_to(object_id)
                temporary.rename(self.links_dir / name)
            yield

    def release(self, name: str, object_id: str) -> None:
        """Take `name` back from `object_id`, whose directory is gone, unless it has a new holder."""
        path = self.links_dir / name
        with self._locked():
            try:
                if os.readlink(path) == object_id:
                    path.unlink()
            except FileNotFoundError:
                pass

    def settle(self, name_of: Callable[[str], str]) -> None:
        """Take back the names of objects that have another one, which `name_of` tells by their ids; "" for
        one that cannot be asked. That is what a change of names leaves that was cut off.
        """
        with self._locked():
            for name in os.listdir(self.links_dir):
                holder = self.named(name)
                if holder is not None and name_of(holder) not in ("", name):
                    (self.links_dir / name).unlink()

    def lookup(self, text: str) -> str:
        """The id of the one that `text` is: its id, its name, or the beginning of its id.

        Raises `missing`, UsageError where several ids begin so.
        """
        if self._exists(text):
            return text
        if _NAME.fullmatch(text) and (holder := self.named(text)):
            return holder
        matches = [each for each in self.ids() if text and each.startswith(text)]
        if len(matches) > 1:
            some = ", ".join(each[:16] for each in matches[:4])
            raise UsageError(
                f"several {self.kind}s have an id that begins with {text!r}: {some}", hint="give more digits"
            )
        if not matches:
            raise self.missing(f"no such {self.kind}: {text!r}", hint=f"`{self.lists}` lists them")
        return matches[0]

    def ids(self) -> list[str]:
        """The ids of all, in no order."""
        try:
            return [name for name in os.listdir(self.objects_dir) if is_id(name)]
        except FileNotFoundError:
            return []

    def _exists(self, text: str) -> bool:
        return is_id(text) and (self.objects_dir / text).is_dir()

    def _locked(self) -> AbstractContextManager[None]:
        path, what = self.links_dir / _LOCK, "the table of names is in use"
        return locked(path, shared=False, deadline_s=_LOCK_DEADLINE_S, what=what)
