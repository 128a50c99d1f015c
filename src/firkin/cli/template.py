"""Go-like templates as Docker's `--format` takes them: the common part of text/template, over plain data.

    {{.Id}}   {{.State.Status}}   {{json .}}   {{.Names | upper}}   {{index .Labels "team"}}   {{len .Ports}}
    {{if .Ports}}...{{else if ...}}...{{else}}...{{end}}   {{range $k, $v := .Labels}}{{$k}}={{$v}} {{end}}
    {{with .State}}{{.Pid}}{{end}}   {{- trims white space -}}   {{/* comments */}}

`Template.parse` reads the words, `render` fills them in; both raise UsageError and nothing else. The data are
what JSON knows (dict, list, str, int, float, bool, None). The functions are in template_functions.

A field is looked up by its exact name, then without regard to case, since Docker writes ID in one place and
Id in another. A dict whose keys all begin with a capital is a record, where an unknown field is an error that
names the known ones; any other dict holds data (labels), where it is `<no value>`, as in Docker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from firkin.cli.template_functions import FUNCTIONS, NO_VALUE, is_true, show
from firkin.cli.template_syntax import HINT, Block, Call, Literal, Nodes, Operand, Pipeline, parse
from firkin.errors import UsageError


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template. `render(data)` gives its text."""

    nodes: Nodes

    @classmethod
    def parse(cls, text: str) -> Template:
        """Raises UsageError for what is not a template, or uses more of Go's than we know."""
        return cls(parse(text))

    def render(self, data: Any) -> str:
        """The text for `data`. Raises UsageError where a field or a function does not fit the data."""
        out: list[str] = []
        _render(self.nodes, _Scope(data, {"$": data}), out)
        return "".join(out)


@dataclass(slots=True)
class _Scope:
    dot: Any
    variables: dict[str, Any]

    def inner(self, dot: Any) -> _Scope:
        return _Scope(dot, dict(self.variables))


def _render(nodes: Nodes, scope: _Scope, out: list[str]) -> None:
    for node in nodes:
        if isinstance(node, str):
            out.append(node)
        elif isinstance(node, Block):
            _render_block(node, scope, out)
        elif node.names:
            scope.variables[node.names[-1]] = _value(node, scope)
        else:
            out.append(show(_value(node, scope)))


def _render_block(block: Block, scope: _Scope, out: list[str]) -> None:
    value = _value(block.pipeline, scope)
    if not is_true(value):
        _render(block.otherwise, scope.inner(scope.dot), out)
    elif block.kind == "range":
        for key, item in _items(value):
            inner = scope.inner(item)
            # `range $v := x` takes the item, `range $k, $v := x` the key or index too.
            inner.variables |= dict(zip(reversed(block.pipeline.names), (item, key), strict=False))
            _render(block.body, inner, out)
    else:
        inner = scope.inner(value if block.kind == "with" else scope.dot)
        inner.variables |= dict.fromkeys(block.pipeline.names, value)
        _render(block.body, inner, out)


def _items(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return sorted(value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return list(enumerate(value))
    raise UsageError(f"bad template: cannot range over {show(value)!r}", hint=HINT)


def _value(pipeline: Pipeline, scope: _Scope) -> Any:
    first, *rest = pipeline.steps
    value = _operand(first, scope)
    for step in rest:
        assert isinstance(step, Call)  # the parser lets nothing else stand after |
        value = _call(step.function, [*(_operand(each, scope) for each in step.operands), value])
    return value


def _operand(operand: Operand, scope: _Scope) -> Any:
    if isinstance(operand, Literal):
        return operand.value
    if isinstance(operand, Call):
        return _call(operand.function, [_operand(each, scope) for each in operand.operands])
    value = _root(operand.root, scope)
    for index, name in enumerate(operand.names):
        value = _field(value, name, ".".join(("", *operand.names[:index])) or ".")
    return value


def _root(root: str | Pipeline, scope: _Scope) -> Any:
    if isinstance(root, Pipeline):
        return _value(root, scope)
    if root == ".":
        return scope.dot
    if root not in scope.variables:
        raise UsageError(f"bad template: there is no variable {root}", hint=HINT)
    return scope.variables[root]


def _call(name: str, values: list[Any]) -> Any:
    function: Callable[..., Any] = FUNCTIONS[name]
    try:
        return function(*values)
    except (TypeError, ValueError, IndexError, KeyError, AttributeError, OverflowError) as error:
        shown = ", ".join(show(value)[:40] for value in values) or "nothing"
        raise UsageError(f"bad template: {name} cannot be applied to {shown}", hint=HINT) from error


def _field(value: Any, name: str, path: str) -> Any:
    if not isinstance(value, Mapping):
        what = "absent" if value is None or value is NO_VALUE else "not an object"
        raise UsageError(f"bad template: {path} is {what}, so it has no .{name}", hint=HINT)
    if name in value:
        return value[name]
    for key in value:
        if str(key).lower() == name.lower():
            return value[key]
    if value and all(str(key)[:1].isupper() for key in value):
        raise UsageError(
            f"bad template: {path} has no .{name}; it has {', '.join(map(str, value))}", hint=HINT
        )
    return NO_VALUE
