"""Names of containers: made up or chosen, unique, and found again by name, id or the beginning of an id.

    names/<name> -> <id>      a symbolic link that names a directory of containers/, nothing more

The rule: a name is taken while its link leads to a container that exists. A crash can only leave a link that
leads nowhere, which the next container of that name replaces. Links change under the lock of names/ alone;
readers take no lock.
"""

from __future__ import annotations

import os
import random
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from firkin.errors import ContainerNotFound, NameInUse, UsageError
from firkin.paths import Paths
from firkin.store.files import disk_errors
from firkin.store.lock import locked

ID_DIGITS = 64
_ID = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}")
_LOCK = ".lock"
_LOCK_DEADLINE_S = 10.0
_MOODS = (
    "amber brisk calm candid cosy crisp deft eager early fair fleet fond frank gentle glad hardy hazel "
    "honest jolly keen kind lively lucid mellow merry mild modest neat nimble patient plucky polite "
    "prompt proud quick quiet ready robust rosy sage sharp silent sleek sober solid spry steady stout "
    "sturdy sunny swift tidy trusty upbeat vivid warm wise witty young zesty "
)
_CASKS = (
    "anker barrel basin beaker bottle bucket butt canteen carafe carboy cask chalice cistern coffer crate "
    "crock cruse cup decanter demijohn dipper drum ewer fiasco flagon flask goblet growler hamper "
    "hogshead jar jug keg kettle kilderkin ladle magnum mug noggin pail pin pipe pitcher puncheon rundlet "
    "samovar stein tankard tierce trough tub tumbler tun urn vat vessel vial "
)


def new_id() -> str:
    """A container's id: 64 random hex digits."""
    return os.urandom(ID_DIGITS // 2).hex()


def is_id(text: str) -> bool:
    """Whether `text` is a whole id."""
    return _ID.fullmatch(text) is not None


def validate(name: str) -> str:
    """`name`, if a container may have it. Raises UsageError."""
    if not _NAME.fullmatch(name) or is_id(name):
        raise UsageError(
            f"{name!r} is not a container name",
            hint="use 2 to 128 letters, digits, _ . and -, beginning with a letter or digit",
        )
    return name


def make_up(paths: Paths) -> str:
    """A name that no container has now; whoever takes it must still be ready for NameInUse."""
    for attempt in range(1000):
        name = f"{random.choice(_MOODS.split())}_{random.choice(_CASKS.split())}"
        if attempt >= 10:
            name += str(random.randrange(10 ** min(attempt // 10, 9)))
        if named(paths, name) is None:
            return name
    return f"container_{uuid.uuid4().hex}"


def named(paths: Paths, name: str) -> str | None:
    """The id of the container that has `name`; None where there is none."""
    try:
        target = os.readlink(paths.names_dir / name)
    except OSError:
        return None
    return target if is_id(target) and paths.container_dir(target).is_dir() else None


@contextmanager
def reserved(paths: Paths, name: str, container_id: str) -> Iterator[None]:
    """Give `name` to `container_id`, whose directory must appear within the block.

    Nobody else takes a name meanwhile. Raises NameInUse. Where the block fails, or the process dies in it,
    the link leads nowhere and the name is free.
    """
    with disk_errors(paths.names_dir):
        paths.names_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock_path = paths.names_dir / _LOCK
    with locked(lock_path, shared=False, deadline_s=_LOCK_DEADLINE_S, what="the table of names is in use"):
        if (holder := named(paths, name)) is not None:
            raise NameInUse(
                f"container name {name!r} is in use by {holder[:12]}",
                hint=f"choose another name, or `firkin rm {name}` first",
            )
        temporary = paths.names_dir / f".{uuid.uuid4().hex}"
        with disk_errors(paths.names_dir):
            temporary.symlink_to(container_id)
            temporary.rename(paths.names_dir / name)
        yield


def release(paths: Paths, name: str, container_id: str) -> None:
    """Take `name` back from `container_id`, whose directory is gone, unless it has a new holder."""
    path = paths.names_dir / name
    with locked(
        paths.names_dir / _LOCK,
        shared=False,
        deadline_s=_LOCK_DEADLINE_S,
        what="the table of names is in use",
    ):
        try:
            if os.readlink(path) == container_id:
                path.unlink()
        except FileNotFoundError:
            pass


def lookup(paths: Paths, text: str) -> str:
    """The id of the container that `text` is: its id, its name, or the beginning of its id.

    Raises ContainerNotFound, UsageError where several ids begin so.
    """
    if is_id(text) and paths.container_dir(text).is_dir():
        return text
    if _NAME.fullmatch(text) and (holder := named(paths, text)):
        return holder
    matches = [each for each in ids(paths) if text and each.startswith(text)]
    if len(matches) > 1:
        some = ", ".join(each[:16] for each in matches[:4])
        raise UsageError(
            f"several containers have an id that begins with {text!r}: {some}", hint="give more digits"
        )
    if not matches:
        raise ContainerNotFound(f"no such container: {text!r}", hint="`firkin ps -a` lists them")
    return matches[0]


def ids(paths: Paths) -> list[str]:
    """The ids of all containers, in no order."""
    try:
        return [name for name in os.listdir(paths.containers_dir) if is_id(name)]
    except FileNotFoundError:
        return []
