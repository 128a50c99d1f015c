"""Volumes as a person uses them, seen from inside the containers that have them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from firkin.pytest.command import Command
from firkin.pytest.home import Home
from tests.support.ext4 import assert_clean, read
from tests.support.images import busybox_tar

pytestmark = pytest.mark.machine


@pytest.fixture
def box(firkin: Command, stocked: Home) -> Iterator[Command]:
    """firkin where busybox is, and a container `holder` that has the volume `held`."""
    firkin("run", "-d", "--name", "holder", "-v", "held:/data", "busybox", "sleep", "inf", check=True)
    yield firkin
    firkin("rm", "-f", "holder")


def sh(firkin: Command, *words: str) -> str:
    """What a script printed in a new container: flags, then the script."""
    return firkin("run", "--rm", "-q", *words[:-1], "busybox", "sh", "-c", words[-1], check=True).stdout


def inside(firkin: Command, script: str) -> str:
    return firkin("exec", "holder", "sh", "-c", script, check=True).stdout


def facts(firkin: Command, *words: str) -> dict[str, object]:
    (found,) = json.loads(firkin(*words, check=True).stdout)
    assert isinstance(found, dict)
    return found


def mounts_of(firkin: Command, container: str) -> list[dict[str, object]]:
    found = facts(firkin, "inspect", container)["Mounts"]
    assert isinstance(found, list)
    return found


def test_a_volume_keeps_what_is_written_with_any_owner_and_starts_stay_forks(
    box: Command, home: Home
) -> None:
    ended = box(
        *("run", "--rm", "--timing", "-v", "one:/etc:nosuid,noexec", "--mount", "source=two,dst=/two"),
        *(
            "busybox",
            "sh",
            "-c",
            "grep ' /etc \\| /two ' /proc/mounts; ls /etc; echo 1 > /two/f; chown 70000:5 /two/f",
        ),
        check=True,
    )
    mounts = dict(line.split()[1:4:2] for line in ended.stdout.splitlines() if line.startswith("/dev/"))
    assert {"nosuid", "noexec"} <= set(mounts["/etc"].split(","))
    assert "passwd" in ended.stdout  # what the image has there
    assert "fork" in ended.stderr, ended.stderr
    # The other way round: each disk is where it was asked for, whatever the order.
    there = sh(
        box, "-v", "two:/two:ro", "-v", "one:/one", "stat -c '%u:%g' /two/f; ls /one; touch /two/x || echo ro"
    )
    assert there.splitlines()[0] == "70000:5"
    assert "passwd" in there
    assert there.splitlines()[-1] == "ro"
    disk = Path(str(facts(box, "volume", "inspect", "two")["Mountpoint"]))
    assert_clean(disk)
    assert read(disk, "/f") == b"1\n"


def test_a_volume_belongs_to_one_machine_at_a_time_also_while_that_is_saved(box: Command, home: Home) -> None:
    inside(box, "echo kept > /data/f; sync")
    for state in ("running", "suspended"):
        if state == "suspended":
            box("suspend", "holder", check=True)
        refused = box("run", "--rm", "-v", "held:/x", "busybox", "true")
        assert refused.status == 125
        assert "volume 'held'" in refused.stderr
        assert f"the {state} container 'holder' has it" in refused.stderr
        assert "used by the container holder" in box("volume", "rm", "held").stderr
    box("resume", "holder", check=True)
    assert inside(box, "cat /data/f; echo more >> /data/f; cat /data/f") == "kept\nkept\nmore\n"
    for verb in (("snapshot", "create", "holder"), ("fork", "holder")):
        refused = box(*verb)
        assert refused.status == 125
        assert "volume held" in refused.stderr
    box("snapshot", "create", "--disk-only", "holder", "kept", check=True)
    assert "volumes: held" in box("snapshot", "export", "kept", "-o", str(home.work_dir / "x")).stderr
    box("stop", "-t", "0", "holder", check=True)
    assert sh(box, "-v", "held:/x", "cat /x/f") == "kept\nmore\n"
    again = box("snapshot", "restore", "kept", "--name", "again", check=True)
    assert again.status == 0
    assert box("exec", "again", "cat", "/data/f").stdout == "kept\nmore\n"
    assert box("start", "holder").status == 125  # its volume is another's now
    box("rm", "-f", "again", check=True)
    box("start", "holder", check=True)


def test_a_machine_that_is_killed_leaves_a_volume_in_order(box: Command, home: Home) -> None:
    each = "i=$((i+1)); mkdir -p /data/d$((i%50)); echo $i > /data/d$((i%50))/$i; sync; echo $i"
    script = f"i=0; while :; do {each}; done > /data/log"
    box("exec", "-d", "holder", "sh", "-c", script, check=True)
    inside(box, "until [ $(wc -l < /data/log) -gt 20 ]; do usleep 20000; done")
    state = facts(box, "inspect", "holder")["State"]
    assert isinstance(state, dict)
    os.kill(int(state["Pid"]), signal.SIGKILL)
    box("wait", "holder")
    assert int(sh(box, "-v", "held:/x", "ls -d /x/d* | wc -l")) >= 20  # what was synced is there
    assert_clean(Path(str(facts(box, "volume", "inspect", "held")["Mountpoint"])))


def test_volumes_without_a_name_go_with_their_container_where_that_was_asked_for(
    box: Command, home: Home
) -> None:
    def anonymous() -> list[str]:
        listed = box("volume", "ls", "-q", check=True).stdout.split()
        return [name for name in listed if len(name) == 64]

    tar = home.work_dir / "image.tar"
    tar.write_bytes(busybox_tar())
    box("import", "-c", "VOLUME /declared /etc", "-c", 'CMD ["sh"]', str(tar), "declares", check=True)
    script = "grep -c '/declared\\|/etc ' /proc/mounts; ls /etc/passwd; echo x > /declared/x"
    run = ("declares", "sh", "-c", script)
    assert box("run", "--rm", "-q", "-v", "/also", *run, check=True).stdout == "2\n/etc/passwd\n"
    assert anonymous() == []
    # What is mounted there takes the place of what is declared.
    box("run", "--name", "stays", "-q", "-v", "held2:/etc", *run, check=True)
    assert len(anonymous()) == 1
    (mount,) = [
        each for each in facts(box, "inspect", "stays")["Mounts"] if each["Destination"] == "/declared"
    ]  # type: ignore[attr-defined]
    assert (mount["Type"], mount["Name"], mount["RW"]) == ("volume", anonymous()[0], True)
    box("rm", "stays", check=True)
    assert len(anonymous()) == 1
    assert box("volume", "prune", "-f", check=True).stdout.splitlines()[0] == mount["Name"]
    box("run", "--name", "goes", "-q", *run, check=True)
    assert len(anonymous()) == 2
    box("rm", "-v", "goes", check=True)
    assert anonymous() == []
    assert sorted(box("volume", "ls", "-q").stdout.split()) == ["held", "held2"]
    assert box("volume", "ls", "-q", "-f", "dangling=true").stdout == "held2\n"
    assert box("volume", "prune", "-f", "-a").stdout.startswith("held2\n")


def test_a_directory_begins_with_what_the_image_has_and_keeps_what_is_written(
    box: Command, home: Home
) -> None:
    box("volume", "create", "--driver", "dir", "shared", check=True)
    assert "guest:x:1000" in sh(
        box, "-v", "shared:/etc", "cat /etc/passwd; echo mine > /etc/mine; rm /etc/group"
    )
    there = Path(str(facts(box, "volume", "inspect", "shared")["Mountpoint"]))
    assert (there / "mine").read_text() == "mine\n"
    assert not (there / "group").exists()
    assert sh(box, "-v", "shared:/x:ro", "ls -A /x | grep -c firkin; cat /x/mine").splitlines() == [
        "0",
        "mine",
    ]
