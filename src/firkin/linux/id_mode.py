"""IdMode: what `--userns` says, with podman's words; or maps that are written out.

The rule: `IdMode.parse(str(mode)) == mode` but for maps that are written out, which have words of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

import msgspec

from firkin.errors import HostUnsupported, UsageError
from firkin.linux.id_map import IDS, IdMap

if TYPE_CHECKING:
    from firkin.linux.subordinate_ids import Holder

Kind = Literal["host", "keep-id", "nomap", "auto", "explicit"]
_KEYS = {"keep-id": ("uid", "gid"), "auto": ("size",)}
_KNOWN = "host, keep-id, keep-id:uid=N,gid=N, nomap, auto or auto:size=N"


class IdMode(msgspec.Struct, frozen=True, kw_only=True):
    """Which ids of the host are a container's. `host`: all that whoever runs it may map, himself as root."""

    kind: Kind = "host"
    uid: int | None = None
    """As whom `keep-id` keeps him, where that is not his own; so `gid`."""
    gid: int | None = None
    size: int | None = None
    """How many ids `auto` gives."""
    uids: tuple[str, ...] = ()
    """INSIDE:OUTSIDE:COUNT of `explicit`; so `gids`."""
    gids: tuple[str, ...] = ()

    @classmethod
    def parse(cls, word: str) -> IdMode:
        """Raises UsageError."""
        kind, _, more = word.partition(":")
        if kind not in ("host", "keep-id", "nomap", "auto") or (":" in word and kind not in _KEYS):
            raise UsageError(f"userns: {word!r} is not known", hint=f"give {_KNOWN}")
        found: dict[str, int] = {}
        for item in more.split(",") if ":" in word else ():
            key, equals, value = item.partition("=")
            if key not in _KEYS[kind] or key in found or not equals:
                raise UsageError(f"userns: {item!r} of {word!r} is not known", hint=f"give {_KNOWN}")
            found[key] = _number(word, key, value)
        return cls(kind=kind, **found)  # type: ignore[arg-type]

    def __str__(self) -> str:
        given = [f"{key}={getattr(self, key)}" for key in _KEYS.get(self.kind, ()) if self._says(key)]
        return f"{self.kind}:{','.join(given)}" if given else self.kind

    def _says(self, key: str) -> bool:
        return getattr(self, key) is not None

    def map(self, holder: Holder, taken: Iterable[IdMap] = ()) -> IdMap:
        """The map that `holder` gets; `auto` shares no id with those of `taken`.

        Raises UsageError, and HostUnsupported where he has not got the ids for it.
        """
        made = self._map(holder, taken)
        if made.uids.outside(0) is not None and made.gids.outside(0) is not None:
            return made
        if self.kind == "keep-id" and not (holder.uids and holder.gids):
            from firkin.faults import ids

            raise HostUnsupported(
                f"userns: {self} leaves nobody to be root, since user {holder.user} has no subordinate ids",
                hint=ids.SUBIDS_MISSING.hint(user=holder.user),
            )
        raise UsageError(
            f"userns: the map {made.uids} of users and {made.gids} of groups has no root, which a container "
            "begins as",
            hint="map id 0 of both: 0:OUTSIDE:COUNT",
        )

    def _map(self, holder: Holder, taken: Iterable[IdMap]) -> IdMap:
        from firkin.linux import id_modes  # with the faults of hosts, which a machine does without

        match self.kind:
            case "keep-id":
                return id_modes.keep_id(holder, self.uid, self.gid)
            case "nomap":
                return id_modes.without_user(holder)
            case "auto":
                return id_modes.auto(holder, taken, self.size)
            case "explicit":
                return id_modes.explicit(holder, self.uids, self.gids)
            case "host":
                return id_modes.whole(holder)

    def kept_user(self, holder: Holder) -> str:
        """UID:GID of the holder in the container, where he is kept; "" elsewhere."""
        if self.kind != "keep-id":
            return ""
        uid = holder.uid if self.uid is None else self.uid
        return f"{uid}:{holder.gid if self.gid is None else self.gid}"


def _number(word: str, key: str, value: str) -> int:
    least = 1 if key == "size" else 0
    if not (value.isascii() and value.isdecimal() and len(value) < 11 and least <= int(value) < IDS):
        raise UsageError(f"userns: {key}={value} of {word!r} is no number of ids", hint=f"give {_KNOWN}")
    return int(value)
