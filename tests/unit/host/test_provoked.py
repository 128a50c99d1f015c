"""Each fault is made on a real kernel, and found: with its id as the only news against the healthy host."""

from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from firkin.host import clock
from firkin.host.doctor import examine
from firkin.linux.mounts import MS_BIND, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_REC, mount
from firkin.linux.syscalls import PR_SET_NO_NEW_PRIVS, prctl
from firkin.pytest.home import fresh_home
from tests.support.faulty_host import (
    UID,
    USER,
    World,
    chroot_into_itself,
    own_limit_of_namespaces,
)

pytestmark = pytest.mark.root

Break = Callable[[World], None]
_baselines: dict[int, set[str]] = {}


def found(fault: Break | None, uid: int) -> set[str]:
    with fresh_home((uid, uid)) as home:
        return World(home, uid).found(fault)


def baseline(uid: int) -> set[str]:
    """What is found on the healthy host, once for each user."""
    if uid not in _baselines:
        examine(os.environ)  # imports everything: the child may not be able to read our sources
        examine(os.environ, ["kvm"], probe=True)
        _baselines[uid] = found(None, uid)
    return _baselines[uid]


FAULTS: list[tuple[str, Break, int]] = []


def provokes(*ids: str, uid: int = UID) -> Callable[[Break], Break]:
    def keep(fault: Break) -> Break:
        FAULTS.append((" ".join(ids), fault, uid))
        return fault

    return keep


# --- machines


@provokes("qemu-missing")
def qemu_nowhere(world: World) -> None:
    world.env["FIRKIN_QEMU"] = "qemu-system-nowhere"


@provokes("qemu-old")
def qemu_of_debian_11(world: World) -> None:
    world.program("qemu", "QEMU emulator version 5.2.0 (Debian 1:5.2+dfsg-11)")


@provokes("qemu-broken")
def qemu_without_its_library(world: World) -> None:
    world.program("qemu", "error while loading shared libraries", status=127)


@provokes("kernel-missing")
def no_kernel(world: World) -> None:
    (world.home.data_dir / "kernels").rename(world.home.data_dir / "others")


@provokes("kernel-unreadable")
def kernel_of_root_only(world: World) -> None:
    kernel = world.home.data_dir / "kernels/6.1.0/vmlinuz"
    os.chown(kernel, 0, 0)
    kernel.chmod(0o600)


@provokes("kernel-modules")
def kernel_without_modules(world: World) -> None:
    world.remove(world.home.data_dir / "kernels/6.1.0/modules/modules.dep")


@provokes("virtiofsd-missing")
def no_virtiofsd(world: World) -> None:
    world.env["FIRKIN_VIRTIOFSD"] = "/nowhere/virtiofsd"


@provokes("emulator-missing")
def no_emulator(world: World) -> None:
    world.remove(world.binaries / "qemu-aarch64-static")


@provokes("emulator-missing")
def emulator_that_wants_libraries(world: World) -> None:
    world.remove(world.binaries / "qemu-aarch64-static")
    world.program("qemu-aarch64")


@provokes("kvm-missing")
def no_kvm(world: World) -> None:
    world.remove("/dev/kvm")


@provokes("kvm-denied")
def kvm_of_a_group(world: World) -> None:
    os.chmod("/dev/kvm", 0o660)


@provokes("kvm-broken")
def kvm_that_runs_no_guest(world: World) -> None:
    world.probe = True


@provokes("tun-unusable")
def tun_of_root_only(world: World) -> None:
    os.chmod("/dev/net/tun", 0o600)


@provokes("fuse-unusable")
def fuse_that_is_a_file(world: World) -> None:
    world.remove("/dev/fuse")
    world.write("/dev/fuse")


@provokes("vsock-unusable")
def no_vsock(world: World) -> None:
    world.remove("/dev/vhost-vsock")


# --- where things are kept


@provokes("data-unwritable")
def data_of_root(world: World) -> None:
    os.chown(world.home.data_dir, 0, 0)
    world.home.data_dir.chmod(0o755)


@provokes("data-fuse")
def data_on_fuse(world: World) -> None:
    data = world.home.root / "data" / "elsewhere"
    data.mkdir()
    world.remove("/dev/fuse")
    os.mknod("/dev/fuse", 0o20666, os.makedev(10, 229))
    os.chmod("/dev/fuse", 0o666)
    fd = os.open("/dev/fuse", os.O_RDWR)
    mount("fk", str(data), "fuse", data=f"fd={fd},rootmode=40000,user_id={UID},group_id={UID}")
    os.close(fd)
    world.env["FIRKIN_DATA_DIR"] = str(data)
    kernels = world.home.root / "boot"
    world.write(kernels / "vmlinuz-6.1.0")
    mount(str(kernels), "/boot", flags=MS_BIND)
    world.memory("/lib/modules")
    world.write("/lib/modules/6.1.0/modules.dep").parent.chmod(0o755)
    os.chmod("/lib/modules", 0o755)


@provokes("data-in-memory")
def data_in_memory(world: World) -> None:
    other = world.home.root / "other"
    world.memory(other)
    _move_data(world, other)


def _move_data(world: World, to: Path) -> None:
    world.env["FIRKIN_DATA_DIR"] = str(to)
    world.write(to / "kernels/6.1.0/vmlinuz")
    world.write(to / "kernels/6.1.0/modules/modules.dep")


@provokes("data-noexec")
def data_mounted_noexec(world: World) -> None:
    world.remount(world.home.root / "data", MS_NOEXEC)


@provokes("data-space")
def data_nearly_full(world: World) -> None:
    other = world.home.root / "other"
    world.small_disk(other, "size=64m,nr_inodes=100k")
    _move_data(world, other)


@provokes("data-noexec")
def podmans_store_mounted_noexec(world: World) -> None:
    store = world.home.root / "data/containers/storage"
    world.write(store / "overlay-images/images.json", "[]")
    world.remount(store, MS_NOEXEC)


@provokes("data-inodes")
def data_with_few_inodes(world: World) -> None:
    other = world.home.root / "other"
    world.small_disk(other, "size=2g,nr_inodes=200")
    _move_data(world, other)


@provokes("runtime-unset")
def no_run_directory_named(world: World) -> None:
    del world.env["XDG_RUNTIME_DIR"]


@provokes("runtime-missing")
def run_directory_that_vanished(world: World) -> None:
    world.env["XDG_RUNTIME_DIR"] = str(world.home.root / "gone")


@provokes("runtime-foreign")
def run_directory_of_somebody_else(world: World) -> None:
    os.chown(world.home.root / "run", UID + 1, UID + 1)


@provokes("runtime-open")
def run_directory_for_everybody(world: World) -> None:
    (world.home.root / "run").chmod(0o755)


@provokes("runtime-linked")
def run_directory_behind_a_link(world: World) -> None:
    (world.home.root / "link").symlink_to("run")
    world.env["XDG_RUNTIME_DIR"] = str(world.home.root / "link")


@provokes("runtime-long")
def run_directory_with_a_long_name(world: World) -> None:
    long = world.home.root / ("long-" * 18)
    (world.home.root / "run").rename(long)
    world.env["XDG_RUNTIME_DIR"] = str(long)


@provokes("socket-stale")
def socket_that_nobody_listens_on(world: World) -> None:
    path = world.write(world.home.run_dir / "supervisor.sock")
    path.unlink()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))
    path.chmod(0o777)


@provokes("socket-linked")
def link_in_the_place_of_a_socket(world: World) -> None:
    path = world.write(world.home.run_dir / "supervisor.sock")
    path.unlink()
    path.symlink_to("elsewhere.sock")


@provokes("pid-file-stale")
def pause_process_that_is_gone(world: World) -> None:
    world.write(world.home.root / "run/libpod/tmp/pause.pid", "4194305")


@provokes("temporary-missing")
def no_temporary_directory(world: World) -> None:
    world.env["TMPDIR"] = "/nowhere"


@provokes("temporary-unwritable")
def temporary_directory_of_root(world: World) -> None:
    os.chown(world.home.work_dir, 0, 0)
    world.home.work_dir.chmod(0o755)


@provokes("temporary-unsticky")
def temporary_directory_without_its_bit(world: World) -> None:
    world.home.work_dir.chmod(0o777)


@provokes("temporary-space")
def temporary_directory_in_little_memory(world: World) -> None:
    world.memory(world.home.work_dir, "size=4m")


@provokes("root-not-shared")
def private_root(world: World) -> None:
    mount("none", "/", flags=MS_REC | MS_PRIVATE)


# --- images


@provokes("policy-missing")
def no_policy(world: World) -> None:
    world.remove("/etc/containers/policy.json")


@provokes("policy-malformed")
def policy_with_an_unknown_key(world: World) -> None:
    world.write("/etc/containers/policy.json", '{"default": [{"type": "reject"}], "defaults": []}')


@provokes("registries-missing")
def no_registries(world: World) -> None:
    world.remove("/etc/containers/registries.conf")


@provokes("registries-malformed")
def registries_of_both_versions(world: World) -> None:
    text = 'unqualified-search-registries = ["a"]\n[registries.search]\nregistries = ["b"]\n'
    world.write("/etc/containers/registries.conf", text)


@provokes("registries-malformed")
def drop_in_that_is_no_toml(world: World) -> None:
    world.write("/etc/containers/registries.conf.d/mine.conf", "[[registry]\n")


@provokes("certificates-missing")
def no_certificates(world: World) -> None:
    world.remove("/etc/ssl/certs/ca-certificates.crt")


@provokes("certificates-lone")
def key_without_certificate(world: World) -> None:
    world.write("/etc/containers/certs.d/registry.test:5000/client.key")


@provokes("credentials-malformed")
def logins_that_are_no_json(world: World) -> None:
    world.write(world.home.root / "config/containers/auth.json", "{auths}", 0o600)


@provokes("credentials-open")
def logins_for_everybody(world: World) -> None:
    world.write(world.home.root / "config/containers/auth.json", '{"auths": {"a.test": {"auth": "YTpi"}}}')


@provokes("credentials-helper")
def helper_that_is_not_there(world: World) -> None:
    world.write(world.home.root / "config/containers/auth.json", '{"credsStore": "keychain"}', 0o600)


@provokes("storage-conf-malformed")
def storage_conf_that_is_no_toml(world: World) -> None:
    world.write("/etc/containers/storage.conf", "[storage\ndriver = overlay\n")


@provokes("storage-vfs")
def storage_by_vfs(world: World) -> None:
    world.write(world.home.root / "config/containers/storage.conf", '[storage]\ndriver = "vfs"\n')


@provokes("storage-vfs")
def no_storage_conf(world: World) -> None:
    world.remove("/etc/containers/storage.conf")
    if os.path.isdir("/usr/share/containers"):
        world.memory("/usr/share/containers")


@provokes("storage-mixed")
def storage_of_two_drivers(world: World) -> None:
    for driver in ("overlay", "vfs"):
        world.write(world.home.root / f"data/containers/storage/{driver}-images/images.json", "[]")


# --- ids and namespaces


@provokes("userns-limited", uid=0)
def no_more_user_namespaces(world: World) -> None:
    world.last.append(lambda: own_limit_of_namespaces(0))


@provokes("userns-limited", uid=0)
def one_more_user_namespace(world: World) -> None:
    world.last.append(lambda: own_limit_of_namespaces(1))


@provokes("userns-seccomp")
def filter_that_denies_unshare(world: World) -> None:
    world.deny("unshare", errno.EPERM)


@provokes("userns-seccomp")
def filter_that_denies_mount(world: World) -> None:
    world.deny("mount", errno.EPERM)


@provokes("userns-denied")
def chroot(world: World) -> None:
    chroot_into_itself(world.home.root / "root")


@provokes("subids-missing")
def subordinate_ids_of_others_only(world: World) -> None:
    world.write("/etc/subuid", "other:100000:65536\n")


@provokes("subids-malformed")
def line_without_a_count(world: World) -> None:
    world.write("/etc/subgid", f"{USER}:100000:65536\nother:200000\n")


@provokes("subids-small")
def a_thousand_ids(world: World) -> None:
    world.write("/etc/subuid", f"{USER}:100000:1000\n")


@provokes("subids-overlap")
def range_of_two_users(world: World) -> None:
    world.write("/etc/subuid", f"{USER}:100000:65536\nother:165535:65536\n")


@provokes("subids-accounts")
def range_over_an_account(world: World) -> None:
    with open("/etc/passwd", "a") as accounts:
        accounts.write("late:x:100042:100042::/:/bin/sh\n")


@provokes("subids-twice")
def range_by_name_and_by_number(world: World) -> None:
    world.write("/etc/subuid", f"{USER}:100000:65536\n{UID}:200000:65536\n")


@provokes()
def range_by_number_alone(world: World) -> None:
    world.write("/etc/subuid", f"# ours\n\n{UID}:100000:65536\n")


@provokes("idmap-missing")
def no_newuidmap(world: World) -> None:
    world.remove(world.binaries / "newuidmap")


@provokes("idmap-powerless")
def newgidmap_without_its_bit(world: World) -> None:
    (world.binaries / "newgidmap").chmod(0o755)


@provokes()
def newgidmap_with_its_capability(world: World) -> None:
    (world.binaries / "newgidmap").chmod(0o755)
    capability = bytes.fromhex("0100000240000000" + "00" * 12)  # VFS_CAP_REVISION_2, effective, CAP_SETGID
    os.setxattr(world.binaries / "newgidmap", "security.capability", capability)


@provokes("idmap-nosuid")
def programs_mounted_nosuid(world: World) -> None:
    world.remount(world.binaries, MS_NOSUID)


@provokes("no-new-privs")
def shell_without_new_privileges(world: World) -> None:
    world.last.append(lambda: prctl(PR_SET_NO_NEW_PRIVS, 1) and None)


@provokes("cgroups-absent")
def no_control_groups(world: World) -> None:
    world.unmount("/sys/fs/cgroup")


@provokes("cgroups-v1")
def control_groups_of_version_1(world: World) -> None:
    world.unmount("/sys/fs/cgroup")
    mount("tmpfs", "/sys/fs/cgroup", "tmpfs", 0, "mode=755,size=64k")
    group = Path("/sys/fs/cgroup/firkin")
    group.mkdir()
    mount("none", str(group), "cgroup", 0, "none,name=firkin")  # of no controller, which another may have


@provokes("cgroups-hybrid")
def control_groups_of_both_versions(world: World) -> None:
    control_groups_of_version_1(world)
    unified = Path("/sys/fs/cgroup/unified")
    unified.mkdir()
    mount("none", str(unified), "cgroup2")


# --- what the kernel allows


@provokes("network-helper-missing")
def no_pasta(world: World) -> None:
    world.remove(world.binaries / "pasta")


@provokes("pasta-missing")
def slirp4netns_alone(world: World) -> None:
    world.remove(world.binaries / "pasta")
    world.program("slirp4netns")


@provokes("netavark-iptables")
def netavark_without_iptables(world: World) -> None:
    world.memory("/usr/local")
    netavark = world.write("/usr/local/libexec/podman/netavark", mode=0o755)
    for each in netavark.parents[:3]:
        each.chmod(0o755)
    world.remove(world.binaries / "iptables")


@provokes("ping-range")
def nobody_may_ping(world: World) -> None:
    Path("/proc/sys/net/ipv4/ping_group_range").write_text("1 0")


@provokes("low-ports")
def low_ports_are_roots(world: World) -> None:
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("1024")


@provokes("inotify-few")
def few_watches(world: World) -> None:
    world.pretend("/proc/sys/fs/inotify/max_user_watches", "100\n")


@provokes("clock-wrong")
def clock_that_stands_before_this_firkin(world: World) -> None:
    newer = world.write(world.home.root / "clock.py")
    os.utime(newer, (4e9, 4e9))
    mount(str(newer), clock.__file__, flags=MS_BIND)


@provokes("files-few")
def few_open_files(world: World) -> None:
    world.last.append(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512)))


# --- leftovers


@provokes("leftovers-foreign")
def file_of_a_subordinate_id(world: World) -> None:
    left = world.write(world.home.data_dir / "containers" / "left")
    os.chown(left, 100_042, 100_042)


@provokes("run-leftovers")
def run_directory_of_no_container(world: World) -> None:
    world.write(world.home.run_dir / "c" / "0123456789ab" / "console.log")


@pytest.mark.parametrize(("ids", "fault", "uid"), FAULTS, ids=[fault.__name__ for _, fault, _ in FAULTS])
def test_the_only_news_is_the_fault(ids: str, fault: Break, uid: int) -> None:
    assert found(fault, uid) - baseline(uid) == set(ids.split())


def test_the_healthy_host_of_these_tests_has_no_errors() -> None:
    from firkin.faults.catalogue import FAULTS as known

    assert {fault_id for fault_id in baseline(UID) if known[fault_id].severity == "error"} == set()
