"""The reference pages name what is there, all of it, and nothing else."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from firkin import errors
from firkin.pytest.home import Home
from firkin.settings import Settings
from firkin.units import parse_size
from tests.docs.examples import blocks

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
INHERENT = {"data_dir", "run_dir", "config_dir", "home_dir"}
"""Settings whose default comes from the environment."""


def rows(page: str) -> dict[str, list[str]]:
    """The tables of a page: the first cell without its backquotes, then the other cells."""
    lines = [line for line in (REFERENCE / page).read_text().splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return {first.strip("`"): rest for first, *rest in cells}


def all_errors(root: type[errors.FirkinError]) -> set[type[errors.FirkinError]]:
    return {root}.union(*(all_errors(child) for child in root.__subclasses__()))


def test_every_setting_is_on_its_page_with_its_default() -> None:
    page = rows("settings.md")
    assert set(page) == set(Settings.__struct_fields__)
    for field in msgspec.structs.fields(Settings):
        variable, default, _meaning = page[field.name]
        assert variable in ("", f"`FIRKIN_{field.encode_name.upper()}`")
        if field.name not in INHERENT and default.startswith("`"):
            text = default.strip("`")
            shown: object = parse_size(text) if field.name.endswith("_bytes") else text
            assert str(shown) in (str(field.default), str(field.default).removesuffix(".0"))


def test_every_variable_of_the_settings_page_is_obeyed(home: Home) -> None:
    environ = home.environ()
    wanted = {"FIRKIN_MEMORY_BYTES": "1g", "FIRKIN_CPUS": "3", "FIRKIN_INSECURE_REGISTRIES": "a:1,b"}
    settings = Settings.load(environ | wanted)
    assert (settings.memory_bytes, settings.cpus) == (1 << 30, 3)
    assert settings.insecure_registries == ("a:1", "b")


def test_the_config_file_on_the_settings_page_is_understood(home: Home) -> None:
    (example,) = (
        block for block in blocks((REFERENCE / "settings.md").read_text()) if block.language == "toml"
    )
    home.config_path.parent.mkdir(parents=True)
    home.config_path.write_text(example.text)
    settings = Settings.load(home.environ())
    for name, value in tomllib.loads(example.text).items():
        expected = parse_size(value) if name.endswith("_bytes") else value
        assert getattr(settings, name) == (tuple(expected) if isinstance(expected, list) else expected)


def test_every_error_is_on_its_page() -> None:
    ours = {error.__name__ for error in all_errors(errors.FirkinError) if error.__module__ == "firkin.errors"}
    assert set(rows("errors.md")) == ours


@pytest.mark.parametrize("status", [126, 127])
def test_an_error_with_an_exit_status_of_its_own_says_so(status: int) -> None:
    page = rows("errors.md")
    with_status = {e.__name__ for e in all_errors(errors.FirkinError) if e.exit_status == status}
    assert with_status == {name for name, cells in page.items() if f"exit status {status}" in cells[0]}
