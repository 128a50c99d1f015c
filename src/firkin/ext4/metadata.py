"""Metadata: a finished tree to everything on the disk that is not the content of regular files.

Written once, after all content: inode numbers in order of the tree (breadth first), then what directories,
long symbolic links, attributes and scattered files need of blocks, then inodes, bitmaps, descriptors,
superblocks.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable

from firkin.errors import Corrupt, StorageFull
from firkin.ext4 import directory, extents, inode, xattr
from firkin.ext4.checksum import inode_state
from firkin.ext4.inode import Content
from firkin.ext4.layout import BLOCK_BYTES, FIRST_INODE, INODE_BYTES, JOURNAL, Layout
from firkin.ext4.node import Directory, File, Mapping, Node, Special, Symlink
from firkin.ext4.space import Extent, Space
from firkin.ext4.superblock import Group, Identity, descriptors, superblock
from firkin.units import format_size

Put = Callable[[int, bytes], None]
"""Write bytes at an offset of the image. Offsets mostly follow each other."""

_ROOT = 2
_LINKS_LIMIT = 65000
_FAST_SYMLINK_BYTES = 60
_TYPE_MASK = 0o170000
_FILE_TYPES = {
    stat.S_IFREG: 1,
    stat.S_IFDIR: 2,
    stat.S_IFCHR: 3,
    stat.S_IFBLK: 4,
    stat.S_IFIFO: 5,
    stat.S_IFSOCK: 6,
    stat.S_IFLNK: 7,
}


def write_metadata(
    root: Directory,
    space: Space,
    identity: Identity,
    put: Put,
    files: Iterable[File],
    journal: File | None = None,
) -> list[Extent]:
    """Write what makes the content of `files` a file system with the tree under `root`, and that `journal`.

    Returns the extents of those `files` that the tree no longer holds: they are free, and the caller clears
    them. Raises StorageFull, with the bytes that would do, when the tree does not fit; Corrupt for what ext4
    cannot hold.
    """
    nodes, parents = _numbered(root)
    layout = space.layout
    last_inode = FIRST_INODE + len(nodes) - 2
    if last_inode > layout.inodes:
        raise _too_small(layout, -(-layout.blocks * last_inode // layout.inodes) * BLOCK_BYTES)
    encoder = _Encoder(space, identity, put, parents)
    inodes = [encoder.inode(node) for node in nodes]
    journal_inode = encoder.inode(journal) if journal is not None else bytes(INODE_BYTES)
    if space.missing_blocks:
        raise _too_small(layout, (layout.blocks + space.missing_blocks) * BLOCK_BYTES)
    freed = [(start, count) for file in files if not file.number for _, start, count in file.mappings]
    _write_inodes(layout, inodes, journal_inode, put)
    groups = _groups(layout, space.used(freed), last_inode, nodes)
    _write_groups(layout, groups, identity, put, journal_inode)
    return freed


def _too_small(layout: Layout, needed_bytes: int) -> StorageFull:
    size = format_size(layout.blocks * BLOCK_BYTES)
    return StorageFull(
        f"the image does not fit a disk of {size}: it needs {needed_bytes} bytes",
        hint=f"ask for a larger disk: {-(-needed_bytes >> 20) + 1}m holds it, and leaves nothing free",
    )


def _numbered(root: Directory) -> tuple[list[Node], dict[int, int]]:
    """All nodes in the order of their numbers, and each directory's parent; counts the nodes' links."""
    root.number, root.links = _ROOT, 2
    nodes: list[Node] = [root]
    parents = {_ROOT: _ROOT}
    number = FIRST_INODE
    directories = [root]
    for parent in directories:
        for child in parent.children.values():
            if child.number:
                child.links += 1
                if child.links > _LINKS_LIMIT:
                    raise Corrupt(f"a file has more than {_LINKS_LIMIT} names; ext4 has room for no more")
                continue
            child.number = number
            number += 1
            nodes.append(child)
            if isinstance(child, Directory):
                child.links = 2
                parent.links += 1
                parents[child.number] = parent.number
                directories.append(child)
            else:
                child.links = 1
    return nodes, parents


class _Encoder:
    """Puts the blocks that nodes need, and encodes their inodes."""

    def __init__(self, space: Space, identity: Identity, put: Put, parents: dict[int, int]) -> None:
        self._space, self._image_put, self._parents = space, put, parents
        self._seed, self._directory_seed = identity.checksum_seed, identity.directory_seed

    def inode(self, node: Node) -> bytes:
        attributes, attribute_block = self._attributes(node) if node.xattrs else (b"", 0)
        return inode.encode(node, self._content(node), attributes, attribute_block, self._seed)

    def _content(self, node: Node) -> Content:
        if isinstance(node, File):
            return self._mapped(node.mappings, node.size, node.number)
        if isinstance(node, Directory):
            return self._directory(node)
        if isinstance(node, Symlink):
            target = node.target
            if len(target) < _FAST_SYMLINK_BYTES:
                return Content(0, len(target), target, 0)
            mappings = extents.mapped(self._put_blocks([target.ljust(BLOCK_BYTES, b"\0")]))
            return self._mapped(mappings, len(target), node.number)
        assert isinstance(node, Special)
        return Content(0, 0, inode.device(node.major, node.minor), 0)

    def _mapped(self, mappings: list[Mapping], size: int, number: int) -> Content:
        if not mappings:
            return Content(inode.EXTENTS_FLAG, size, extents.EMPTY_ROOT, 0)
        if len(mappings) == 1:
            return Content(inode.EXTENTS_FLAG, size, extents.root_of_one(mappings[0]), mappings[0][2])
        root, tree_blocks = extents.root(mappings, inode_state(self._seed, number), self._put_block)
        return Content(inode.EXTENTS_FLAG, size, root, tree_blocks + sum(count for _, _, count in mappings))

    def _directory(self, node: Directory) -> Content:
        names = [
            (name, child.number, _FILE_TYPES[child.mode & _TYPE_MASK])
            for name, child in node.children.items()
        ]
        state = inode_state(self._seed, node.number)
        parent = self._parents[node.number]
        blocks, indexed = directory.blocks(names, node.number, parent, state, self._directory_seed)
        content = self._mapped(
            extents.mapped(self._put_blocks(blocks)), len(blocks) * BLOCK_BYTES, node.number
        )
        content.flags |= inode.INDEX_FLAG if indexed else 0
        return content

    def _attributes(self, node: Node) -> tuple[bytes, int]:
        """The inode's tail, and the number of its attribute block or 0."""
        if not (found := xattr.attributes(node.xattrs or {})):
            return b"", 0
        if (inside := xattr.in_inode(found)) is not None:
            return inside, 0
        ((number, _),) = self._space.allocate(1)
        self._put(number, xattr.block(found, number, self._seed))
        return b"", number

    def _put_blocks(self, contents: list[bytes]) -> list[Extent]:
        given = self._space.allocate(len(contents))
        if len(contents) == 1:
            self._put(given[0][0], contents[0])
            return given
        numbers = [start + at for start, count in given for at in range(count)]
        for number, content in zip(numbers, contents, strict=True):
            self._put(number, content)
        return given

    def _put_block(self, content: bytes) -> int:
        return self._put_blocks([content])[0][0]

    def _put(self, number: int, content: bytes) -> None:
        if not self._space.missing_blocks:
            self._image_put(number * BLOCK_BYTES, content)


def _write_inodes(layout: Layout, inodes: list[bytes], journal: bytes, put: Put) -> None:
    """Root, then a gap for the reserved inodes, of which only the journal's is used, then all others without
    gaps.
    """
    reserved = bytes(INODE_BYTES)
    numbered = [reserved] * (FIRST_INODE - 1) + inodes[1:]
    numbered[_ROOT - 1] = inodes[0]
    numbered[JOURNAL - 1] = journal
    for group, first in enumerate(range(0, len(numbered), layout.inodes_per_group)):
        table = b"".join(numbered[first : first + layout.inodes_per_group])
        put(layout.inode_table(group) * BLOCK_BYTES, table)


def _groups(layout: Layout, used: dict[int, int], last_inode: int, nodes: list[Node]) -> list[Group]:
    directories = [0] * layout.groups
    for node in nodes:
        if isinstance(node, Directory):
            directories[(node.number - 1) // layout.inodes_per_group] += 1
    groups = []
    for group in range(layout.groups):
        inodes = min(max(last_inode - group * layout.inodes_per_group, 0), layout.inodes_per_group)
        groups.append(
            Group(
                free_blocks=layout.group_blocks(group) - used[group].bit_count(),
                free_inodes=layout.inodes_per_group - inodes,
                directories=directories[group],
                block_bitmap=_block_bitmap(layout, group, used[group]),
                inode_bitmap=_bitmap((1 << inodes) - 1, layout.inodes_per_group) if inodes else None,
            )
        )
    return groups


def _block_bitmap(layout: Layout, group: int, used: int) -> bytes | None:
    """None where the kernel can tell by itself: nothing in use but a backup of the superblock.

    The last group's is always written, as mke2fs does: its end is not the group's.
    """
    untouched = used == (1 << layout.head_blocks(group)) - 1
    if untouched and not layout.is_flex_leader(group) and group != layout.groups - 1:
        return None
    return _bitmap(used, layout.group_blocks(group))


def _bitmap(bits: int, valid: int) -> bytes:
    """A block with `bits`; those from `valid` on stand for nothing and are set."""
    padding = (1 << BLOCK_BYTES * 8) - (1 << valid)
    return (bits | padding).to_bytes(BLOCK_BYTES, "little")


def _write_groups(layout: Layout, groups: list[Group], identity: Identity, put: Put, journal: bytes) -> None:
    for number, group in enumerate(groups):
        if group.block_bitmap is not None:
            put(layout.block_bitmap(number) * BLOCK_BYTES, group.block_bitmap)
        if group.inode_bitmap is not None:
            put(layout.inode_bitmap(number) * BLOCK_BYTES, group.inode_bitmap)
    table = descriptors(layout, groups, identity.checksum_seed)
    for number in range(layout.groups):
        if layout.head_blocks(number):
            start = layout.group_start(number) * BLOCK_BYTES
            block = superblock(layout, groups, identity, in_group=number, journal=journal)
            put(start + (0 if number else len(block)), block)
            put(start + BLOCK_BYTES, table)
