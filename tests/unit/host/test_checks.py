"""Faults that no test can make on every host, from facts written by hand; and what findings become."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from firkin.errors import NotFound
from firkin.faults.catalogue import FAULTS
from firkin.faults.fault import Fault, Finding
from firkin.host import (
    cgroups,
    clock,
    doctor,
    kvm,
    leftovers,
    messages,
    nesting,
    network,
    podman_storage,
    reading,
    storage,
    subordinate_ids,
    user_namespaces,
)
from firkin.host.asker import Asker
from firkin.host.mount_table import Mount
from firkin.pytest.home import Home
from firkin.settings import Settings
from tests.unit.host import test_provoked

BY_HAND: list[tuple[str, Any, Any]] = [
    ("userns-absent", user_namespaces, user_namespaces.Facts(present=False, failed="unshare", error=22)),
    ("userns-sysctl", user_namespaces, user_namespaces.Facts(failed="unshare", error=errno.EPERM, cloning=0)),
    (
        "userns-apparmor",
        user_namespaces,
        user_namespaces.Facts(failed="mount", error=errno.EACCES, apparmor=1),
    ),
    ("userns-powerless", user_namespaces, user_namespaces.Facts(failed="map", error=errno.EPERM)),
    (
        "userns-limited",
        user_namespaces,
        user_namespaces.Facts(failed="unshare", error=errno.ENOSPC, most_mounts=0),
    ),
    ("data-network", storage, storage.Facts((storage.Disk("/data", kind="nfs4"),))),
    ("data-fuse", storage, storage.Facts((storage.Disk("/data", kind="fuse.sshfs"),))),
    ("cgroups-v1", cgroups, cgroups.Facts(version="1")),
    ("cgroups-hybrid", cgroups, cgroups.Facts(version="hybrid")),
    ("cgroups-undelegated", cgroups, cgroups.Facts(delegated="", controllers=())),
    ("cgroups-controllers", cgroups, cgroups.Facts(controllers=("memory", "pids"))),
    ("clock-wrong", clock, clock.Facts(now_s=0.0)),
    ("clock-wrong", clock, clock.Facts(now_s=5e9)),
    ("clock-unsynchronised", clock, clock.Facts(synchronised=False)),
    ("in-container", nesting, nesting.Facts(container="lxc")),
    ("in-vm", nesting, nesting.Facts(machine=True, virtualizes=False)),
    ("kvm-untried", kvm, kvm.Facts(guest=None)),
    ("kvm-broken", kvm, kvm.Facts(guest="a machine on /dev/kvm never reached its agent")),
    ("netavark-iptables", network, network.Facts(netavark=True, iptables=False)),
    ("storage-vfs", podman_storage, podman_storage.Facts(driver="", stored=("vfs",), store="/s")),
]
HEALTHY: list[tuple[Any, Any]] = [
    *((subject, subject.Facts()) for subject in (user_namespaces, cgroups, clock, nesting, network, kvm)),
    (storage, storage.Facts((storage.Disk("/data", free_bytes=1 << 40, free_inodes=1 << 20),))),
    (storage, storage.Facts((storage.Disk("/data", kind="btrfs", free_bytes=1 << 40),))),
    (podman_storage, podman_storage.Facts(driver="", stored=("overlay",))),
    (subordinate_ids, subordinate_ids.Facts()),
    (subordinate_ids, subordinate_ids.Facts(subordinate_ids.File("/etc/subuid"), elsewhere=True)),
    (kvm, kvm.Facts(asked_for=False, device="is not there", guest=None)),
]


@pytest.fixture
def asker(settings: Settings) -> Asker:
    return Asker(settings=settings, tools=("podman",))


@pytest.mark.parametrize(("fault_id", "subject", "facts"), BY_HAND)
def test_the_facts_of_a_fault_give_its_finding_alone(
    fault_id: str, subject: Any, facts: Any, asker: Asker
) -> None:
    (finding,) = subject.check(asker, facts)
    assert finding.id == fault_id


@pytest.mark.parametrize(("subject", "facts"), HEALTHY)
def test_healthy_facts_give_nothing(subject: Any, facts: Any, asker: Asker) -> None:
    assert list(subject.check(asker, facts)) == []


def test_every_fault_is_provoked_made_by_hand_or_told_by_a_message() -> None:
    provoked = {fault_id for ids, _, _ in test_provoked.FAULTS for fault_id in ids.split()}
    by_hand = {fault_id for fault_id, _, _ in BY_HAND}
    told = {fault.id for _, fault in messages.PATTERNS if fault.subject == "messages"}
    elsewhere = {"orphans", "unexamined"}  # tests of their own, below
    assert provoked | by_hand | told | elsewhere == set(FAULTS)


def test_each_fault_stands_under_a_subject_that_the_doctor_looks_at() -> None:
    assert {fault.subject for fault in FAULTS.values()} == {*doctor.SUBJECTS, "messages", "doctor"}


def test_limits_are_told_by_their_controllers(asker: Asker) -> None:
    (finding,) = cgroups.check(asker, cgroups.Facts(controllers=("memory", "pids", "io", "cpuset")))
    assert "cpu (--cpus)" in finding.what
    assert "memory" not in finding.what


def test_new_subordinate_ids_lie_above_those_of_others(asker: Asker) -> None:
    taken = "other:100000:65536\nsecond:165536:65536\n"
    files = (subordinate_ids.File(path, taken) for path in ("/etc/subuid", "/etc/subgid"))
    (finding,) = subordinate_ids.check(asker, subordinate_ids.Facts(*files))
    assert "--add-subuids 231072-296607" in finding.fix[0]


@pytest.mark.parametrize(
    "text",
    [
        "user:100000:65536:0\n",
        "user:-1:65536\n",
        "user:100000:0\n",
        "user:4294967000:65536\n",
        ":100000:65536\n",
        "user:1e5:65536\n",
        "user:99999999999999999999:1\n",
        "\udcff\x00:\n",
    ],
)
def test_a_line_of_subuid_that_is_no_range_is_shown(text: str, asker: Asker) -> None:
    file = subordinate_ids.File("/etc/subuid", "user:100000:65536\n" + text)
    (finding,) = subordinate_ids.check(asker, subordinate_ids.Facts(file))
    assert finding.id == "subids-malformed"
    assert "line 2" in finding.what
    finding.what.encode()  # a terminal can be given it


@pytest.mark.parametrize(
    ("fault_id", "with_podman", "without"),
    [
        ("policy-missing", "error", "note"),
        ("subids-missing", "error", "warning"),
        ("cgroups-v1", "warning", "warning"),
        ("root-not-shared", "note", "note"),
        ("qemu-missing", "error", "error"),
    ],
)
def test_what_hurts_no_machine_is_no_error_where_there_is_no_podman(
    fault_id: str, with_podman: str, without: str, asker: Asker
) -> None:
    finding = FAULTS[fault_id].found()
    assert doctor._for(asker, finding).severity == with_podman
    assert doctor._for(msgspec.structs.replace(asker, tools=()), finding).severity == without


def test_root_is_told_no_sudo(asker: Asker) -> None:
    (finding,) = cgroups.check(asker, cgroups.Facts(version="1"))
    assert finding.needs_root
    assert finding.fix[0].startswith("sudo ")
    assert "sudo" not in doctor._for(msgspec.structs.replace(asker, uid=0), finding).fix[0]


@pytest.mark.parametrize(
    ("severities", "status"), [("", 0), ("note", 0), ("note warning", 1), ("warning error", 2)]
)
def test_the_status_is_of_the_worst(severities: str, status: int) -> None:
    finding = FAULTS["qemu-missing"].found()
    found = [msgspec.structs.replace(finding, severity=each) for each in severities.split()]
    assert doctor.status_of(found) == status


def test_a_subject_that_cannot_be_looked_at_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Asker) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/proc")

    monkeypatch.setattr(leftovers, "gather", refuse)
    (finding,) = doctor.examine(os.environ, ["leftovers"])
    assert (finding.id, finding.severity) == ("unexamined", "note")
    assert "leftovers" in finding.what
    assert "/proc" in finding.what


def test_an_unknown_subject_is_refused_with_the_nearest() -> None:
    with pytest.raises(NotFound) as error:
        doctor.examine(os.environ, ["cgroup"])
    assert "cgroups" in error.value.hint


def test_only_one_finding_is_looked_for(home: Home) -> None:
    environ = home.environ() | {"FIRKIN_QEMU": "/nowhere", "TMPDIR": "/nowhere"}
    assert [each.id for each in doctor.examine(environ, ["qemu-missing"])] == ["qemu-missing"]
    assert doctor.examine(environ, ["qemu-old"]) == []


def test_a_machine_that_outlived_its_container_is_found(asker: Asker, home: Home) -> None:
    container = home.data_dir / "containers" / ("0" * 64)
    container.mkdir(parents=True)
    sleep = home.root / "qemu-system-fake"
    shutil.copy(shutil.which("sleep") or "sleep", sleep)
    with (container / "disk.qcow2").open("w") as disk:
        vmm = subprocess.Popen([sleep, "60"], stdin=disk)
    try:
        while "qemu-system" not in Path(f"/proc/{vmm.pid}/comm").read_text():
            os.sched_yield()  # the kernel names it a moment after its exec has told us that it went well
        assert leftovers.gather(asker).orphans == ()
        shutil.rmtree(container)
        (finding,) = leftovers.check(asker, leftovers.gather(asker))
        assert finding.id == "orphans"
        assert finding.fix == (f"kill {vmm.pid}",)
    finally:
        vmm.kill()
        vmm.wait()


def test_a_pipe_in_the_place_of_a_file_stops_nobody(home: Home) -> None:
    os.mkfifo(home.work_dir / "conf")
    assert reading.text(home.work_dir / "conf") == ""


def test_a_file_is_read_up_to_its_bound(home: Home) -> None:
    (home.work_dir / "long").write_bytes(b"x" * 100)
    assert reading.content(home.work_dir / "long", 10) == b"x" * 10
    assert reading.number(home.work_dir / "long") is None


def test_a_path_lies_in_the_nearest_mount(asker: Asker) -> None:
    kinds = {"/": "ext4", "/srv": "xfs", "/srv/data": "nfs4", "/srv/dat": "tmpfs"}
    on = msgspec.structs.replace(asker, mounts=tuple(Mount(target, kind) for target, kind in kinds.items()))
    for path, kind in (("/srv/data/x", "nfs4"), ("/srv/database", "xfs"), ("/x", "ext4")):
        mount = on.mount_of(Path(path))
        assert mount is not None
        assert mount.kind == kind


def test_a_hint_names_the_first_fix_and_where_more_is_said() -> None:
    hint = FAULTS["kernel-missing"].hint()
    assert hint.startswith("firkin kernel install")
    assert "firkin doctor --explain kernel-missing" in hint


def test_each_finding_that_a_hint_names_exists() -> None:
    source = Path(doctor.__file__).parents[1]
    named = {
        fault_id
        for path in source.rglob("*.py")
        for fault_id in re.findall(r"doctor --explain ([a-z][a-z0-9-]+)", path.read_text())
    }
    assert {"kvm-broken", "kvm-missing"} <= named <= set(FAULTS)


def test_a_finding_is_plain_data() -> None:
    finding = FAULTS["subids-missing"].found(user="ada", first=1, last=2)
    again = msgspec.json.decode(msgspec.json.encode(finding), type=Finding)
    assert again == finding
    assert finding.proof == "getsubids ada && getsubids -g ada"


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.id)
def test_a_fault_says_all_that_a_person_needs(fault: Fault) -> None:
    finding = fault.found()
    assert finding.what
    assert finding.why[0].islower() or finding.why[0] in "`/-"
    assert not finding.why.endswith(".")
    assert finding.proof
    assert finding.fix or fault.id == "in-vm"
    assert finding.needs_root == any("sudo" in command.split("#")[0] for command in finding.fix)
    for command in finding.fix:
        checked = subprocess.run(["sh", "-n", "-c", command], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr
