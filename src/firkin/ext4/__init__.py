"""A writer of ext4 images: a tree of nodes and their content to one sparse, journal-less file system.

firkin.ext4.reader reads them back, as a guest left them.

    layout = Layout.for_size(size_bytes)         where everything will lie: a pure value
    space = Space(layout)                        gives out blocks for content while it arrives
    write_metadata(root, space, identity, put)   everything else, once the tree is known

docs/design/ext4.md says why it is our own and how it stays deterministic. Structure names and offsets are
those of the kernel's Documentation/filesystems/ext4.
"""

from firkin.ext4.layout import BLOCK_BYTES, Layout
from firkin.ext4.metadata import write_metadata
from firkin.ext4.node import Directory, File, Node, Special, Symlink
from firkin.ext4.space import Extent, Space
from firkin.ext4.superblock import Identity
from firkin.ext4.xattr import storable

__all__ = [
    "BLOCK_BYTES",
    "Directory",
    "Extent",
    "File",
    "Identity",
    "Layout",
    "Node",
    "Space",
    "Special",
    "Symlink",
    "storable",
    "write_metadata",
]
