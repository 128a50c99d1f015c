"""Filters of volumes and networks: what both have is one piece of code, and each has keys of its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from firkin.cli.network_row import network_filter
from firkin.cli.volume_row import volume_filter
from firkin.errors import UsageError


def thing(*containers: str) -> Any:
    record = SimpleNamespace(name="blue", id="abc123", driver="disk", labels={"team": "red"})
    return SimpleNamespace(record=record, containers=containers)


@pytest.mark.parametrize("of", [volume_filter, network_filter])
@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ([], True),
        (["name=lu"], True),
        (["name=red"], False),
        (["label=team"], True),
        (["label=team=red", "name=blue"], True),
        (["label=team=blue"], False),
        (["label=other"], False),
        (["dangling=true"], False),
        (["dangling=0"], True),
        (["name=lu", "dangling=1"], False),
    ],
)
def test_what_volumes_and_networks_have_is_asked_for_alike(of, filters, wanted):
    assert of(filters)(thing("box")) is wanted


def test_each_kind_has_keys_of_its_own():
    assert volume_filter(["driver=disk"])(thing())
    assert not volume_filter(["driver=dir"])(thing())
    assert network_filter(["id=abc"])(thing())
    assert not network_filter(["id=bc"])(thing())
    assert network_filter(["driver=bridge"])(thing())
    assert not network_filter(["driver=macvlan"])(thing())


@pytest.mark.parametrize("of", [volume_filter, network_filter])
@pytest.mark.parametrize("text", ["name", "name=", "driver=", "dangling=maybe", "colour=red", ""])
def test_one_that_is_none_is_refused(of, text):
    with pytest.raises(UsageError, match="there is no filter") as refused:
        of([text])
    assert "label=NAME" in (refused.value.hint or "")


def test_an_id_is_of_networks_only():
    with pytest.raises(UsageError, match="id=abc"):
        volume_filter(["id=abc"])
