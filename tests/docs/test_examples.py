"""The examples in README and docs, done as a reader would do them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from firkin.pytest.home import Home
from tests.docs.examples import Block, Typed, blocks, matches, pages, programs, typed

ROOT = Path(__file__).parents[2]
PAGES = [page for page in pages(ROOT) if blocks(page.read_text())]
TYPED = [page for page in PAGES if any(block.language == "console" for block in blocks(page.read_text()))]
PROGRAMS = [
    pytest.param(block, output, id=f"{page.relative_to(ROOT)}:{block.line}")
    for page in PAGES
    if page.name != "pytest.md"  # its examples are tests: tests/conformance/test_wheel.py runs them
    for block, output in programs(blocks(page.read_text()))
]

KNOWN = {"console", "python", "text", "toml", "json", "sh"}
"""`sh` is for ./dev, which other tests run; `toml` and `json` are read by the tests of settings and trust."""


def environ(home: Home) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return home.environ() | {"PATH": path, "COLUMNS": "100", "PS1": ""}


def difference(promised: str, got: str) -> str:
    return f"--- promised\n{promised}\n--- got\n{got}"


def play(commands: Sequence[Typed], home: Home) -> list[str]:
    """The output of each command, typed one after the other into one shell."""
    script = []
    for number, command in enumerate(commands):
        script.append(f"{{ {command.command}\n}} > ../out.{number} 2>&1 < /dev/null")
    shell = ["timeout", "600", "bash", "-c", "\n".join(script)]
    subprocess.run(shell, cwd=home.work_dir, env=environ(home), check=False)
    outputs = [home.root / f"out.{number}" for number in range(len(commands))]
    return [
        path.read_text(errors="backslashreplace") if path.exists() else "(not reached)" for path in outputs
    ]


@pytest.mark.machine
@pytest.mark.parametrize("page", TYPED, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_on_a_page_answer_as_it_says(page: Path, stocked: Home) -> None:
    commands = [
        command
        for block in blocks(page.read_text())
        if block.language == "console"
        for command in typed(block)
    ]
    wrong = [
        f"{page.name}:{command.line}: $ {command.command}\n{difference(command.expected, output)}"
        for command, output in zip(commands, play(commands, stocked), strict=True)
        if not matches(command.expected, output)
    ]
    assert not wrong, "\n\n".join(["", *wrong])


@pytest.mark.machine
@pytest.mark.parametrize(("block", "output"), PROGRAMS)
def test_a_program_on_a_page_runs(block: Block, output: str | None, stocked: Home) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", block.text],
        cwd=stocked.work_dir,
        env=environ(stocked),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert output is None or matches(output, ended.stdout), difference(output, ended.stdout)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_is_of_a_kind_that_is_tested(page: Path) -> None:
    strange = [
        f"{page.name}:{block.line}" for block in blocks(page.read_text()) if block.language not in KNOWN
    ]
    untested = [
        line
        for block in blocks(page.read_text())
        if block.language == "sh"
        for line in block.text.splitlines()
        if not line.startswith("./dev ")
    ]
    assert not strange + untested


def test_a_promise_with_dots_matches_anything_there_and_nothing_elsewhere() -> None:
    assert matches("a ... c\n...\nend\n", "a b c\nx\ny\nend")
    assert matches("", "\n")
    assert not matches("a ... c", "a b d")
    assert not matches("", "error: no such image")


def test_a_console_block_is_read_as_commands_and_their_output() -> None:
    (block,) = blocks("text\n```console\n$ echo a \\\n> b\na b\n$ true\n```\n")
    assert [(c.command, c.expected, c.line) for c in typed(block)] == [
        ("echo a \\\nb", "a b", 3),
        ("true", "", 6),
    ]
