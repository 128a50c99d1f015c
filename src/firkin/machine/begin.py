"""Begin: the start of a machine where nothing has to be waited for, which is nearly always.

The rule: no event loop is needed and none is imported here, so the VMM runs before most of firkin is loaded.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from firkin.errors import HostUnsupported
from firkin.events import event, span
from firkin.machine import template
from firkin.machine.failures import passing
from firkin.machine.launch import Lifetime, launch
from firkin.machine.origin import Origin, Restored
from firkin.machine.prepared import Prepared
from firkin.machine.programs import known
from firkin.machine.saved import Saved
from firkin.machine.spec import MachineSpec
from firkin.machine.started import Started
from firkin.settings import Settings


def begin(
    spec: MachineSpec,
    *,
    settings: Settings,
    dir: Path,
    run_dir: Path,
    lifetime: Lifetime = "owner",
    alive_fd: int | None = None,
    saved: Saved | None = None,
) -> Started | None:
    """The VMM that boot() starts with the same arguments, for a Machine to take over.

    None where something has to be waited for first: KVM was never tried with these programs, or the template
    is yet to be made. Raises what boot() raises.
    """
    begin_ns = time.monotonic_ns()
    with host_errors(spec.name):
        prepared = known(spec, settings)
        origin = None if prepared is None else _origin(spec, prepared, settings, saved)
        if prepared is None or origin is None:
            return None
        try:
            started = launch(spec, prepared.vmm, origin, settings, dir, run_dir, lifetime, alive_fd)
        except FileNotFoundError:
            if saved is None and isinstance(origin, Restored) and not origin.state_path.exists():
                return None  # somebody removed the template just now
            raise
        except OSError as error:
            if passing(error):
                return None  # boot() tries again, and waits meanwhile
            raise
    try:
        span("machine.start", begin_ns, time.monotonic_ns(), machine=spec.name)
    except BaseException:
        started.abort()
        raise
    return started


def _origin(spec: MachineSpec, prepared: Prepared, settings: Settings, saved: Saved | None) -> Origin | None:
    """Where the machine goes on from; None where a template has to be made for that."""
    if saved is not None:
        return prepared.restored(saved, spec)
    if reason := template.why_not(spec, settings):
        event("machine.cold", machine=spec.name, reason=reason)
        return prepared.cold
    found = template.find(template.path_of(spec, prepared, settings))
    return None if found is None else prepared.fork_of(found, found.dir)


@contextmanager
def host_errors(name: str) -> Iterator[None]:
    """Turn the block's OSErrors into the error that machine `name` cannot start here."""
    try:
        yield
    except OSError as error:
        raise HostUnsupported(f"cannot start machine {name!r}: {error}", hint="see firkin info") from error
