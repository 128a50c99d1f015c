"""SharedSocket: a unix socket of the host in a container, or one of the container's on the host."""

from __future__ import annotations

import msgspec


class SharedSocket(msgspec.Struct, frozen=True, kw_only=True):
    """The socket that listens at one of the paths appears at the other one, with `mode` and owner.

    It listens at `host`, and appears in the container; with `published` it is the other way round.
    """

    host: str
    """An absolute path."""
    guest: str
    published: bool = False
    mode: int = 0o600
    uid: int | None = None
    """None: root in the container, whoever runs firkin on the host."""
    gid: int | None = None

    @property
    def called(self) -> str:
        """What a person called it."""
        return f"{self.guest}:{self.host}" if self.published else f"{self.host}:{self.guest}"
