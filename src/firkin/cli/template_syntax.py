"""The grammar of `--format` templates: text in, a tree of frozen nodes out. template says what they mean.

Actions stand in double braces; `parse` reads them with one regular expression a token and a recursive
descent. It raises UsageError and nothing else, for any text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

from firkin.cli.template_functions import FUNCTIONS
from firkin.errors import UsageError

HINT = "see docs/reference/formats.md; all fields of an object: --format json"
_MAX_DEPTH = 50
_OPEN = re.compile(r"\{\{(-(?=\s))?")
_COMMENT = re.compile(r"\s*/\*.*?\*/\s*(-?)\}\}", re.DOTALL)
_TOKEN = re.compile(
    r"""(?P<space>\s*)(?:
      (?P<close>-?\}\})
    | (?P<string>"(?:\\.|[^"\\\n])*" | `[^`]*`)
    | (?P<number>[+-]?\d+(?:\.\d+)?)
    | (?P<variable>\$\w*(?:\.[A-Za-z_]\w*)*)
    | (?P<path>(?:\.[A-Za-z_]\w*)+ | \.)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<mark>:= | [|(,=] | \)(?:\.[A-Za-z_]\w*)*)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Literal:
    value: Any


@dataclass(frozen=True, slots=True)
class Path:
    """Names looked up one after another, from `root`: ".", "$name", or a pipeline in parentheses."""

    root: str | Pipeline
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    operands: tuple[Operand, ...]


Operand: TypeAlias = "Literal | Path | Call"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Each step's value becomes the last operand of the next. `names`: the variables that take the value."""

    steps: tuple[Operand, ...]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """`if`, `with` or `range`: the body, and what stands after `else`."""

    kind: str
    pipeline: Pipeline
    body: Nodes
    otherwise: Nodes


Nodes: TypeAlias = "tuple[str | Pipeline | Block, ...]"


def parse(text: str) -> Nodes:
    """The nodes of `text`. Raises UsageError for what is not a template, or uses what we do not know."""
    return _Parser(text).template()


@dataclass(slots=True)
class _Parser:
    text: str
    position: int = 0
    depth: int = 0
    trim_next: bool = False
    tokens: list[tuple[str, str]] = field(default_factory=list)

    def template(self) -> Nodes:
        nodes, end = self.nodes()
        if end:
            self.fail(f"{{{{{end}}}}} closes nothing")
        return nodes

    def nodes(self) -> tuple[Nodes, str]:
        """Nodes up to the end, or up to an action that is `end` or `else`; that word."""
        found: list[str | Pipeline | Block] = []
        while opening := _OPEN.search(self.text, self.position):
            found += self.literal(self.text[self.position : opening.start()], trim_end=opening[1] is not None)
            self.position = opening.end()
            if self.comment():
                continue
            self.action()
            word = self.tokens[0][1] if self.tokens and self.tokens[0][0] == "word" else ""
            if word in ("end", "else"):
                del self.tokens[0]
                return tuple(found), word
            found.append(self.block(word) if word in ("if", "range", "with") else self.only_pipeline())
        found += self.literal(self.text[self.position :], trim_end=False)
        self.position = len(self.text)
        return tuple(found), ""

    def literal(self, text: str, *, trim_end: bool) -> list[str]:
        if self.trim_next:
            text = text.lstrip()
        self.trim_next = False
        text = text.rstrip() if trim_end else text
        return [text] if text else []

    def comment(self) -> bool:
        match = _COMMENT.match(self.text, self.position)
        if match is None:
            return False
        self.position, self.trim_next = match.end(), match[1] == "-"
        return True

    def action(self) -> None:
        """Read the tokens up to the closing braces."""
        self.tokens = []
        while True:
            match = _TOKEN.match(self.text, self.position)
            if match is None or match.lastgroup is None:
                self.fail(
                    f"cannot read {self.text[self.position :].strip()[:20]!r}"
                    if self.rest()
                    else "}} is missing"
                )
            self.position = match.end()
            if match.lastgroup == "close":
                self.trim_next = match["close"].startswith("-")
                return
            self.tokens.append((match.lastgroup, match[match.lastgroup]))

    def rest(self) -> str:
        return self.text[self.position :].strip()

    def block(self, kind: str) -> Block:
        self.deeper()
        del self.tokens[0]
        pipeline = self.only_pipeline()
        body, end = self.nodes()
        otherwise: Nodes = ()
        if end == "else" and self.tokens:
            if self.tokens[0] != ("word", kind) or kind == "range":
                self.fail(f"{{{{else}}}} of {kind} cannot be followed by {self.tokens[0][1]!r}")
            otherwise, end = (self.block(kind),), "end"  # `else if` shares the end of its `if`
        elif end == "else":
            otherwise, end = self.nodes()
        if end != "end":
            self.fail(f"{{{{{kind}}}}} has no {{{{end}}}}")
        self.depth -= 1
        return Block(kind, pipeline, body, otherwise)

    def only_pipeline(self) -> Pipeline:
        pipeline = self.pipeline()
        if self.tokens:
            self.fail(f"unexpected {self.tokens[0][1]!r}")
        return pipeline

    def pipeline(self) -> Pipeline:
        self.deeper()
        names = self.assigned()
        steps = [self.step()]
        while self.tokens and self.tokens[0][1] == "|":
            del self.tokens[0]
            steps.append(self.step())
            if not isinstance(steps[-1], Call):
                self.fail("what stands after | must be a function")
        self.depth -= 1
        return Pipeline(tuple(steps), names)

    def assigned(self) -> tuple[str, ...]:
        """`$a :=`, `$a =` or `$a, $b :=` at the front."""
        marks = [token[1] for token in self.tokens[:4]]
        for count, at in ((1, 1), (2, 3)):
            names = tuple(marks[0 : 2 * count : 2])
            plain = all(name.startswith("$") and "." not in name for name in names)
            if len(marks) > at and marks[at] in (":=", "=") and plain and (count == 1 or marks[1] == ","):
                del self.tokens[: at + 1]
                return names
        return ()

    def step(self) -> Operand:
        if self.tokens and self.tokens[0][0] == "word" and self.tokens[0][1] not in ("true", "false", "nil"):
            name = self.tokens.pop(0)[1]
            if name not in FUNCTIONS:
                self.fail(f"there is no function {name!r}")
            operands = []
            while self.tokens and self.tokens[0][1] != "|" and not self.tokens[0][1].startswith(")"):
                operands.append(self.operand())
            return Call(name, tuple(operands))
        return self.operand()

    def operand(self) -> Operand:
        if not self.tokens:
            self.fail("an action is empty")
        kind, text = self.tokens.pop(0)
        if kind == "string":
            return Literal(text[1:-1] if text[0] == "`" else unquote(text[1:-1]))
        if kind == "number":
            return Literal(float(text) if "." in text else int(text))
        if kind == "path":
            return Path(".", tuple(filter(None, text.split("."))))
        if kind == "variable":
            root, *names = text.split(".")
            return Path(root, tuple(names))
        if kind == "word" and text in ("true", "false", "nil"):
            return Literal({"true": True, "false": False, "nil": None}[text])
        if kind == "word" and text in FUNCTIONS:
            return Call(text, ())
        if text == "(":
            return self.parenthesis()
        self.fail(f"unexpected {text!r}")

    def parenthesis(self) -> Path:
        pipeline = self.pipeline()
        if not self.tokens or not self.tokens[0][1].startswith(")"):
            self.fail(") is missing")
        return Path(pipeline, tuple(self.tokens.pop(0)[1].split(".")[1:]))

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            self.fail(f"it is nested deeper than {_MAX_DEPTH}")

    def fail(self, why: str) -> NoReturn:
        raise UsageError(f"bad template {self.text!r}: {why}", hint=HINT)


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}


def unquote(text: str) -> str:
    """`text` with \\n, \\t, \\r and \\0 replaced; any other escaped character is itself."""
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text, flags=re.DOTALL)
