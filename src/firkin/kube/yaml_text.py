"""YAML of strangers: the documents of a text as plain values, bounded before anything is built of them.

PyYAML's safe loader, which makes nothing but values, and beside that:
- a text has at most MAX_BYTES, nests MAX_DEPTH deep, and with every alias written out has MAX_NODES nodes;
- a key that stands twice in a mapping is an error, and not the last one's value;
- what YAML 1.1 alone takes for a time or for a number to the base of 60 (22:22) is text, as in kubectl.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from functools import cache
from typing import Any

from firkin.errors import UsageError

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
MAX_NODES = 100_000
MAX_DOCUMENTS = 256
_INT = re.compile(r"[-+]?(?:0b[01_]+|0[0-7_]+|0o[0-7]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)")
_FLOAT = re.compile(
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)


def documents(text: bytes, name: str) -> list[object]:
    """The documents of `text`, which errors call `name`; empty ones are left out. Raises UsageError."""
    import yaml

    if len(text) > MAX_BYTES:
        raise UsageError(f"{name} has more than {MAX_BYTES >> 20} MiB", hint="split it into several files")
    loader = None
    try:
        loader = _loader()(text)
        found: list[object] = []
        while loader.check_data():
            found.append(loader.get_data())
            if len(found) > MAX_DOCUMENTS:
                raise _bad(name, f"more than {MAX_DOCUMENTS} documents")
    except yaml.YAMLError as error:
        raise _bad(name, _one_line(error)) from error
    except (ValueError, UnicodeError, OverflowError) as error:
        raise _bad(name, str(error)) from error
    finally:
        if loader is not None:
            loader.dispose()
    return [each for each in found if each is not None]


def dump(document: object) -> str:
    """`document` as YAML, with its keys in the order that they have."""
    import yaml

    return str(
        yaml.safe_dump(document, sort_keys=False, width=1000)
    )  # in ASCII: U+0085 unescaped is a line end


def _bad(name: str, reason: str) -> UsageError:
    return UsageError(f"{name} is not YAML that can be read: {reason}", hint="mend it there")


def _one_line(error: Exception) -> str:
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    if not problem:
        return str(error).splitlines()[0]
    return problem if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: {problem}"


@cache
def _loader() -> Any:
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # it has no types where it is not installed
        """Counts what is composed, aliases written out, before any value is made of it."""

        def __init__(self, text: bytes) -> None:
            super().__init__(text)
            self._depth = self._nodes = 0
            self._sizes: dict[str, int] = {}

        def compose_node(self, parent: Any, index: Any) -> Any:
            upcoming = self.peek_event()
            if isinstance(upcoming, yaml.AliasEvent):
                if upcoming.anchor in self.anchors and upcoming.anchor not in self._sizes:
                    raise yaml.YAMLError(f"*{upcoming.anchor} stands within itself")
                self._count(self._sizes.get(upcoming.anchor, 1))
                return super().compose_node(parent, index)
            before, anchor = self._nodes, upcoming.anchor
            self._count(1)
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise yaml.YAMLError(f"it is nested more than {MAX_DEPTH} deep")
            node = super().compose_node(parent, index)
            self._depth -= 1
            if anchor is not None:
                self._sizes[anchor] = self._nodes - before
            return node

        def _count(self, nodes: int) -> None:
            self._nodes += nodes
            if self._nodes > MAX_NODES:
                raise yaml.YAMLError(f"with its aliases written out it has more than {MAX_NODES} nodes")

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
            self._refuse_twins(node)
            found: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
            return found

        def _refuse_twins(self, node: Any) -> None:
            seen: set[Hashable] = set()
            for key, _ in getattr(node, "value", ()):
                if not isinstance(key, yaml.ScalarNode):
                    raise yaml.constructor.ConstructorError(None, None, "a key is no text", key.start_mark)
                if key.value in seen and key.tag != "tag:yaml.org,2002:merge":
                    raise yaml.constructor.ConstructorError(
                        None, None, f"{key.value!r} is given twice", key.start_mark
                    )
                seen.add(key.value)

    without = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag not in without]
        for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:int", re.compile(f"^(?:{_INT.pattern})$"), list("-+0123456789")
    )
    Loader.add_implicit_resolver(
        "tag:yaml.org,2002:float", re.compile(f"^(?:{_FLOAT.pattern})$"), list("-+.0123456789")
    )
    return Loader
