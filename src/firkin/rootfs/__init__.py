"""Rootfs: an image's layers to a bootable disk, once for each chain of layers and size.

    build(layers, open_blob=..., rootfs_dir=..., size_bytes=...) -> Rootfs

    layers --inflate (thread)--> tar bytes --hash (thread)--> diff id, verified before anything appears
                                     \\--archive--> entries --tree--> nodes --ext4--> image

Importing this costs nothing: what builds is imported when there is something to build.
"""

from firkin.rootfs.cache import OpenBlob, Rootfs, build, key_of

__all__ = ["OpenBlob", "Rootfs", "build", "key_of"]
