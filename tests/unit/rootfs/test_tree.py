"""Layers applied on each other: whiteouts, type changes, links, and archives that want out."""

from __future__ import annotations

import tarfile

import pytest

from firkin.archive import TarReader
from firkin.errors import Corrupt, StorageFull
from firkin.ext4 import Directory, Node, Symlink
from firkin.rootfs.tree import Tree
from tests.support.layers import Member, archive, directory, hard_link, member, symlink


def tree(*layers: list[Member], names_limit: int = 1000) -> Tree:
    tree = Tree(names_limit)
    for members in layers:
        for entry in TarReader([archive(members)]):
            tree.add(entry)
        tree.next_layer()
    return tree


def listing(node: Node, path: str = "") -> list[str]:
    """All paths, directories with a slash behind, links with their target."""
    if isinstance(node, Symlink):
        return [f"{path} -> {node.target.decode()}"]
    if not isinstance(node, Directory):
        return [path]
    own = [path + "/"] if path else []
    return own + [
        line
        for name, child in sorted(node.children.items())
        for line in listing(child, f"{path}/{name.decode()}")
    ]


def paths(*layers: list[Member]) -> list[str]:
    return listing(tree(*layers).root)


def find(tree: Tree, path: str) -> Node:
    node: Node = tree.root
    for part in path.encode().split(b"/"):
        assert isinstance(node, Directory)
        node = node.children[part]
    return node


def test_names_are_the_same_however_they_are_spelt() -> None:
    spelt = [
        directory("./etc/"),
        member("/etc/a"),
        member("etc//b"),
        member("./etc/./c"),
        member("etc/x/../d"),
    ]
    assert paths(spelt) == ["/etc/", "/etc/a", "/etc/b", "/etc/c", "/etc/d"]


def test_missing_parents_are_made_for_root() -> None:
    made = tree([member("a/b/c")])
    assert listing(made.root) == ["/a/", "/a/b/", "/a/b/c"]
    assert (find(made, "a/b").mode & 0o7777, find(made, "a").uid, find(made, "a").mtime_ns) == (0o755, 0, 0)


def test_the_roots_own_entry_sets_its_metadata() -> None:
    for name in ("./", ".", "/"):
        root = tree([directory(name, mode=0o700, uid=5, mtime=7)]).root
        assert (root.mode & 0o7777, root.uid, root.mtime_ns) == (0o700, 5, 7_000_000_000)


def test_a_directory_that_comes_again_keeps_its_files_and_takes_on_the_new_metadata() -> None:
    made = tree([directory("a", mode=0o700), member("a/x")], [directory("a", mode=0o750, uid=9)])
    assert listing(made.root) == ["/a/", "/a/x"]
    assert (find(made, "a").mode & 0o7777, find(made, "a").uid) == (0o750, 9)


def test_any_kind_replaces_any_other() -> None:
    kinds: list[list[Member]] = [
        [directory("x"), member("x/inside")],
        [member("x", b"file")],
        [symlink("x", "elsewhere")],
        [member("x", type=tarfile.FIFOTYPE)],
    ]
    for lower in kinds:
        for upper in kinds:
            assert paths(lower, upper) == paths(upper), (lower, upper)


def test_a_whiteout_hides_a_file_a_link_and_a_whole_directory() -> None:
    lower = [member("a"), symlink("b", "a"), directory("c"), member("c/d"), member("keep")]
    assert paths(lower, [member(".wh.a"), member(".wh.b"), member(".wh.c"), member(".wh.never-there")]) == [
        "/keep"
    ]


def test_a_whiteout_hides_the_link_and_not_what_it_leads_to() -> None:
    assert paths([directory("a"), member("a/x"), symlink("b", "a")], [member(".wh.b")]) == ["/a/", "/a/x"]


@pytest.mark.parametrize("whiteout_first", [True, False])
def test_whiteouts_spare_what_their_own_layer_brings(whiteout_first: bool) -> None:
    lower = [directory("d"), member("d/old"), directory("d/sub"), member("d/sub/old"), member("f")]
    news = [directory("d"), member("d/new"), directory("d/sub"), member("d/sub/new"), member("f", b"new")]
    for whiteouts in ([member("d/.wh..wh..opq"), member(".wh.f")], [member(".wh.d"), member(".wh.f")]):
        upper = whiteouts + news if whiteout_first else news + whiteouts
        assert paths(lower, upper) == ["/d/", "/d/new", "/d/sub/", "/d/sub/new", "/f"]


def test_an_opaque_directory_hides_only_what_lies_under_it() -> None:
    lower = [directory("a"), member("a/x"), directory("a/b"), member("a/b/y"), member("z")]
    assert paths(lower, [member("a/.wh..wh..opq")]) == ["/a/", "/z"]


def test_whiteouts_of_the_bottom_layer_hide_nothing_and_are_no_files() -> None:
    assert paths([member("a"), member(".wh.a"), member(".wh..wh..opq"), directory(".wh..wh.plnk")]) == ["/a"]


def test_hard_links_reach_into_lower_layers_and_outlive_the_first_name() -> None:
    made = tree([member("a", b"x")], [hard_link("b", "a")], [member(".wh.a"), hard_link("c", "./b")])
    assert listing(made.root) == ["/b", "/c"]
    assert find(made, "b") is find(made, "c")


def test_a_hard_link_to_itself_changes_nothing() -> None:
    assert paths([member("a"), hard_link("a", "a")]) == ["/a"]


def test_a_hard_link_to_a_symbolic_link_is_another_name_of_the_link() -> None:
    made = tree([symlink("a", "nowhere"), hard_link("b", "a")])
    assert find(made, "a") is find(made, "b")


def test_parents_that_are_links_are_followed_inside_the_tree() -> None:
    lower = [
        directory("usr"),
        directory("usr/lib"),
        symlink("lib", "usr/lib"),
        symlink("abs", "/usr"),
        symlink("up", "../../usr"),
    ]
    upper = [
        member("lib/a"),
        member("abs/b"),
        member("up/c"),
        hard_link("d", "lib/a"),
        member("lib/.wh.gone"),
    ]
    links = ["/abs -> /usr", "/d", "/lib -> usr/lib", "/up -> ../../usr"]
    assert paths(lower, upper) == [*links, "/usr/", "/usr/b", "/usr/c", "/usr/lib/", "/usr/lib/a"]


def test_a_dangling_parent_is_made_where_it_points() -> None:
    assert paths([symlink("a", "b/c"), member("a/x")]) == ["/a -> b/c", "/b/", "/b/c/", "/b/c/x"]


def test_a_replaced_parent_is_not_remembered() -> None:
    layer = [directory("a"), member("a/x"), symlink("a", "b"), member("a/y"), member("b/z")]
    assert paths(layer) == ["/a -> b", "/b/", "/b/y", "/b/z"]


@pytest.mark.parametrize("name", ["../x", "../../../x", "a/../../x", "/../x", "link/../../x", "out/x"])
def test_no_name_leads_out_of_the_tree(name: str) -> None:
    links = [symlink("link", "/"), symlink("out", "../../.."), directory("a")]
    assert "/x" in paths([*links, member(name)])


def test_archives_that_no_tree_can_hold_are_corrupt() -> None:
    for members in (
        [symlink("a", "b"), symlink("b", "a"), member("a/x")],
        [member("a"), member("a/x")],
        [hard_link("a", "missing")],
        [directory("a"), hard_link("b", "a")],
        [hard_link("b", "/")],
        [member("x" * 256)],
        [member("x" * 256 + "/y")],
        [member(".")],
        [symlink("a", "")],
    ):
        with pytest.raises(Corrupt):
            tree(members)


def test_a_tree_holds_no_more_names_than_it_may() -> None:
    with pytest.raises(StorageFull, match="files"):
        tree([member("a/b/c/d")], names_limit=3)
    within = [
        [member("a"), member("b")],
        [member(".wh.a"), member(".wh.b"), directory("c"), member("c/d")],
        [member("c")],
    ]
    assert tree(*within, names_limit=3).names == 1


def test_a_deep_tree_is_whited_out_without_recursion() -> None:
    steps = [directory("/".join(["d"] * depth)) for depth in range(1, 1500)]
    assert listing(tree(steps[::40] + steps[-1:], [member(".wh.d")], names_limit=2000).root) == []


def test_attributes_that_linux_does_not_have_are_left_out() -> None:
    records = {"SCHILY.xattr.com.apple.provenance": "x", "SCHILY.xattr.user.kept": "y"}
    made = tree([member("a", pax_headers=records)])
    assert find(made, "a").xattrs == {b"user.kept": b"y"}


def test_attributes_that_ext4_cannot_hold_name_their_file() -> None:
    with pytest.raises(Corrupt, match=r"usr/a.*attributes"):
        tree([member("usr/a", pax_headers={"SCHILY.xattr.user.x": "y" * 5000})])


def test_layers_cannot_fill_the_hosts_memory_with_descriptions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firkin.rootfs.tree.HELD_LIMIT_BYTES", 10_000)
    with pytest.raises(Corrupt, match="bytes of names"):
        tree([symlink(f"l{number}", "t" * 1000) for number in range(20)])
