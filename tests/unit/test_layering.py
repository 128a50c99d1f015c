"""The layering of docs/design/architecture.md, read from the imports.

A package imports only from rows above its own. Inside a row a package may take what a neighbour shows as
values, never its service. No two modules import each other, however far around, and a package's modules never
import through the package's own door.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"

ROWS = (
    ("units", "errors", "events", "version", "faults", "decoder"),
    ("settings", "paths", "linux", "aio", "oci"),
    ("archive", "ext4", "wire"),
    ("registry", "trust", "store", "rootfs", "network", "agent", "machine", "process"),
    ("volume",),
    ("container", "host"),
    ("snapshot",),
    ("engine",),
    ("pool", "supervisor", "kube", "switch"),
    ("cli", "api", ""),  # "" is firkin/__init__
    ("__main__", "testing", "pytest"),
)
ROW = {package: number for number, row in enumerate(ROWS, 1) for package in row}

NEIGHBOURS = {
    1: {"firkin.errors"},
    2: {"firkin.paths"},
    4: {
        "firkin.process.spec",
        "firkin.process.capabilities",
        "firkin.machine.spec",
        "firkin.network.guest",  # what the guest is asked for
        "firkin.network.spec",  # what a container's network is to be
        "firkin.network.user",  # the VMM's words for a network mode
        "firkin.network.publish",  # ports with 0 in, ports with numbers out
    },
    9: {"firkin.supervisor.daemon"},  # leaving whoever started us
    10: {"firkin", "firkin.api"},  # the public names, and what stands behind them
}
"""What may be taken from one's own row: modules of values and functions on them, or a package whole."""


@dataclass(frozen=True, slots=True)
class Import:
    importer: str
    imported: str
    where: str
    line: str

    def __str__(self) -> str:
        return f"{self.where}: {self.line}"


def package_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(source: str, importer: str, where: str, modules: frozenset[str]) -> Iterator[Import]:
    """Every import of one of `modules` in `source`, wherever it stands: a lazy import is an import."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            inside = [f"{base}.{alias.name}" for alias in node.names]
            targets = [name if name in modules else base for name in inside]
        else:
            continue
        for target in dict.fromkeys(targets):
            if target == "firkin" or target.startswith(("firkin.", ".")):
                yield Import(importer, target, f"{where}:{node.lineno}", lines[node.lineno - 1].strip())


def read_tree(root: Path) -> tuple[frozenset[str], list[Import]]:
    paths = {module_name(path, root): path for path in sorted((root / "firkin").rglob("*.py"))}
    modules = frozenset(paths)
    imports = []
    for name, path in paths.items():
        imports += imports_of(path.read_text(), name, str(path.relative_to(root)), modules)
    return modules, imports


def broken_rules(modules: frozenset[str], imports: list[Import]) -> list[str]:
    unplaced = sorted({package_of(module) for module in modules} - set(ROW))
    broken = [f"firkin.{package} has no row in the layering" for package in unplaced]
    for found in imports:
        broken += [f"{found}\n    {reason}" for reason in objections(found)]
    return broken + [f"import cycle: {' -> '.join(cycle)}" for cycle in cycles(imports)]


def objections(found: Import) -> Iterator[str]:
    mine, theirs = package_of(found.importer), package_of(found.imported)
    if found.imported.startswith("."):
        yield "relative import: write the whole name"
    elif mine == theirs:
        if mine and found.imported == f"firkin.{mine}" != found.importer:
            yield f"firkin.{mine} imports through its own door: name the module"
    elif mine in ROW and theirs in ROW:
        row, other = ROW[mine], ROW[theirs]
        if other > row:
            yield f"firkin.{mine} is in row {row}, firkin.{theirs} below it in row {other}"
        if other == row and not {found.imported, f"firkin.{theirs}"} & NEIGHBOURS.get(row, set()):
            yield f"both are in row {row}, and {found.imported} is not one of the values shown to neighbours"


def cycles(imports: list[Import]) -> Iterator[tuple[str, ...]]:
    """One import cycle for each strongly connected knot of modules, found by depth-first search."""
    graph: dict[str, list[str]] = {}
    for found in imports:
        if found.imported != found.importer:
            graph.setdefault(found.importer, []).append(found.imported)
    done: set[str] = set()
    for start in sorted(graph):
        path = [start]
        walks = [iter(graph[start])]
        while walks and start not in done:
            following = next(walks[-1], None)
            if following is None:
                walks.pop()
                done.add(path.pop())
            elif following in path:
                yield (*path[path.index(following) :], following)
                done.update(path)
                break
            elif following in graph and following not in done:
                path.append(following)
                walks.append(iter(graph[following]))


def test_every_import_obeys_the_layering() -> None:
    broken = broken_rules(*read_tree(SOURCE))
    assert not broken, "\n".join(["", *broken])


@pytest.mark.parametrize(
    ("module", "line", "complaint"),
    [
        ("firkin.wire.frames", "from firkin.engine.pull import pull", "firkin.wire is in row 3"),
        ("firkin.wire.frames", "def f():\n    import firkin.cli", "firkin.cli below it in row 10"),
        ("firkin.store.refs", "from firkin.registry.client import Client", "not one of the values"),
        ("firkin.store.refs", "from firkin.store import Store", "through its own door"),
        ("firkin.store.refs", "from . import blobs", "relative import"),
        ("firkin.utils.strings", "import os", "firkin.utils has no row"),
    ],
)
def test_a_forbidden_import_is_named(module: str, line: str, complaint: str) -> None:
    modules = frozenset({module, "firkin.engine.pull"})
    report = "\n".join(broken_rules(modules, list(imports_of(line, module, "x.py", modules))))
    assert complaint in report


def test_an_import_that_points_upwards_is_allowed() -> None:
    text = "from firkin.machine.spec import Disk\nfrom firkin import errors\nimport os"
    modules = frozenset({"firkin.errors", "firkin.machine.spec", "firkin.store.refs"})
    assert not broken_rules(modules, list(imports_of(text, "firkin.store.refs", "x.py", modules)))


def test_a_cycle_is_named_whole() -> None:
    modules = frozenset({"firkin.oci.a", "firkin.oci.b", "firkin.oci.c"})
    imports = [
        *imports_of("import firkin.oci.b", "firkin.oci.a", "a.py", modules),
        *imports_of("import firkin.oci.c", "firkin.oci.b", "b.py", modules),
        *imports_of("def late():\n    import firkin.oci.a", "firkin.oci.c", "c.py", modules),
    ]
    report = "\n".join(broken_rules(modules, imports))
    assert "firkin.oci.a -> firkin.oci.b -> firkin.oci.c -> firkin.oci.a" in report
