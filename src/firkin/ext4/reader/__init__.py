"""A reader of ext4 as Linux leaves it after it mounted an image of ours; nothing of it is believed unchecked.

    files = FileSystem(disk)             disk: anything with size_bytes and read(offset, size)
    files.lookup(path)  files.walk()     Inode: type, mode, owner, size, times, device
    files.entries(directory)  files.target(link)  files.xattrs(inode)  files.data(file)

The rule: a guest may have written every byte. Whatever is wrong raises Corrupt, with the inode it was met at.
Metadata checksums are verified, numbers are bounded by the file system and that by its disk, and no structure
is read more often than a sound one can need, so that work and memory stay in proportion to the disk.
"""
