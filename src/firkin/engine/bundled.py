"""Bundled: what a bundle's config.json says of a container that no word of `firkin run` can."""

from __future__ import annotations

import msgspec

from firkin.container.spec import Protected


class Bundled(msgspec.Struct, frozen=True, kw_only=True):
    """Its process has no other variables than those that are given."""

    protected: Protected
