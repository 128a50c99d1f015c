"""`firkin ps` lists what its filters ask for, as docker does."""

from __future__ import annotations

import pytest

from firkin.container import record
from firkin.container.record import Exited, Running
from firkin.container.spec import Bind, ContainerSpec
from firkin.process.spec import ExitStatus, ProcessSpec
from firkin.pytest.command import Command
from firkin.settings import Settings

DIGEST = "sha256:" + "ab" * 32


@pytest.fixture
def some(firkin: Command, settings: Settings) -> Command:
    """Four containers, made in this order: created, exited with 3, exited with 0 and restarting."""
    make(settings, 1, "made", labels={"tier": "web"})
    make(settings, 2, "failed", labels={"tier": "web", "old": ""}, code=3, image="docker.io/library/nginx:1")
    make(settings, 3, "well", labels={"tier": "db"}, code=0, binds=(Bind(source="/srv", target="/data"),))
    make(settings, 4, "again", code=1, again_ns=99, image_digest=DIGEST)
    return firkin


def make(
    settings: Settings,
    number: int,
    name: str,
    *,
    code: int | None = None,
    again_ns: int | None = None,
    labels: dict[str, str] | None = None,
    image: str = "busybox",
    image_digest: str = "sha256:" + "0" * 64,
    binds: tuple[Bind, ...] = (),
) -> None:
    spec = ContainerSpec(
        id=f"{number:x}" * 64, name=name, image=image, image_digest=image_digest, rootfs_key="k",
        process=ProcessSpec(args=("x",)), created_ns=number, hostname="h", labels=labels or {}, binds=binds,
    )  # fmt: skip
    made, lock = record.create(settings.paths, spec, kept=True)
    if code is not None:
        made.set_running(Running(pid=1, started_ns=number, accelerator="tcg"))
        made.set_exited(
            Exited(status=ExitStatus(code=code), started_ns=number, finished_ns=number, again_ns=again_ns)
        )
    lock.close()


def listed(firkin: Command, *words: str) -> list[str]:
    return firkin("ps", "--format", "{{.Names}}", *words, check=True).stdout.split()


def test_filters_of_one_key_are_alternatives_and_keys_add_up(some: Command) -> None:
    def found(*filters: str) -> list[str]:
        return listed(some, "-a", *(word for each in filters for word in ("--filter", each)))

    assert found() == ["again", "well", "failed", "made"]
    assert found("name=e") == ["well", "failed", "made"]
    assert found("name=^we") == ["well"]
    assert found("id=33", "id=1") == ["well", "made"]
    assert found("label=tier=web") == ["failed", "made"]
    assert found("label=tier=web", "label=old") == ["failed"]
    assert found("status=created", "status=exited", "label=tier=web") == ["failed", "made"]
    assert found("exited=3", "exited=0") == ["well", "failed"]
    assert found("ancestor=nginx:1") == ["failed"]
    assert found("ancestor=busybox") == ["again", "well", "made"]
    assert found(f"ancestor={DIGEST[7:20]}") == ["again"]
    assert found("before=well") == ["failed", "made"]
    assert found("since=failed", "before=again") == ["well"]
    assert found("volume=/data") == found("volume=/srv") == ["well"]


def test_a_status_means_containers_that_do_not_run_too(some: Command) -> None:
    assert listed(some) == ["again"], "which is about to run"
    assert listed(some, "--filter", "status=exited") == ["well", "failed"]
    assert listed(some, "--filter", "status=restarting") == ["again"]
    assert listed(some, "-n", "2") == ["again", "well"]
    assert listed(some, "-l") == ["again"]
    assert listed(some, "-n", "1", "--filter", "label=tier") == ["well"]
    assert some("ps", "-a", "-q", "--filter", "name=made").stdout == "111111111111\n"


def test_those_that_are_over_are_removed_by_filter(some: Command) -> None:
    assert some("container", "prune").status == 125, "nobody is there to be asked"
    assert "is none" in some("container", "prune", "-f", "--filter", "colour=red").stderr
    gone = some("container", "prune", "-f", "--filter", "label=tier=web", check=True).stdout.split()
    assert sorted(gone) == ["1" * 64, "2" * 64]
    assert some("container", "ls", "-a", "--format", "{{.Names}}").stdout.split() == ["again", "well"]
    assert some("container", "prune", "-f", check=True).stdout.split() == ["3" * 64]
    assert listed(some, "-a") == ["again"], "which is about to run"


def test_their_sizes_are_shown_when_asked_for(some: Command, settings: Settings) -> None:
    image = settings.paths.rootfs_dir / "k" / "image.ext4"
    image.parent.mkdir(parents=True)
    image.write_bytes(b"x" * 8192)
    top = settings.paths.container_dir("1" * 64) / "disk.qcow2"
    top.write_bytes(b"x" * 4096)
    assert "SIZE" not in some("ps", "-a").stdout
    headings, row = some("ps", "-a", "-s", "--filter", "name=made").stdout.splitlines()
    assert headings.endswith("SIZE")
    assert row.endswith("4.1kB (virtual 12.3kB)")


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ("colour=red", "filter: 'colour=red' is none"),
        ("status", "filter: 'status' is none"),
        ("status=dead", "filter: status 'dead' is none"),
        ("exited=-1", "filter: exited '-1' is no exit status"),
        ("exited=256", "filter: exited '256' is no exit status"),
        ("name=(", "filter: name '(' is not a pattern"),
        ("ancestor=UPPER", "filter: ancestor 'UPPER' is not an image"),
        ("before=nobody", "no such container: 'nobody'"),
    ],
)
def test_a_filter_that_means_nothing_is_refused(firkin: Command, said: str, complaint: str) -> None:
    refused = firkin("ps", "--filter", said)
    assert (refused.status, complaint in refused.stderr) == (125, True), refused
