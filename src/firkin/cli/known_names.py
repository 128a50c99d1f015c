"""KnownNames: what a word on the command line may name, read from the disk, for a shell that completes.

Which kind of name an argument or an option takes is said by its metavar, as in its help.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Literal, NamedTuple

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from pathlib import Path

    from firkin.paths import Paths

MOST = 2000
"""Names that are looked at, of each kind."""
_ALTERNATIVES = re.compile(r"[a-z][a-z0-9-]*(\[:\w+\])?(\|[a-z][a-z0-9-]*(\[:\w+\])?)+")
_ANONYMOUS = re.compile(r"[0-9a-f]{64}")

Names = Callable[["Paths"], Iterator[str]]


class Known(NamedTuple):
    """What a word may be. `then` follows each name in the same word; `path` is what else it may be."""

    sources: tuple[Names, ...] = ()
    then: str = ""
    path: Literal["", "file", "dir"] = ""

    def items(self, given: object, incomplete: str) -> list[CompletionItem[str]]:
        """What begins with `incomplete`, but for the words that are `given` already."""
        taken = set(given) if isinstance(given, tuple) else set()
        kind = "open" if self.then else "plain"
        of_host = incomplete[:1] in ("/", ".", "~")
        if self.then and self.then in incomplete and not of_host:
            return []  # a path in a container
        found = [] if self.path and of_host else self._names(incomplete)
        items = [CompletionItem(name + self.then, type=kind) for name in found if name not in taken]
        return items if items or not self.path else [CompletionItem(incomplete, type=self.path)]

    def _names(self, incomplete: str) -> list[str]:
        from firkin.settings import Settings

        paths = Settings.load().paths
        names = dict.fromkeys(name for source in self.sources for name in islice(source(paths), MOST))
        return [name for name in names if name.startswith(incomplete)]


def known(param: click.Parameter) -> Known | None:
    """What a word for `param` may be, as far as its metavar tells."""
    metavar = _bare(param)
    if (kind := _KINDS.get(param.metavar or "") or _KINDS.get(metavar)) is not None:
        return kind
    if _ALTERNATIVES.fullmatch(metavar):
        words = re.sub(r"\[.*?\]", "", metavar).split("|")
        return Known((_fixed(*words),))
    return None


def _bare(param: click.Parameter) -> str:
    """The metavar without what says that it may be left out, or said again."""
    named = (param.name or "").upper() if isinstance(param, click.Argument) else ""
    metavar = (param.metavar or named).removesuffix("...")
    if metavar.startswith("[") and metavar.find("]") == len(metavar) - 1:
        metavar = metavar[1:-1].removesuffix("...")
    return metavar


# --- what there is, by kind


def containers(paths: Paths) -> Iterator[str]:
    """Names of containers that are no pods."""
    return _named(paths, of_pods=False)


def pods(paths: Paths) -> Iterator[str]:
    return _named(paths, of_pods=True)


def _named(paths: Paths, *, of_pods: bool) -> Iterator[str]:
    from firkin.container.pod import Sandbox
    from firkin.container.record import Record
    from firkin.errors import FirkinError

    for link in _entries(paths.names_dir):
        try:
            spec = Record(paths, (paths.names_dir / link).readlink().name).spec()
        except (FirkinError, OSError):  # it goes just now, or whoever lists it sees what is wrong
            continue
        if spec.name == link and isinstance(spec.pod, Sandbox) == of_pods:
            yield link


def images(paths: Paths) -> Iterator[str]:
    """Names of images, the short ones first."""
    from firkin.store.refs import Refs

    found = [reference for reference, _ in islice(Refs(paths.refs_dir).all(), MOST)]
    yield from (reference.familiar for reference in found)
    yield from (str(reference) for reference in found if reference.familiar != str(reference))


def volumes(paths: Paths) -> Iterator[str]:
    """Names that people gave to volumes."""
    return (name for name in _entries(paths.volumes_dir) if not _ANONYMOUS.fullmatch(name))


def networks(paths: Paths) -> Iterator[str]:
    return (name.removesuffix(".json") for name in _entries(paths.networks_dir) if name.endswith(".json"))


def snapshots(paths: Paths) -> Iterator[str]:
    return _entries(paths.snapshot_names_dir)


def _entries(directory: Path) -> Iterator[str]:
    from firkin.host.reading import names

    return (name for name in names(directory, MOST) if not name.startswith("."))


# --- what there is on every host


def _fixed(*words: str) -> Names:
    return lambda _: iter(words)


def _signals(_: Paths) -> Iterator[str]:
    import signal

    return (each.name.removeprefix("SIG") for each in signal.Signals)


def _findings(_: Paths) -> Iterator[str]:
    from firkin.faults.catalogue import FAULTS

    return iter(FAULTS)


def _subjects(_: Paths) -> Iterator[str]:
    from firkin.host.doctor import SUBJECTS

    return iter(SUBJECTS)


_FILE, _DIR = Known(path="file"), Known(path="dir")
_KINDS = {
    "NAME...": Known((containers, pods, images, volumes, networks, snapshots)),
    "CONTAINER": Known((containers,)),
    "POD": Known((pods,)),
    "POD|CONTAINER": Known((pods, containers)),
    "IMAGE": Known((images,)),
    "IMAGE|SNAPSHOT": Known((images, snapshots)),
    "REPOSITORY[:TAG]": Known((images,)),
    "SNAPSHOT": Known((snapshots,)),
    "[OLD] SNAPSHOT": Known((snapshots,)),
    "VOLUME": Known((volumes,)),
    "NETWORK": Known((networks,)),
    "user|none|NAME[:ip=IP,...]": Known((_fixed("user", "none"), networks)),
    "[CONTAINER:]SOURCE|-": Known((containers,), then=":", path="file"),
    "[CONTAINER:]DEST|-": Known((containers,), then=":", path="file"),
    "[SOURCE:]DIR[:OPTIONS]": Known((volumes,), then=":", path="dir"),
    "SOURCE[:DIR[:OPTIONS]]": Known((volumes,), path="dir"),
    "FILE": _FILE,
    "FILE|-": _FILE,
    "PATH": _FILE,
    "DIR": _DIR,
    "SIGNAL": Known((_signals,)),
    "OS/ARCH": Known((_fixed("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64"),)),
    "ID": Known((_findings,)),
    "ID|SUBJECT": Known((_subjects, _findings)),
}
