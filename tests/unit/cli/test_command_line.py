"""The words of the command line: verbs, help, mistakes and exit statuses, as a newcomer meets them."""

import importlib
import subprocess
import sys
from pathlib import Path

import click
import pytest

from firkin.cli.group import firkin
from firkin.cli.main import invoke
from firkin.cli.reference import markdown
from firkin.cli.verbs import VERBS

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "verbs.md"


def command_of(name: str) -> click.Command:
    found = firkin.get_command(click.Context(firkin), name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", VERBS)
def test_help_of_a_verb_begins_with_its_line_in_the_list(name: str) -> None:
    found = command_of(name)
    assert (found.help or "").split("\n")[0] == VERBS[name].line


@pytest.mark.parametrize("name", VERBS)
def test_every_option_is_explained(name: str) -> None:
    for parameter in command_of(name).params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert parameter.help.endswith("."), parameter.name


def test_the_reference_page_is_what_the_commands_say() -> None:
    assert REFERENCE.read_text() == markdown(), "run python -m firkin.cli.reference > docs/reference/verbs.md"


def test_help_stands_on_standard_output_and_lists_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["--help"]) == 0
    bare = capsys.readouterr()
    assert invoke([]) == 0
    assert capsys.readouterr() == bare
    assert bare.err == ""
    assert all(f"  {name} " in bare.out for name in VERBS)


def test_an_unknown_verb_suggests_the_near_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["pul", "alpine"]) == 125
    assert capsys.readouterr().err == (
        "firkin: there is no verb 'pul'\n  hint: did you mean `firkin pull`?\n"
    )


def test_an_unknown_verb_like_none_of_ours_points_at_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["xyzzy"]) == 125
    assert "`firkin --help` lists the verbs" in capsys.readouterr().err


def test_an_unknown_option_points_at_the_verb_s_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["run", "--nmae", "x", "alpine"]) == 125
    first, hint = capsys.readouterr().err.splitlines()
    assert first == "firkin: there is no option --nmae"
    assert "--name" in hint
    assert hint.endswith("`firkin run --help` shows how it is used")


def test_a_missing_argument_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["run"]) == 125
    assert capsys.readouterr().err.startswith("firkin: missing argument 'IMAGE'")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "-m", "lots", "alpine"], "memory: 'lots' is not a size"),
        (["run", "--cpus", "0", "alpine"], "cpus: '0' is not a number of CPUs from 0.01 to 256"),
        (["run", "-v", "nonsense", "alpine"], "volume 'nonsense' is not HOST:CONTAINER[:ro]"),
        (["run", "-p", "99999:80", "alpine"], "is not a port from 1 to 65535"),
        (["run", "--network", "host", "alpine"], "network"),
        (["run", "--pull", "sometimes", "alpine"], "pull"),
        (["run", "--detach-keys", "alt-x", "-t", "alpine"], "'alt-x' is not a key"),
        (["run", "--stop-signal", "SIGNOPE", "alpine"], "'SIGNOPE' is not a signal"),
        (["kill", "-s", "NOPE", "x"], "'NOPE' is not a signal"),
        (["stop", "-t", "soon", "x"], "'soon' is not a duration"),
        (["logs", "--since", "soon", "x"], "'soon' is not a time"),
        (["logs", "--tail", "few", "x"], "'few' is not a number of lines"),
        (["ps", "--format", "{{.Id"], "bad template '{{.Id': }} is missing"),
        (["images", "--format", "{{.Id"], "bad template"),
        (["tag", "UPPER", "x"], "'UPPER' is not an image reference"),
        (["pull", "UPPER"], "'UPPER' is not an image reference"),
        (["run", "UPPER"], "'UPPER' is not an image reference"),
    ],
)
def test_bad_words_are_one_line_and_a_hint(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(words) == 125
    first, hint = capsys.readouterr().err.splitlines()
    assert first.startswith("firkin: ")
    assert said in first
    assert hint.startswith("  hint: ")


def test_flags_after_the_image_belong_to_the_command() -> None:
    context = command_of("run").make_context("run", ["-i", "alpine", "ls", "-l", "--help", "-e"])
    assert context.params["image"] == "alpine"
    assert context.params["words"] == ("ls", "-l", "--help", "-e")
    context = command_of("exec").make_context("exec", ["web", "sh", "-c", "exit 3"])
    assert context.params["words"] == ("sh", "-c", "exit 3")


def test_version_imports_neither_asyncio_nor_the_engine() -> None:
    code = (
        "import sys; from firkin.cli.main import invoke; assert invoke(['version']) == 0;"
        "heavy = {'asyncio', 'msgspec', 'rich', 'aiohttp', 'ssl', 'firkin.engine', 'firkin.settings'};"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    assert python(code).stderr.splitlines()[-1] == "[]"


def test_a_closed_pipe_ends_it_without_a_word() -> None:
    ended = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m firkin.cli.main --help | true; echo ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, env=environ(), check=True,
    )  # fmt: skip
    assert ended.stderr == ""
    assert ended.stdout.strip() in ("141", "0")


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environ(), check=True
    )


def environ() -> dict[str, str]:
    import os

    source = Path(importlib.import_module("firkin").__path__[0]).parent
    return {**os.environ, "PYTHONPATH": str(source)}
