"""Registries: registries.conf (containers-registries.conf(5)) and its drop-ins."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from firkin.faults import images
from firkin.faults.fault import Finding
from firkin.host import reading
from firkin.host.asker import Asker

_SEARCH = "unqualified-search-registries"
_MOST_DROP_INS = 100


class Facts(msgspec.Struct, frozen=True):
    """`problem` is of the file `path`; `searched` are where short names are looked for."""

    path: str = "/etc/containers/registries.conf"
    problem: str = ""
    searched: tuple[str, ...] = ("docker.io",)


def conf_path(asker: Asker) -> Path:
    """The file that counts: a user's own hides the system's."""
    if named := asker.environ.get("CONTAINERS_REGISTRIES_CONF"):
        return Path(named)
    own = asker.config_home / "containers/registries.conf"
    return own if own.exists() else Path("/etc/containers/registries.conf")


def gather(asker: Asker) -> Facts:
    conf = conf_path(asker)
    drop_ins = Path(f"{conf}.d")
    names = [name for name in reading.names(drop_ins, _MOST_DROP_INS) if name.endswith(".conf")]
    searched: tuple[str, ...] = ()
    for path in (conf, *(drop_ins / name for name in names)):
        content = reading.text(path)
        problem, table = _table(content or "")
        if content is not None and problem:
            return Facts(str(path), problem, searched)
        searched = tuple(table.get(_SEARCH, searched))
    return Facts(str(conf), "", searched)


def _table(content: str) -> tuple[str, dict[str, Any]]:
    """What is wrong with it, and what it says."""
    try:
        table = tomllib.loads(content)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return f"not TOML: {error}", {}
    old = isinstance(table.get("registries"), dict)
    if old and (_SEARCH in table or "registry" in table):
        return "it mixes version 1 ([registries.search]) with version 2", {}
    if old:
        search = table["registries"].get("search", {})
        table = {_SEARCH: search.get("registries", []) if isinstance(search, dict) else []}
    names = table.get(_SEARCH, [])
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        return f"{_SEARCH} is not a list of names", {}
    return "", table


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    if facts.problem:
        yield images.REGISTRIES_MALFORMED.found(
            f"{facts.path} cannot be used: {facts.problem}", path=facts.path
        )
    elif not facts.searched:
        yield images.REGISTRIES_MISSING.found(f"{facts.path} names no registry to search for short names")
