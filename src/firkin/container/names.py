"""Names of containers: made up or chosen, unique, and found again by name, id or the beginning of an id.

names/<name> -> <id>      see container.naming
"""

from __future__ import annotations

import os

from firkin.container.naming import Naming
from firkin.errors import ContainerNotFound
from firkin.paths import Paths

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


def of(paths: Paths) -> Naming:
    """The names of the containers there."""
    return Naming(
        kind="container",
        links_dir=paths.names_dir,
        objects_dir=paths.containers_dir,
        missing=ContainerNotFound,
        lists="firkin ps -a",
        removes="firkin rm",
    )


def check_wanted(name: str, paths: Paths) -> None:
    """Refuse a bad or taken name before anything is pulled for it. Raises UsageError, NameInUse."""
    if name:
        naming = of(paths)
        naming.check_free(naming.validate(name))


def make_up(paths: Paths) -> str:
    """A name that no container has now; whoever takes it must still be ready for NameInUse."""
    naming = of(paths)
    for attempt in range(1000):
        name = f"{_one_of(_MOODS.split())}_{_one_of(_CASKS.split())}"
        if attempt >= 10:
            name += str(_below(10 ** min(attempt // 10, 9)))
        if naming.named(name) is None:
            return name
    return f"container_{os.urandom(16).hex()}"


def _one_of(words: list[str]) -> str:
    return words[_below(len(words))]


def _below(end: int) -> int:
    """Any of the whole numbers from 0 on. (The random module costs a start more than this.)"""
    return int.from_bytes(os.urandom(8), "little") % end
