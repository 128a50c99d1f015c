"""Flags as Docker and podman let them be written."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from firkin.cli.booleans import Booleans


@click.command(cls=Booleans)
@click.option("--start/--no-start", default=True)
@click.option("-q", "--quiet", is_flag=True)
@click.option("--name", default="")
@click.argument("words", nargs=-1)
def command(**said: object) -> None:
    click.echo(" ".join(f"{key}={value}" for key, value in sorted(said.items())))


@pytest.mark.parametrize(
    ("args", "shown"),
    [
        (["--start=false"], "name= quiet=False start=False words=()"),
        (["--start=true", "-q=true"], "name= quiet=True start=True words=()"),
        (["--quiet=false", "--no-start"], "name= quiet=False start=False words=()"),
        (["--name=false", "x"], "name=false quiet=False start=True words=('x',)"),
        (["--", "--start=false"], "name= quiet=False start=True words=('--start=false',)"),
    ],
)
def test_a_flag_takes_true_and_false(args: list[str], shown: str) -> None:
    assert CliRunner().invoke(command, args).output == shown + "\n"


def test_another_value_is_refused() -> None:
    refused = CliRunner().invoke(command, ["--start=maybe"])
    assert refused.exit_code == 2
