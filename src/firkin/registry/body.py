"""Body: a part of a file as the body of a request, read while it is sent, so that memory stays flat.

It is sent once. aiohttp would send the body of a PUT again when a connection breaks that was kept open; but
of an upload a part may have come, and only the registry knows how much.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable

from aiohttp import Payload
from aiohttp.abc import AbstractStreamWriter

from firkin.errors import DigestMismatch

_CHUNK_BYTES = 256 << 10


class FileBody(Payload):
    """`size_bytes` of the open file `fd` from `offset` on; `moved(position)` is called as they leave."""

    def __init__(self, fd: int, offset: int, size_bytes: int, moved: Callable[[int], None]) -> None:
        super().__init__(fd, content_type="application/octet-stream")
        self._fd = fd
        self._offset = offset
        self._size = size_bytes
        self._moved = moved

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        assert self._size is not None  # set above
        if self._consumed:
            raise ConnectionResetError(errno.ECONNRESET, "the connection broke in the middle of the body")
        self._consumed = True
        at, end = self._offset, self._offset + self._size
        while at < end:
            chunk = await asyncio.to_thread(os.pread, self._fd, min(_CHUNK_BYTES, end - at), at)
            if not chunk:
                raise DigestMismatch("the file became shorter while it was sent", hint="pull the image again")
            await writer.write(chunk)
            at += len(chunk)
            self._moved(at)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise TypeError("a file on its way to a registry is not text")
