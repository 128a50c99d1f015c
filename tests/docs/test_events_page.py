"""The page of the events: it names every one that the code tells, with its fields, and no other."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "events.md").read_text()
ROW = re.compile(r"^\| `([\w.]+)` \|.*\|([^|]*)\|$", re.MULTILINE)
INLINE = re.compile(r"`(kernel\.\w+)`(?: \(((?:`\w+`(?:, )?)+)\))?")


def told() -> dict[str, set[str]]:
    """Name to fields of every event that the code tells."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "src" / "firkin").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                fields = {word.arg or "" for word in node.keywords}
                for name in names(node.args[0]) if node.func.id in ("event", "stage", "span") else ():
                    found.setdefault(name, set()).update(fields)
    return found


def names(node: ast.expr) -> list[str]:
    """The event's name; of `f"{kind}.verb"` both that it may be."""
    if isinstance(node, ast.JoinedStr):
        verb = node.values[-1]
        assert isinstance(verb, ast.Constant)
        return [f"{kind}{verb.value}" for kind in ("layer", "config")]
    return [str(node.value)] if isinstance(node, ast.Constant) else []


def described() -> dict[str, set[str]]:
    page = {name: set(re.findall(r"`(\w+)`", fields)) for name, fields in ROW.findall(PAGE)}
    return page | {name: set(re.findall(r"`(\w+)`", fields)) for name, fields in INLINE.findall(PAGE)}


def test_the_page_and_the_code_tell_the_same_events() -> None:
    assert described() == told()
