"""Catalogue: every fault, by its id, in the order in which the doctor looks for them."""

from __future__ import annotations

from firkin.errors import NotFound
from firkin.faults import files, ids, images, kernel, machines, reported
from firkin.faults.fault import Fault

FAULTS: dict[str, Fault] = {
    value.id: value
    for module in (machines, files, images, ids, kernel, reported)
    for value in vars(module).values()
    if isinstance(value, Fault)
}


def fault(fault_id: str) -> Fault:
    """Raises NotFound."""
    import difflib

    if fault_id not in FAULTS:
        near = difflib.get_close_matches(fault_id, FAULTS, n=1)
        hint = f"did you mean {near[0]}?" if near else "docs/reference/doctor.md lists them"
        raise NotFound(f"the doctor knows nothing of {fault_id!r}", hint=hint)
    return FAULTS[fault_id]
