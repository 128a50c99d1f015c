"""Containers: their root, their namespaces, who their processes are, and how they end."""

from __future__ import annotations

import errno
import os
import signal

import pytest

from tests.guest.driver import ALL_CAPS, Refused


def shell(host, script, proc=2, **fields):
    """The standard output of `script` in container c1."""
    status, out, err = host.run(proc, "sh", "-c", script, container="c1", **fields)
    assert status == 0, err
    return out.decode()


@pytest.mark.parametrize(
    ("source", "options", "expected"),
    [
        ("/dev/null", [], errno.ENOTBLK),
        ("/dev/null", ["size=1"], errno.EINVAL),
        ("/dev/null", ["file=x"], errno.EINVAL),
        (None, [], errno.EINVAL),
    ],
)
def test_a_disk_that_cannot_be_one_is_refused(host, box, source, options, expected):
    mount = {"type": "disk", "target": "/disk", "options": options}
    with pytest.raises(Refused) as refused:
        box.container(host, mounts=[mount if source is None else {**mount, "source": source}])
    assert (refused.value.step, refused.value.errno) == ("mount", expected)


def test_the_root_is_the_containers_own(host, box):
    (box.root / "etc/marker").write_text("inside\n")
    box.running(host)
    assert shell(host, "cat /etc/marker; ls /", 2).split() == [
        "inside",
        *sorted(["bin", "etc", "home", "tmp", "dev", "proc", "sys"]),
    ]
    assert shell(host, "hostname; echo $$", 3).split()[0] == "box"
    assert shell(host, "cd /; cd ../../..; pwd; ls -d /../etc", 4).split() == ["/", "/../etc"]


def test_the_first_process_is_pid_1_and_sees_only_the_container(host, box):
    box.running(host)
    rows = host.ask("ps", container="c1")["processes"]
    assert [(row["pid"], row["args"]) for row in rows] == [(1, ["sleep", "1000"])]
    assert shell(host, "ls -d /proc/[0-9]* | wc -l").strip() in ("2", "3", "4")


def test_oci_file_systems_and_devices_are_there(host, box):
    box.running(host, shm_bytes=1 << 20)
    mounts = {line.split()[2]: line for line in shell(host, "mount").splitlines()}
    for target, kind in {
        "/proc": "proc",
        "/dev": "tmpfs",
        "/dev/pts": "devpts",
        "/dev/shm": "tmpfs",
        "/dev/mqueue": "mqueue",
        "/sys": "sysfs",
    }.items():
        assert f" type {kind} " in mounts[target], target
    assert "(ro," in mounts["/sys"]
    assert "size=1024k" in mounts["/dev/shm"]
    devices = shell(host, "cd /dev; stat -c '%n %t %T %a' null zero full random urandom tty", 3).splitlines()
    assert devices == [
        "null 1 3 666",
        "zero 1 5 666",
        "full 1 7 666",
        "random 1 8 666",
        "urandom 1 9 666",
        "tty 5 0 666",
    ]
    assert shell(
        host, "cd /dev; for name in ptmx fd stdin stdout stderr; do readlink $name; done", 4
    ).split() == [
        "pts/ptmx",
        "/proc/self/fd",
        "/proc/self/fd/0",
        "/proc/self/fd/1",
        "/proc/self/fd/2",
    ]


def test_masked_and_read_only_paths_are(host, box):
    (box.root / "etc/secret").write_text("x")
    (box.root / "tmp/secret").write_text("x")
    box.running(
        host,
        masked=["/proc/timer_list", "/proc/scsi", "/etc/secret", "/tmp", "/no/such"],
        readonly_paths=["/proc/sys", "/home", "/no/such"],
    )
    assert shell(host, "cat /proc/timer_list /etc/secret; ls /tmp") == ""
    for path in ("/proc/sys/kernel/core_pattern", "/home/file", "/tmp/file"):
        status, _, err = host.run(3, "sh", "-c", f"echo x > {path}", container="c1")
        host.ask("forget", proc=3)
        host.output.clear()
        host.ends.clear()
        assert status != 0, path
        assert b"Read-only" in err


def test_a_read_only_root_still_takes_mount_points_and_writes_beside_it(host, box):
    tmpfs = {"type": "tmpfs", "source": "", "target": "/var/cache/x", "options": ["size=65536", "mode=1777"]}
    box.running(host, readonly=True, mounts=[tmpfs])
    assert shell(host, "echo y > /var/cache/x/y; cat /var/cache/x/y; echo z > /dev/shm/z") == "y\n"
    status, _, err = host.run(3, "touch", "/file", container="c1")
    assert status != 0
    assert b"Read-only" in err


def test_files_are_put_over_whatever_is_there(host, box):
    (box.root / "etc/hosts").write_text("the image's")
    (box.root / "etc/resolv.conf").symlink_to("../run/there/resolv.conf")
    files = [
        {"path": "/etc/hosts", "mode": 0o644, "data": b"ours\n"},
        {"path": "/etc/resolv.conf", "mode": 0o600, "data": b"nameserver\n"},
        {"path": "/new/place", "mode": 0o444, "data": b""},
    ]
    box.running(host, files=files)
    assert shell(host, "cat /etc/hosts /etc/resolv.conf; stat -c %a /run/there/resolv.conf /new/place") == (
        "ours\nnameserver\n600\n444\n"
    )
    assert (box.root / "etc/hosts").read_text() == "the image's"


def test_binds_show_directories_and_single_files(host, box, tmp_path):
    (tmp_path / "share").mkdir()
    (tmp_path / "share/file").write_text("shared\n")
    mounts = [
        {"type": "bind", "source": str(tmp_path / "share"), "target": "/mnt/dir", "options": []},
        {"type": "bind", "source": str(tmp_path / "share/file"), "target": "/etc/one", "options": ["ro"]},
    ]
    box.running(host, mounts=mounts)
    assert shell(host, "cat /mnt/dir/file /etc/one; echo more > /mnt/dir/new; echo x > /etc/one || true") == (
        "shared\nshared\n"
    )
    assert (tmp_path / "share/new").read_text() == "more\n"
    assert (tmp_path / "share/file").read_text() == "shared\n"


def test_no_link_in_the_image_leads_a_mount_out(host, box, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (box.root / "data").symlink_to(outside)
    (box.root / "up").symlink_to("../../../../../../../..")
    mounts = [
        {"type": "tmpfs", "source": "", "target": "/data/x", "options": []},
        {"type": "tmpfs", "source": "", "target": "/up/made", "options": []},
    ]
    box.running(host, mounts=mounts)
    assert list(outside.iterdir()) == []
    assert (box.root / "made").is_dir()


def test_namespaces_are_its_own(host, box):
    box.running(host)
    ours = {name: os.readlink(f"/proc/self/ns/{name}") for name in ("mnt", "pid", "uts", "ipc", "cgroup")}
    for proc, name in enumerate(ours, 2):
        assert shell(host, f"readlink /proc/self/ns/{name}", proc).strip() != ours[name]
    assert shell(host, "readlink /proc/1/ns/mnt; readlink /proc/self/ns/mnt", 9).split()[0] == (
        shell(host, "readlink /proc/self/ns/mnt", 10).strip()
    )


@pytest.mark.parametrize(
    ("user", "uid", "gid", "groups", "home"),
    [
        ("", "0", "0", "0", "/root"),
        ("ann", "1000", "1000", "1000 10 29", "/home/ann"),
        ("1000", "1000", "1000", "1000 10 29", "/home/ann"),
        ("ann:audio", "1000", "29", "29", "/home/ann"),
        ("4242", "4242", "0", "0", "/"),
        ("4242:7", "4242", "7", "7", "/"),
    ],
)
def test_users_are_those_of_the_container(host, box, user, uid, gid, groups, home):
    box.running(host)
    seen = shell(host, "id -u; id -g; id -G; echo $HOME", user=user).splitlines()
    assert seen == [uid, gid, groups, home]


def test_extra_groups_are_added_and_strangers_refused(host, box):
    box.running(host)
    assert shell(host, "id -G", user="ann", groups=["77", "audio"]).split() == ["1000", "10", "29", "77"]
    for user in ("nobody-here", "ann:nogroup"):
        with pytest.raises(Refused) as refused:
            host.spawn(3, "true", container="c1", user=user)
        assert (refused.value.step, refused.value.errno) == ("lookup user", errno.ENOENT)
    with pytest.raises(Refused) as refused:
        host.spawn(3, "true", container="c1", groups=["nogroup"])
    assert (refused.value.step, refused.value.object) == ("lookup group", "nogroup")


def test_the_working_directory_is_made_for_the_first_process_alone(host, box):
    box.container(host)
    host.spawn(1, "sleep", "1000", container="c1", cwd="/made/for/it")
    assert (box.root / "made/for/it").is_dir()
    with pytest.raises(Refused) as refused:
        host.spawn(2, "true", container="c1", cwd="/not/made")
    assert refused.value.step == "cwd"


def test_sysctls_are_set_where_they_are_the_containers(host, box):
    box.running(host, sysctls={"kernel.shmmax": "123456", "net.ipv4.ip_unprivileged_port_start": "0"})
    assert shell(host, "cat /proc/sys/kernel/shmmax").strip() == "123456"
    with pytest.raises(Refused) as refused:
        box.container(host, "c2", sysctls={"..kernel.shmmax": "1"})
    assert refused.value.step == "sysctl"


def test_everything_ends_with_the_first_process(host, box):
    box.running(host)
    host.spawn(2, "sleep", "1000", container="c1", stdout=21)
    host.ask("signal", proc=1, signal=signal.SIGKILL)
    assert (host.wait(1), host.wait(2)) == (137, 137)
    assert host.read_to_end(21) == b""
    with pytest.raises(Refused) as refused:
        host.spawn(3, "true", container="c1")
    assert refused.value.errno == errno.ESRCH


def test_a_signal_to_all_reaches_every_process(host, box):
    box.container(host)
    loop = "while :; do sleep 0.02; done"
    child = f"trap 'echo child' USR1; echo on; {loop}"
    script = f"trap 'echo first' USR1; sh -c \"{child}\" & {loop}"
    host.spawn(1, "sh", "-c", script, container="c1", stdout=11)
    host.spawn(2, "sh", "-c", f"trap 'echo second' USR1; echo on; {loop}", container="c1", stdout=21)
    host.until(lambda: b"on" in host.output[11], "the child")
    host.until(lambda: b"on" in host.output[21], "the second process")
    host.ask("signal", proc=1, signal=signal.SIGUSR1, all=True)
    host.until(lambda: b"second" in host.output[21], "the second process's word")
    host.until(lambda: {b"first", b"child"} <= set(bytes(host.output[11]).split()), "the others'")
    host.ask("signal", proc=2, signal=signal.SIGKILL, all=True)
    assert (host.wait(1), host.wait(2)) == (137, 137)


def test_removing_kills_and_unmounts(host, box):
    box.running(host)
    host.spawn(2, "sh", "-c", "trap '' TERM; while :; do sleep 1; done", container="c1")
    assert host.ask("remove", container="c1") == {}
    assert (host.wait(1), host.wait(2)) == (137, 137)
    assert [row["args"] for row in host.ask("ps", container="")["processes"]][1:] == []
    box.container(host)
    host.ask("remove", container="c1")
    hello = type(host)(host.sock).sync()
    assert hello["containers"] == []


def test_two_containers_do_not_see_each_other(host, box):
    box.running(host)
    box.container(host, "c2")
    host.spawn(2, "sleep", "1000", container="c2")
    assert [row["pid"] for row in host.ask("ps", container="c2")["processes"]] == [1]
    host.ask("remove", container="c2")
    assert [row["pid"] for row in host.ask("ps", container="c1")["processes"]] == [1]


def test_nothing_of_the_agent_can_be_reached_from_inside(host, box):
    """A process that still is the agent can neither be looked into nor lead to its binary."""
    box.container(host)
    script = "while :; do for p in /proc/[0-9]*; do readlink $p/exe; done; done 2>/dev/null | grep -v busybox"
    host.spawn(1, "sh", "-c", script, container="c1", stdout=11, caps=ALL_CAPS & ~(1 << 19 | 1 << 21))
    for proc in range(2, 30):
        host.run(proc, "true", container="c1")
    host.ask("remove", container="c1")
    assert bytes(host.output[11]) == b""


@pytest.mark.parametrize("name", ["", "a/b", "a b", "x" * 65, "\u00e9"])
def test_an_id_that_is_none_is_refused(host, box, name):
    with pytest.raises(Refused) as refused:
        box.container(host, name)
    assert refused.value.errno == errno.EINVAL


def test_a_root_that_is_not_there_is_refused_and_leaves_nothing(host, box):
    for root in ({"device": "/no/such", "fstype": "bind"}, {"device": "/dev/null", "fstype": "ext4"}):
        with pytest.raises(Refused) as refused:
            host.ask("container", container="c1", root=root, hostname="x")
        assert refused.value.step == "mount"
        assert refused.value.object == root["device"]
    with pytest.raises(Refused) as refused:
        box.container(host, mounts=[{"type": "nfs", "source": "", "target": "/x", "options": []}])
    assert (refused.value.step, refused.value.object) == ("mount", "/x")
    box.running(host)


def test_the_first_program_that_cannot_run_ends_the_container(host, box):
    box.container(host)
    with pytest.raises(Refused) as refused:
        host.spawn(1, "no-such-program", container="c1", stdout=11)
    assert (refused.value.step, refused.value.errno) == ("exec", errno.ENOENT)
    host.ask("remove", container="c1")
    box.running(host)
