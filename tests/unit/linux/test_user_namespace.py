"""User namespaces on a real kernel, as root and as a user; and what keeps them from being made."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from firkin.errors import HostUnsupported
from firkin.linux import id_modes, user_namespace
from firkin.linux.ask import ask
from firkin.linux.id_map import IdMap, IdRanges
from firkin.linux.mounts import MS_NOSUID
from firkin.linux.subordinate_ids import Holder
from firkin.linux.syscalls import PR_SET_NO_NEW_PRIVS, prctl
from firkin.pytest.home import Home, fresh_home
from tests.support.faulty_host import UID, World, chroot_into_itself, own_limit_of_namespaces

pytestmark = pytest.mark.root
_DEADLINE_S = 60.0


def inside(id_map: IdMap, uid: int = 0) -> list[str]:
    """What the kernel says in such a namespace: both maps, and who we are; that we have rights is tried."""
    namespace = user_namespace.create(id_map)

    def look() -> bytes:
        user_namespace.enter(namespace, uid, uid)
        maps = [Path(f"/proc/self/{name}").read_text() for name in ("uid_map", "gid_map")]
        os.chroot("/")  # needs a right
        return "|".join([*(" ".join(each.split()) for each in maps), f"{os.getuid()} {os.getgid()}"]).encode()

    try:
        return ask(look, _DEADLINE_S).decode().split("|")
    finally:
        os.close(namespace)


def of_user(question: Callable[[], list[str]], fault: Callable[[World], None] | None = None) -> list[str]:
    """What `question` answers as a user of a host with a fault, whose subordinate ids are 100000:65536."""
    with fresh_home((UID, UID)) as home:
        answer: list[str] = World(home, UID).tells(fault, question)
        return answer


def test_root_maps_what_it_likes() -> None:
    assert inside(id_modes.whole(Holder(0, 0))) == ["0 0 4294967295", "0 0 4294967295", "0 0"]
    assert inside(IdMap(IdRanges.of((0, 500000, 5)), IdRanges.of((0, 600000, 5)))) == [
        "0 500000 5",
        "0 600000 5",
        "0 0",
    ]


def test_a_user_maps_all_his_ids_or_only_his_own() -> None:
    def maps() -> list[str]:
        holder = Holder.here()
        return [
            *inside(id_modes.whole(holder)),
            *inside(id_modes.single(holder)),
            *inside(id_modes.keep_id(holder, 7, 7), 7),
        ]

    own = f"0 {UID} 1"
    kept = f"0 100000 7 7 {UID} 1 8 100007 65529"
    assert of_user(maps) == [
        *(f"{own} 1 100000 65536", f"{own} 1 100000 65536", "0 0"),
        *(own, own, "0 0"),
        *(kept, kept, "7 7"),
    ]


def refusal() -> list[str]:
    try:
        inside(id_modes.explicit(Holder(UID, UID), ["0:0:1"], []))  # that user namespaces can be made at all
        inside(IdMap.alike(IdRanges.of((0, UID, 1), (1, 100000, 65536))))
    except HostUnsupported as error:
        return [f"{error}: {error.hint}"]
    return []


FAULTS: list[tuple[str, Callable[[World], None]]] = []


def refused_by(fault_id: str) -> Callable[[Callable[[World], None]], None]:
    return lambda fault: FAULTS.append((fault_id, fault))


@refused_by("subids-missing")
def _ids_of_another(world: World) -> None:
    world.write("/etc/subgid", "other:100000:65536\n")


@refused_by("no-new-privs")
def _no_new_privs(world: World) -> None:
    world.last.append(lambda: prctl(PR_SET_NO_NEW_PRIVS, 1) and None)


@refused_by("idmap-missing")
def _no_programs(world: World) -> None:
    world.pretend("/usr/bin/newgidmap", "")


@refused_by("idmap-powerless")
def _no_setuid(world: World) -> None:
    program = world.write(world.home.root / "copy", "")
    program.write_bytes(Path("/usr/bin/newuidmap").read_bytes())
    program.chmod(0o755)
    from firkin.linux.mounts import MS_BIND, mount

    mount(str(program), "/usr/bin/newuidmap", flags=MS_BIND)


@refused_by("idmap-nosuid")
def _nosuid(world: World) -> None:
    world.remount("/usr/bin", MS_NOSUID)


@refused_by("userns-seccomp")
def _filtered(world: World) -> None:
    world.deny("unshare", errno.EPERM)


@refused_by("userns-denied")
def _in_a_chroot(world: World) -> None:
    chroot_into_itself(world.home.root / "root")


@pytest.mark.parametrize(("fault_id", "fault"), FAULTS, ids=[each for each, _ in FAULTS])
def test_a_refusal_is_the_doctors_finding(fault_id: str, fault: Callable[[World], None]) -> None:
    (said,) = of_user(refusal, fault)
    assert f"--explain {fault_id}`" in said, said


def test_a_limit_that_is_reached_is_said_to_be_one() -> None:
    def refused() -> list[str]:
        own_limit_of_namespaces(0)
        return refusal()

    with fresh_home((0, 0)) as home:
        (said,) = World(home, 0).tells(None, refused)
    assert "--explain userns-limited`" in said, said
    assert "No space left" in said, said


def test_nothing_is_left_of_a_namespace_that_nobody_holds(home: Home) -> None:
    def ours() -> tuple[set[str], int, list[str]]:
        children = " ".join(path.read_text() for path in Path("/proc/self/task").glob("*/children")).split()
        return set(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd")), children

    before = ours()
    os.close(user_namespace.create(id_modes.single(Holder(0, 0))))
    assert ours() == before
