"""PodmanStorage: storage.conf (containers-storage.conf(5)), and what lies in the store that it names."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from firkin.faults import files
from firkin.faults.fault import Finding
from firkin.host import reading
from firkin.host.asker import Asker


class Facts(msgspec.Struct, frozen=True):
    """`conf` is the storage.conf that counts, "" without one; `stored` are drivers with images in `store`."""

    conf: str = ""
    problem: str = ""
    driver: str = "overlay"
    store: str = ""
    stored: tuple[str, ...] = ()


def conf_paths(asker: Asker) -> list[Path]:
    """Where storage.conf is looked for; the first that is there counts."""
    if named := asker.environ.get("CONTAINERS_STORAGE_CONF"):
        return [Path(named)]
    own = [] if asker.uid == 0 else [asker.config_home / "containers/storage.conf"]
    return [*own, Path("/etc/containers/storage.conf"), Path("/usr/share/containers/storage.conf")]


def gather(asker: Asker) -> Facts:
    conf = next((path for path in conf_paths(asker) if path.exists()), None)
    problem, table = "", dict[str, Any]()
    if conf is not None:
        problem, table = _storage_table(conf)
    rootless = asker.data_home / "containers/storage"
    usual = Path("/var/lib/containers/storage") if asker.uid == 0 else rootless
    store = Path(_word(table, "graphroot") or usual) if asker.uid == 0 or _is_own(asker, conf) else rootless
    stored = tuple(
        name.removesuffix("-images")
        for name in reading.names(store)
        if name.endswith("-images") and reading.names(store / name)
    )
    return Facts(str(conf or ""), problem, _word(table, "driver"), str(store), stored)


def _storage_table(conf: Path) -> tuple[str, dict[str, Any]]:
    """What is wrong with the file, and its [storage]."""
    try:
        table = tomllib.loads(reading.text(conf) or "").get("storage", {})
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        return str(error), {}
    return ("", table) if isinstance(table, dict) else ("storage is no table", {})


def _word(table: dict[str, Any], name: str) -> str:
    return table[name] if isinstance(table.get(name), str) else ""


def _is_own(asker: Asker, conf: Path | None) -> bool:
    return conf is not None and conf.is_relative_to(asker.config_home)


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    if facts.problem:
        what = f"{facts.conf} is not TOML: {facts.problem}"
        yield files.STORAGE_CONF_MALFORMED.found(what, path=facts.conf)
    if len(facts.stored) > 1:
        what = f"{facts.store} holds images of {' and '.join(facts.stored)}"
        yield files.STORAGE_MIXED.found(what, path=facts.store)
    if facts.driver == "vfs":
        yield files.STORAGE_VFS.found(f"{facts.conf} asks for the driver vfs")
    elif not facts.driver and facts.stored == ("vfs",):
        yield files.STORAGE_VFS.found(
            f"{facts.store} holds images of vfs, and no storage.conf names another driver"
        )
    elif not (facts.driver or facts.stored or facts.problem):
        yield files.STORAGE_VFS.found(
            "no storage.conf names a driver: podman before version 5 takes vfs then"
        )
