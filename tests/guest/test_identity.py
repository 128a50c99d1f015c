"""A container of a forked machine becomes one of its own, and nothing of it leads anywhere else."""

from __future__ import annotations

import errno
import os
import re
import uuid
from pathlib import Path

import pytest

from tests.guest.driver import Host, Refused

OLD_ID, NEW_ID = "0123456789abcdef" * 2, "fedcba9876543210" * 2
BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Run:
    """Runs scripts in a container, each as a process of its own."""

    def __init__(self, host: Host, container: str = "c1") -> None:
        self.host, self.container, self.proc = host, container, 10

    def __call__(self, script: str) -> str:
        self.proc += 1
        status, out, err = self.host.run(self.proc, "sh", "-c", script, container=self.container)
        assert status == 0, err
        return out.decode()


def files(name: str) -> list[dict[str, object]]:
    return [
        {"path": "/etc/hostname", "mode": 0o644, "data": f"{name}\n".encode()},
        {"path": "/etc/hosts", "mode": 0o644, "data": f"10.0.2.15\t{name}\n".encode()},
        {"path": "/etc/resolv.conf", "mode": 0o644, "data": b"nameserver 10.0.2.3\n" * len(name)},
    ]


def test_a_fork_has_the_name_and_the_files_that_it_was_given(host, box):
    box.running(host, files=files("a-long-name"))
    host.ask("identity", container="c1", rename="c2", hostname="kid", files=files("kid"))
    run = Run(host, "c2")
    assert run("hostname; cat /etc/hostname /etc/hosts").split() == ["kid", "kid", "10.0.2.15", "kid"]
    assert run("wc -l < /etc/resolv.conf").strip() == "3"
    assert host.run(90, "uname", "-n")[1].decode().strip() == os.uname().nodename


def test_a_process_that_runs_sees_its_new_identity_where_it_looked_before(host, box):
    """An open file, a file bound elsewhere, a shell that is older than the fork."""
    box.container(host, files=files("old"))
    script = f"exec 3</etc/hosts; echo on; while read go; do cat <&3; hostname; cat {BOOT_ID}; done"
    host.spawn(1, "sh", "-c", script, container="c1", stdin=10, stdout=11)
    host.until(lambda: b"on\n" in host.output[11], "the shell")
    host.ask("identity", container="c1", hostname="new", files=files("new"))
    host.write(10, b"go\n")
    host.until(lambda: host.output[11].count(b"\n") == 4, "its answer")
    _, hosts, name, boot_id = bytes(host.output[11]).decode().splitlines()
    assert (hosts, name) == ("10.0.2.15\tnew", "new")
    assert boot_id == Run(host)(f"cat {BOOT_ID}").strip()


def test_the_new_id_stands_for_the_container_from_then_on(host, box):
    box.running(host)
    host.ask("identity", container="c1", rename="c2")
    host.spawn(2, "sleep", "1000", container="c2")
    assert len(host.ask("ps", container="c2")["processes"]) == 2
    with pytest.raises(Refused) as refused:
        host.spawn(3, "true", container="c1")
    assert refused.value.errno == errno.ENOENT
    hello = Host(host.sock).sync()
    assert hello["containers"] == ["c2"]
    assert {proc["container"] for proc in hello["procs"]} == {"c2"}
    again = Host(host.sock)
    again.sync()
    again.ask("signal", proc=1, signal=9, all=True)
    assert (again.wait(1), again.wait(2)) == (137, 137)
    again.ask("remove", container="c2")


def test_an_id_that_is_taken_is_refused_and_changes_nothing(host, box):
    box.running(host, files=files("old"))
    box.container(host, "c2")
    with pytest.raises(Refused) as refused:
        host.ask("identity", container="c1", rename="c2", hostname="new", files=files("new"))
    assert (refused.value.errno, refused.value.object) == (errno.EEXIST, "container c2")
    assert Run(host)("hostname; cat /etc/hostname").split() == ["box", "old"]
    host.ask("identity", container="c1", rename="c1")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"container": "c9"}, errno.ENOENT),
        ({"rename": "a/b"}, errno.EINVAL),
        ({"rename": "x" * 65}, errno.EINVAL),
        ({"hostname": "x" * 65}, errno.EINVAL),
        ({"machine_id": "0123"}, errno.EINVAL),
        ({"machine_id": OLD_ID.upper()}, errno.EINVAL),
        ({"machine_id": OLD_ID + "0"}, errno.EINVAL),
        ({"files": [{"path": "/etc/passwd", "mode": 0o644, "data": b""}]}, errno.ENOENT),
        ({"files": [{"path": "/../boot_id", "mode": 0o644, "data": b""}]}, errno.ENOENT),
        ({"colour": "red"}, errno.EINVAL),
    ],
)
def test_what_cannot_be_an_identity_is_refused_and_can_be_given_again(host, box, fields, error):
    box.running(host, files=files("old"))
    with pytest.raises(Refused) as refused:
        host.ask("identity", **{"container": "c1", "rename": "c2", **fields})
    assert refused.value.errno == error
    host.ask("identity", container="c1", rename="c2", hostname="new")
    assert Run(host, "c2")("hostname; cat /etc/hostname").split() == ["new", "old"]
    assert "nobody" not in (box.root / "etc/passwd").read_text()


def test_a_container_that_has_ended_has_no_identity(host, box):
    box.running(host)
    host.ask("signal", proc=1, signal=9)
    host.wait(1)
    with pytest.raises(Refused) as refused:
        host.ask("identity", container="c1", rename="c2")
    assert refused.value.errno == errno.ESRCH


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{OLD_ID}\n", f"{NEW_ID}\n"),
        (OLD_ID, f"{NEW_ID}\n"),
        ("", ""),
        ("uninitialized\n", "uninitialized\n"),
        (None, None),
    ],
)
def test_a_machine_id_is_replaced_where_there_is_one(host, box, before, after):
    path = box.root / "etc/machine-id"
    if before is not None:
        path.write_text(before)
        path.chmod(0o444)
    box.running(host)
    host.ask("identity", container="c1", machine_id=NEW_ID)
    assert (path.read_text() if path.exists() else None) == after


def test_no_machine_id_is_touched_where_none_is_asked_for(host, box):
    (box.root / "etc/machine-id").write_text(OLD_ID)
    box.running(host)
    host.ask("identity", container="c1", hostname="new")
    assert (box.root / "etc/machine-id").read_text() == OLD_ID


def test_the_machine_id_of_dbus_follows_whether_it_is_a_link_or_a_file(host, box):
    ids = [box.root / "etc/machine-id", box.root / "var/lib/dbus/machine-id"]
    ids[1].parent.mkdir(parents=True)
    ids[0].write_text(OLD_ID)
    ids[1].write_text(OLD_ID)
    box.running(host)
    host.ask("identity", container="c1", machine_id=NEW_ID)
    assert [path.read_text() for path in ids] == [f"{NEW_ID}\n"] * 2
    ids[1].unlink()
    ids[1].symlink_to("/etc/machine-id")
    host.ask("identity", container="c1", machine_id=OLD_ID)
    assert ids[0].read_text() == f"{OLD_ID}\n"
    assert ids[1].is_symlink()


def test_no_link_leads_the_machine_id_out_of_the_root(host, box, tmp_path):
    outside = tmp_path / "machine-id"
    outside.write_text(OLD_ID)
    (box.root / "etc/machine-id").symlink_to(outside)
    (box.root / "var").symlink_to("../../../../../../../../var")
    before = os.stat("/var/lib/dbus/machine-id").st_mtime_ns if os.path.exists("/var/lib/dbus") else 0
    box.running(host)
    host.ask("identity", container="c1", machine_id=NEW_ID)
    assert outside.read_text() == OLD_ID
    assert not before or os.stat("/var/lib/dbus/machine-id").st_mtime_ns == before


def test_a_machine_id_that_was_mounted_from_elsewhere_is_left_alone(host, box, tmp_path):
    shared = tmp_path / "shared"
    (shared / "dbus").mkdir(parents=True)
    for path in (shared / "machine-id", shared / "dbus/machine-id"):
        path.write_text(OLD_ID)
    binds = {"machine-id": "/etc/machine-id", "dbus": "/var/lib/dbus"}
    mounts = [
        {"type": "bind", "source": str(shared / source), "target": target, "options": []}
        for source, target in binds.items()
    ]
    box.running(host, mounts=mounts)
    host.ask("identity", container="c1", machine_id=NEW_ID)
    assert (shared / "machine-id").read_text() == OLD_ID
    assert (shared / "dbus/machine-id").read_text() == OLD_ID


def test_a_read_only_root_keeps_its_machine_id_and_gets_the_rest(host, box):
    (box.root / "etc/machine-id").write_text(OLD_ID)
    box.running(host, readonly=True, files=files("old"))
    host.ask("identity", container="c1", machine_id=NEW_ID, hostname="new", files=files("new"))
    assert (box.root / "etc/machine-id").read_text() == OLD_ID
    assert Run(host)("hostname; cat /etc/hostname").split() == ["new", "new"]


def test_what_is_no_file_is_no_machine_id(host, box):
    os.mkfifo(box.root / "etc/machine-id")
    (box.root / "var/lib/dbus/machine-id").mkdir(parents=True)
    box.running(host)
    host.ask("identity", container="c1", machine_id=NEW_ID)


def test_each_identity_has_a_boot_id_of_its_own(host, box):
    box.running(host, readonly_paths=["/proc/sys"])
    run, kernels = Run(host), Path(BOOT_ID).read_text()
    assert run(f"cat {BOOT_ID}") == kernels
    seen = {kernels}
    for _ in range(3):
        host.ask("identity", container="c1")
        text = run(f"cat {BOOT_ID}")
        assert re.fullmatch(r"[0-9a-f-]{36}\n", text)
        assert uuid.UUID(text.strip()).version == 4
        seen.add(text)
    assert len(seen) == 4
    assert run(f"grep -c {BOOT_ID} /proc/mounts").strip() == "1"
    status, _, err = host.run(60, "sh", "-c", f"echo x > {BOOT_ID}", container="c1")
    assert status != 0
    assert b"Read-only" in err
    assert Path(BOOT_ID).read_text() == kernels


def test_the_agent_is_at_home_again_when_it_gave_an_identity(host, box):
    """Whatever comes next happens in the machine, and not in the container that was visited."""
    where = "readlink /proc/self/ns/mnt /proc/self/ns/uts; pwd; ls -di /"
    before = host.run(1, "sh", "-c", where)[1]
    box.container(host)
    host.spawn(2, "sleep", "1000", container="c1")
    host.ask("identity", container="c1", rename="c2", hostname="new")
    assert host.run(3, "sh", "-c", where)[1] == before
    box.container(host, "c3")
    host.spawn(4, "sleep", "1000", container="c3")
    assert Run(host, "c3")("hostname").strip() == "box"
    host.ask("remove", container="c2")
    host.ask("remove", container="c3")


def test_files_are_found_wherever_the_container_has_moved_its_directories(host, box):
    box.running(host, files=files("old"))
    run = Run(host)
    run("mv /etc /gone; mkdir /etc; echo mine > /etc/hosts")
    host.ask("identity", container="c1", files=files("new"))
    assert run("cat /etc/hosts /gone/hostname").split() == ["mine", "new"]
    assert (box.root / "etc/hosts").read_text() == "mine\n"
