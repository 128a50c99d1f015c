"""The words for a process's streams: subprocess' own, and what is refused before anything is started."""

from __future__ import annotations

import subprocess

import pytest

import firkin
from firkin.engine.options import ExecOptions
from firkin.engine.process_words import exec_options
from firkin.engine.words import run_options
from firkin.errors import UsageError
from firkin.process.spec import Outputs


def streams(**words: object) -> tuple[bool, str, str]:
    options: ExecOptions = exec_options(["true"], **words)  # type: ignore[arg-type]
    return options.stdin, options.outputs.stdout, options.outputs.stderr


def test_the_constants_are_those_of_subprocess() -> None:
    ours = (firkin.PIPE, firkin.STDOUT, firkin.DEVNULL)
    assert ours == (subprocess.PIPE, subprocess.STDOUT, subprocess.DEVNULL)


def test_unsaid_the_input_is_empty_and_the_outputs_are_pipes() -> None:
    assert streams() == (False, "pipe", "pipe")


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ({"stdin": firkin.PIPE}, (True, "pipe", "pipe")),
        ({"stdin": True}, (True, "pipe", "pipe")),
        ({"stdin": firkin.DEVNULL, "stdout": firkin.PIPE}, (False, "pipe", "pipe")),
        ({"stdin": False, "stdout": firkin.DEVNULL}, (False, "null", "pipe")),
        ({"stderr": firkin.DEVNULL}, (False, "pipe", "null")),
        ({"stderr": firkin.STDOUT}, (False, "pipe", "stdout")),
        ({"stdout": firkin.DEVNULL, "stderr": firkin.STDOUT}, (False, "null", "stdout")),
        ({"terminal": True, "stderr": firkin.STDOUT}, (False, "pipe", "pipe")),
    ],
)
def test_what_is_said_is_what_the_process_is_given(words: dict[str, object], given: object) -> None:
    assert streams(**words) == given
    options = run_options("image", **words)  # type: ignore[arg-type]
    assert (options.stdin, options.outputs) == (given[0], Outputs(stdout=given[1], stderr=given[2]))  # type: ignore[index]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"stdout": firkin.STDOUT}, r"stdout: -2 is not one of PIPE, DEVNULL, a descriptor"),
        ({"stdin": firkin.STDOUT}, r"stdin: -2 is not one of PIPE, DEVNULL, a descriptor"),
        ({"stderr": -4}, r"stderr: -4 is not one of PIPE, DEVNULL, STDOUT"),
        ({"stdout": True}, r"stdout: True is not one of"),
        ({"terminal": True, "stderr": firkin.PIPE}, r"stderr: a terminal has one output"),
        ({"terminal": True, "stderr": firkin.DEVNULL}, r"stderr: a terminal has one output"),
        ({"terminal": True, "stdout": firkin.DEVNULL}, r"stdout: DEVNULL leaves a terminal nothing"),
        ({"stdout": None}, r"stdout: only run\(\) and exec\(\) of a program that stays"),
        ({"stderr": 2}, r"stderr: only run\(\) and exec\(\)"),
        ({"stdin": "path"}, r"stdin: only run\(\) and exec\(\)"),
    ],
)
def test_what_cannot_be_is_refused_by_name(words: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        streams(**words)
    with pytest.raises(UsageError, match=message):
        run_options("image", **words)  # type: ignore[arg-type]
