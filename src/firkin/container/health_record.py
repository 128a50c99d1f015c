"""HealthRecord: how a container is, on disk.

    containers/<id>/health.json    Health, of the start that it names; its owner's, replaced after each probe

The rule: what is there of an earlier start says nothing of this one.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from firkin.container.health import Health
from firkin.container.record import Created, Record, Running, State, Suspended
from firkin.decoder import json_decoder
from firkin.errors import Corrupt
from firkin.store.files import replace_file

_MAX_FILE_BYTES = 1 << 20


def health_of(record: Record, state: State) -> Health:
    """How the container of `record`, which has a check and is in `state`, is. Raises Corrupt.

    One that does not run any more is unhealthy, as Docker has it, with what was said before.
    """
    if isinstance(state, Created) or state.started_ns is None:
        return Health(started_ns=0)
    kept = _read(record.dir / "health.json")
    health = kept if kept and kept.started_ns == state.started_ns else Health(started_ns=state.started_ns)
    if isinstance(state, Running | Suspended):
        return health
    return msgspec.structs.replace(health, status="unhealthy")


def put_health(record: Record, health: Health) -> None:
    """Put on record how it is. The owner's. Raises StorageFull."""
    replace_file(record.dir / "health.json", msgspec.json.encode(health))


def _read(path: Path) -> Health | None:
    try:
        with open(path, "rb") as opened:
            health: Health = json_decoder(Health).decode(opened.read(_MAX_FILE_BYTES))
            return health
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise Corrupt(f"cannot read {path}: {error}", hint=f"remove {path}") from error
