"""The page of the API: each name on it exists and has that signature, and no name is missing."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from pathlib import Path
from typing import Any

import pytest

import firkin
from firkin.engine.words import RunWords

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "api.md").read_text()
ENTRY = re.compile(r"^- `\.(\w+)(\(.*?\))?`:", re.MULTILINE)


def sections() -> dict[str, str]:
    """The text under each heading, by heading."""
    parts = re.split(r"^##+ (.*)$", PAGE, flags=re.MULTILINE)
    return {heading.strip("`"): text for heading, text in zip(parts[1::2], parts[2::2], strict=True)}


def described(name: str) -> dict[str, str]:
    """Member to signature ("" for a property) as the page has them for a class."""
    return {found[1]: found[2] or "" for found in ENTRY.finditer(sections()[name])}


def members(cls: type) -> dict[str, str]:
    """Member to signature as the code has them."""
    found: dict[str, str] = {}
    if dataclasses.is_dataclass(cls):
        found |= {field.name: "" for field in dataclasses.fields(cls)}
    for name, member in inspect.getmembers(cls):
        if not name.startswith("_") and name not in found:
            found[name] = signature(member) if inspect.isroutine(member) else ""
    return found


def signature(function: Any) -> str:
    shown = []
    star = False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            shown.append("*")
            star = True
        if parameter.kind is parameter.VAR_POSITIONAL:
            star = True
            shown.append(f"*{parameter.name}")
        elif parameter.kind is parameter.VAR_KEYWORD:
            shown.append(f"**{parameter.name}")
        elif parameter.default is parameter.empty:
            shown.append(parameter.name)
        else:
            shown.append(f"{parameter.name}={parameter.default!r}")
    return f"({', '.join(shown)})"


STREAMS = {"Process": {"stdin", "stdout", "stderr"}, "Connection": {"reader", "writer"}}
"""Set when the object is made, so the class itself does not show them."""


@pytest.mark.parametrize(
    "name",
    [
        *("Engine", "Container", "Snapshot", "Pod", "Pool", "PoolStats", "Process", "Output", "ExitStatus"),
        *("Connection", "Listener", "Finding", "Volumes", "Networks"),
    ],
)
def test_a_class_has_what_its_section_says(name: str) -> None:
    on_page = described(name)
    for stream in STREAMS.get(name, ()):
        assert on_page.pop(stream) == ""
    assert on_page == members(getattr(firkin, name))


def test_run_has_the_signature_that_the_page_shows() -> None:
    assert f"`firkin.run{signature(firkin.run)}`" in PAGE


@pytest.mark.parametrize("name", ["doctor", "diagnose"])
def test_a_function_has_the_signature_that_the_page_shows(name: str) -> None:
    assert f"- `firkin.{name}{signature(getattr(firkin, name))}`" in PAGE


def test_every_word_of_run_is_on_the_page() -> None:
    on_page = set(re.findall(r"^- `(\w+)`:", sections()["Words"], re.MULTILINE))
    assert on_page == set(typing.get_type_hints(RunWords))


@pytest.mark.parametrize(
    "name", ["Engine", "Container", "Snapshot", "Pod", "Pool", "Process", "Volumes", "Networks"]
)
def test_the_asynchronous_twin_has_the_same_names(name: str) -> None:
    blocking, twin = members(getattr(firkin, name)), members(getattr(firkin, f"Async{name}"))
    blocking.pop("close", None)
    assert blocking == twin


def test_every_public_name_is_on_a_page() -> None:
    errors = (Path(__file__).parents[2] / "docs" / "reference" / "errors.md").read_text()
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`\n]+`", PAGE + errors))))
    assert not set(firkin.__all__) - named
