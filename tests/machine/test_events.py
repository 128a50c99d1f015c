"""What happens to a container and its image, told in Docker's words whichever process does it."""

from __future__ import annotations

import json

import pytest

from firkin.pytest.command import Command
from firkin.pytest.home import Home

pytestmark = pytest.mark.machine


def test_a_whole_life_is_told_by_whoever_had_the_container(stocked: Home, firkin: Command) -> None:
    firkin("run", "-d", "--name", "one", "--label", "tier=front", "busybox", "sleep", "1000000", check=True)
    firkin("pause", "one", check=True)
    firkin("unpause", "one", check=True)
    firkin("rename", "one", "two", check=True)
    firkin("stop", "-t", "0", "two", check=True)
    firkin("rm", "two", check=True)
    firkin("run", "--rm", "--name", "mine", "busybox", "sh", "-c", "exit 3")
    firkin("tag", "busybox", "box:1", check=True)

    def told(*options: str) -> list[dict[str, object]]:
        said = firkin("events", "--since", "1h", "--until", "0s", "--format", "json", *options, check=True)
        return [json.loads(line) for line in said.stdout.splitlines()]

    life = told("--filter", "label=tier=front")
    assert [each["Action"] for each in life] == [
        *("create", "start", "pause", "unpause", "rename", "die", "stop", "destroy")
    ]
    assert len({each["Actor"]["ID"] for each in life}) == 1
    by_action = {each["Action"]: each["Actor"]["Attributes"] for each in life}
    assert (by_action["start"]["name"], by_action["start"]["image"]) == ("one", "busybox")
    assert (by_action["rename"]["name"], by_action["rename"]["oldName"]) == ("two", "one")
    assert by_action["die"]["exitCode"] == "137"
    mine = told("--filter", "container=mine")
    assert [each["Action"] for each in mine] == ["create", "start", "die", "destroy"]
    assert mine[2]["Actor"]["Attributes"]["exitCode"] == "3"
    assert "box:1" in {each["Actor"]["ID"] for each in told("--filter", "event=tag")}
    firkin("volume", "create", "--driver", "dir", "notes", check=True)
    firkin("volume", "rm", "notes", check=True)
    volume = told("--filter", "volume=notes")
    assert [each["Action"] for each in volume if each["Type"] == "volume"] == ["create", "destroy"]
    text = firkin("events", "--since", "1h", "--until", "0s", "--filter", "event=die", check=True).stdout
    assert " container die " in text.splitlines()[0]
