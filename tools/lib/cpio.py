# SPDX-License-Identifier: MIT OR Apache-2.0
"""A writer of the archive format that Linux unpacks as its first root (`newc`)."""
import stat


class Archive:
    """An archive under construction. Paths have no leading slash; a folder comes before what it holds."""

    def __init__(self):
        self.data, self.inode = bytearray(), 0

    def entry(self, path, mode, contents=b"", device=(0, 0)):
        """Add one entry."""
        self.inode += 1
        name = path.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(contents), 0, 0, *device, len(name), 0)
        self.data += b"070701" + b"".join(b"%08x" % field for field in fields) + name
        self.pad()
        self.data += contents
        self.pad()

    def pad(self):
        """Bring the end to a multiple of 4."""
        self.data += bytes(-len(self.data) % 4)

    def folder(self, path):
        """Add a folder."""
        self.entry(path, stat.S_IFDIR | 0o755)

    def file(self, path, contents, permissions=0o644):
        """Add a file."""
        self.entry(path, stat.S_IFREG | permissions, contents)

    def link(self, path, to):
        """Add a symbolic link."""
        self.entry(path, stat.S_IFLNK | 0o777, to.encode())

    def device(self, path, major, minor):
        """Add a character device."""
        self.entry(path, stat.S_IFCHR | 0o600, device=(major, minor))

    def finish(self):
        """Return the archive."""
        self.inode = 0
        self.entry("TRAILER!!!", 0)
        return bytes(self.data)
