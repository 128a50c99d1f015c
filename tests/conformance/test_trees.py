"""Trees of layers before their judges: GNU tar, umoci and the kernel; as root, and as a user with his ids."""

from __future__ import annotations

import json
import os
import pwd
import stat
import struct
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from firkin.errors import Corrupt, DigestMismatch, FirkinError, HostUnsupported
from firkin.events import Event, subscribed
from firkin.linux.id_map import IdMap, IdRanges
from firkin.linux.id_modes import whole
from firkin.linux.removal import remove_tree
from firkin.linux.subordinate_ids import Holder
from firkin.oci.digest import Digest
from firkin.oci.image import Layer
from firkin.rootfs import trees
from tests.conformance.test_ext4_judges import LOWER, MIDDLE, UPPER, awkward, walk
from tests.support.layers import Member, Shelf, archive, directory, hard_link, member, symlink
from tests.support.user import User

pytestmark = pytest.mark.root

ROOT = whole(Holder(0, 0))
SHIFTED = IdMap.alike(IdRanges.of((0, 700_000, 65536)))
FEW = [each for each in awkward() if each[0].name < "awkward/many/00050" or "many/" not in each[0].name]
CAPABLE = "awkward/capable"


class Layers:
    """Layers as files, as the store holds them."""

    def __init__(self, place: Path) -> None:
        self.place, self.shelf, self.layers = place, Shelf(), list[Layer]()

    def add(self, *members: Member) -> None:
        tar = self.place / f"{len(self.layers)}.tar"
        tar.write_bytes(archive(members))
        self.layers.append(self.shelf.file(tar, tar))

    def build(self, at: Path, id_map: IdMap = ROOT, limit_bytes: int = 64 << 20) -> trees.RootTree:
        return trees.build(
            self.layers,
            open_blob=self.shelf.open_blob,
            rootfs_dir=at,
            id_map=id_map,
            limit_bytes=limit_bytes,
        )


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    return Layers(tmp_path)


def left_in(directory: Path) -> list[str]:
    return sorted(name for name in os.listdir(directory) if name != "lock")


def differing(ours: dict[str, tuple[object, ...]], theirs: dict[str, tuple[object, ...]]) -> list[str]:
    assert ours.keys() == theirs.keys()
    return [name for name in theirs if ours[name] != theirs[name]]


def test_root_gets_what_gnu_tar_unpacks(layers: Layers, tmp_path: Path) -> None:
    layers.add(*FEW)
    reference = tmp_path / "reference"
    reference.mkdir()
    flags = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf"]
    subprocess.run(["tar", "-C", reference, *flags, tmp_path / "0.tar"], check=True)
    built = layers.build(tmp_path / "r")
    assert set(differing(walk(built.path), walk(reference))) <= {"."}
    assert trees.record_of(tmp_path / "r", built.key).left_out == ()  # type: ignore[union-attr]
    assert layers.build(tmp_path / "r") == built, "found, not made again"
    assert left_in(tmp_path / "r") == [built.key]


def of_umoci(layers: Layers, at: Path) -> Path:
    umoci = ["umoci", "--log=error"]
    layout = at / "layout"
    subprocess.run([*umoci, "init", "--layout", layout], check=True)
    subprocess.run([*umoci, "new", "--image", f"{layout}:t"], check=True)
    for number in range(len(layers.layers)):
        tar = layers.place / f"{number}.tar"
        subprocess.run([*umoci, "raw", "add-layer", "--image", f"{layout}:t", tar], check=True)
    subprocess.run([*umoci, "unpack", "--image", f"{layout}:t", at / "bundle"], check=True)
    return at / "bundle" / "rootfs"


def as_mapped(tree: dict[str, tuple[object, ...]], id_map: IdMap) -> dict[str, tuple[object, ...]]:
    """What the host should see of a tree that a container sees so."""
    found = {}
    for name, (mode, uid, gid, *rest) in tree.items():
        assert isinstance(uid, int)
        assert isinstance(gid, int)
        found[name] = (mode, id_map.uids.outside(uid), id_map.gids.outside(gid), *rest)
    return found


def test_umoci_unpacks_layers_to_the_same_tree_under_other_ids(layers: Layers, tmp_path: Path) -> None:
    for each in (LOWER, MIDDLE, UPPER):
        layers.add(*each)
    reference = of_umoci(layers, tmp_path)
    built = layers.build(tmp_path / "r", SHIFTED)
    differ = differing(walk(built.path), as_mapped(walk(reference), SHIFTED))
    # A directory in which umoci deleted something has the time of that; ours has the one the layers say.
    assert [name for name in differ if not (reference / name).is_dir()] == []


_NOBODY = 0xFFFFFFFF
ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in ((1, 7, _NOBODY), (2, 5, 1000), (4, 5, _NOBODY), (16, 7, _NOBODY), (32, 0, _NOBODY))
)


def test_a_shifted_tree_keeps_capabilities_acls_and_holes(layers: Layers, tmp_path: Path) -> None:
    acl = {"SCHILY.xattr.system.posix_acl_access": ACL.decode("utf-8", "surrogateescape")}
    tar = tmp_path / "sparse.tar"
    hole = tmp_path / "hole"
    with hole.open("wb") as file:
        file.seek(1 << 30)
        file.write(b"end")
    subprocess.run(["tar", "--sparse", "--format=posix", "-C", tmp_path, "-cf", tar, "hole"], check=True)
    layers.add(*FEW, member("acl", b"", pax_headers=acl))
    layers.layers.append(layers.shelf.file(tar, tar))
    built = layers.build(tmp_path / "r", SHIFTED, 2 << 30).path
    capability = os.getxattr(built / CAPABLE, "security.capability")
    assert capability == b"\1\0\0\3" + b"\0\4\0\0" + b"\0" * 12 + struct.pack("<I", 700_000)
    shown = subprocess.run(["getcap", "-n", built / CAPABLE], capture_output=True, text=True).stdout
    assert "cap_net_bind_service" in shown, shown
    assert "[rootid=700000]" in shown, shown
    access = os.getxattr(built / "acl", "system.posix_acl_access")
    assert struct.unpack_from("<HHI", access, 12) == (2, 5, 701_000)
    found = (built / "hole").stat()
    assert found.st_size == (1 << 30) + 3
    assert found.st_blocks < 64, "it is sparse here too"


# --- what is refused, and what is left then ----------------------------------------------------------------


def hostile(outside: Path) -> list[list[Member]]:
    up = "../" * 30
    return [
        [symlink("out", str(outside)), member("out/made", b"x")],
        [symlink("out", up + str(outside)), directory("out"), member("out/made", b"x")],
        [symlink("d", str(outside)), member("d", b"x"), member(str(outside / "made"), b"x")],
        [member(up + str(outside / "made"), b"x")],
        [symlink("a", "b"), symlink("b", "a"), member("a/made", b"x")],
        [symlink("out", str(outside)), member("out/.wh.secret")],
        [hard_link("stolen", str(outside / "secret"))],
        [hard_link("stolen", up + str(outside / "secret"))],
        [member("a/" * 2000 + "b", b"deep")],
        [symlink("s", str(outside / "secret")), member("s", b"overwritten")],
    ]


def test_no_archive_reaches_out_of_its_tree(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    before = walk(outside)
    for number, members in enumerate(hostile(outside)):
        place = tmp_path / str(number)
        place.mkdir()
        layers = Layers(place)
        layers.add(member("secret"))
        layers.add(*members)
        try:
            built = layers.build(place / "r")
        except Corrupt:
            assert left_in(place / "r") == []
        else:
            stolen = built.path / "stolen"
            assert not stolen.exists() or stolen.read_bytes() != b"secret"
        assert walk(outside) == before, members
        remove_tree(place / "r")
        assert not (place / "r").exists(), "however deep it is"


@pytest.mark.parametrize(
    ("reason", "id_map", "members"),
    [
        ("'/a' belongs to uid 42", IdMap.alike(IdRanges.of((0, 0, 42))), [member("a", uid=42)]),
        ("'/d/a' belongs to gid 7", IdMap.alike(IdRanges.of((0, 0, 1))), [member("d/a", gid=7)]),
        ("'/' belongs to uid 0", IdMap.alike(IdRanges.of((1, 1, 1))), [member("a", uid=1)]),
    ],
    ids=["uid", "gid", "root"],
)
def test_an_image_of_more_ids_is_refused_and_nothing_is_kept(
    layers: Layers, tmp_path: Path, reason: str, id_map: IdMap, members: list[Member]
) -> None:
    layers.add(member("first", b"x"))
    layers.add(*members)
    with pytest.raises(HostUnsupported, match=reason):
        layers.build(tmp_path / "r", id_map)
    assert left_in(tmp_path / "r") == []


def test_an_id_of_a_file_that_a_later_layer_removes_is_not_asked_for(layers: Layers, tmp_path: Path) -> None:
    layers.add(member("a", uid=42), member("b", b"x"))
    layers.add(member(".wh.a"))
    built = layers.build(tmp_path / "r", IdMap.alike(IdRanges.of((0, 0, 42))))
    assert os.listdir(built.path) == ["b"]


def test_a_layer_that_is_not_what_the_config_says_gives_no_tree(layers: Layers, tmp_path: Path) -> None:
    layers.add(member("a", b"x"))
    one = layers.layers[0]
    layers.layers[0] = Layer(one.digest, Digest.of(b"another"), one.media_type, one.size_bytes)
    with pytest.raises(DigestMismatch):
        layers.build(tmp_path / "r")
    assert left_in(tmp_path / "r") == []


def test_a_builder_that_is_stopped_leaves_nothing_and_the_next_one_builds(
    layers: Layers, tmp_path: Path
) -> None:
    layers.add(*FEW)

    def stop(event: Event) -> None:
        if event.name == "rootfs.progress":
            raise InterruptedError

    with subscribed(stop), pytest.raises(FirkinError):
        layers.build(tmp_path / "r")
    assert left_in(tmp_path / "r") == []
    assert (layers.build(tmp_path / "r").path / CAPABLE).exists()


def test_of_two_builders_one_builds(layers: Layers, tmp_path: Path) -> None:
    layers.add(*FEW)
    built: list[Event] = []
    others: list[threading.Thread] = []

    def rival(event: Event) -> None:
        if event.name == "rootfs" and event.phase == "begin":
            built.append(event)
            if not others:
                others.append(threading.Thread(target=build))
                others[0].start()

    def build() -> None:
        with subscribed(rival):
            layers.build(tmp_path / "r")

    build()
    others[0].join(60)
    assert not others[0].is_alive()
    assert len(built) == 1


# --- as a user ---------------------------------------------------------------------------------------------

BUILD = """
import json, os, sys
from pathlib import Path
from firkin.errors import FirkinError
from firkin.linux import id_modes
from firkin.linux.removal import remove_tree
from firkin.linux.subordinate_ids import Holder
from firkin.oci.digest import Digest
from firkin.oci.image import Layer
from firkin.rootfs import builder, trees

job = json.load(sys.stdin)
layers = [Layer(Digest.parse(each["digest"]), Digest.parse(each["diff_id"]), "", 1) for each in job["layers"]]
paths = {each["digest"]: each["path"] for each in job["layers"]}
id_map = getattr(id_modes, job["mode"])(Holder.here())

if job["crash"]:
    builder.write_synced = lambda *_: os._exit(9)
try:
    tree = trees.build(
        layers, open_blob=lambda digest: open(paths[str(digest)], "rb"), rootfs_dir=Path(job["at"]),
        id_map=id_map, limit_bytes=1 << 30,
    )
    record = trees.record_of(Path(job["at"]), tree.key)
    print(json.dumps({"path": str(tree.path), "left_out": record.left_out, "count": record.left_out_count}))
except FirkinError as error:
    print(json.dumps({"error": str(error), "hint": error.hint}))
"""


def built_by(
    user: User, layers: Layers, at: Path, mode: str = "whole", *, crash: bool = False
) -> dict[str, Any]:
    job = {
        "layers": [
            {"digest": str(e.digest), "diff_id": str(e.diff_id), "path": str(layers.shelf.blobs[e.digest])}
            for e in layers.layers
        ],
        "at": str(at),
        "mode": mode,
        "crash": crash,
    }
    ended = user.command("python")("-c", BUILD, input=json.dumps(job))
    assert ended.status == (9 if crash else 0), ended
    found: dict[str, Any] = {} if crash else json.loads(ended.stdout)
    return found


@pytest.fixture
def his(unprivileged: User) -> Path:
    """A directory of the user's that root of the tests can read too."""
    place = unprivileged.home.work_dir / f"t{os.urandom(4).hex()}"
    place.mkdir()
    os.chown(place, unprivileged.uid, unprivileged.gid)
    return place


def map_of(user: User) -> IdMap:
    """The whole map, from what is written in /etc, read by grep."""

    def side(path: str, own: int) -> IdRanges:
        name = pwd.getpwuid(user.uid).pw_name
        line = subprocess.run(["grep", f"^{name}:", path], capture_output=True, text=True).stdout
        first, count = map(int, line.strip().split(":")[1:])
        return IdRanges.of((0, own, 1), (1, first, count))

    return IdMap(side("/etc/subuid", user.uid), side("/etc/subgid", user.gid))


def test_a_user_gets_the_same_tree_under_subordinate_ids(
    unprivileged: User, his: Path, tmp_path: Path
) -> None:
    layers = Layers(his)
    layers.add(*LOWER, *FEW)
    layers.add(*MIDDLE)
    layers.add(*UPPER)
    reference = of_umoci(layers, tmp_path)
    told = built_by(unprivileged, layers, his / "r")
    tree = Path(told["path"])
    theirs = as_mapped(walk(reference), map_of(unprivileged))
    devices = {name for name, facts in theirs.items() if facts[4]}
    assert devices == {"awkward/char", "awkward/block"}
    assert told["count"] == 2
    assert sorted(told["left_out"]) == ["the device '/awkward/block'", "the device '/awkward/char'"]
    for name in devices:
        del theirs[name]
    differ = {name for name in differing(walk(tree), theirs) if not (reference / name).is_dir()}
    # The capability is the namespace's root's; umoci knows no nanoseconds of the year 2286, as tar does.
    assert differ == {CAPABLE, "awkward/late"}
    capability = os.getxattr(tree / CAPABLE, "security.capability")
    assert struct.unpack_from("<I", capability, 20) == (unprivileged.uid,)
    assert stat.S_IMODE(tree.parent.stat().st_mode) == 0o700, "it holds setuid files of this user's"


def test_with_one_id_an_image_of_more_is_refused_whole(unprivileged: User, his: Path) -> None:
    layers = Layers(his)
    layers.add(member("mine", b"x"), member("etc/shadow", b"x", gid=42))
    told = built_by(unprivileged, layers, his / "r", mode="single")
    assert "'/etc/shadow' belongs to gid 42" in told["error"], told
    assert "usermod --add-subuids" in told["hint"], told
    assert left_in(his / "r") == []


def test_a_user_removes_what_a_crash_left_of_subordinate_ids(unprivileged: User, his: Path) -> None:
    locked = [directory("locked", uid=7, mode=0), member("locked/x", b"x", uid=8)]
    layers, others = Layers(his), Layers(his / "others")
    layers.add(*locked)
    built_by(unprivileged, layers, his / "r", crash=True)
    (left,) = left_in(his / "r")
    assert (his / "r" / left / "root/locked").lstat().st_uid == map_of(unprivileged).uids.outside(7)
    others.place.mkdir()
    others.add(*locked, member("more"))
    tree = Path(built_by(unprivileged, others, his / "r")["path"])
    assert left_in(his / "r") == [tree.parent.name]
    remove = f"from firkin.linux.removal import *; remove_tree(Path({str(tree.parent)!r}))"
    unprivileged.command("python")("-c", remove, check=True)
    assert left_in(his / "r") == []
