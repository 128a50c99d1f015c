"""Tidy: what dead owners left is put on record or removed, by whoever comes next.

Whatever runs has a directory in the run directory, so the next run looks there only: one listdir, and a lock
to try for each container that runs. After a reboot that directory is gone: then every record is looked at.
"""

from __future__ import annotations

import os
import shutil
import time

from firkin.container import leftovers, names, record, volume_use
from firkin.container.record import LOST, Created, Exited, Record, Running, Suspended
from firkin.engine.pod_members import members
from firkin.engine.restarting import due
from firkin.engine.tie import is_free, is_tied
from firkin.errors import FirkinError, InUse
from firkin.events import event
from firkin.paths import Paths

HANDOVER_NS = 60 * 10**9
"""How long a new container may be without an owner, on its way from whoever made it to the supervisor."""


def tidy_running(paths: Paths) -> None:
    """Tidy what has a run directory and neither owner nor machine. Raises nothing; costs little."""
    try:
        run_dirs = os.listdir(paths.run / "c")
    except FileNotFoundError:
        return tidy_all(paths)
    except OSError:
        return
    known = {each[:12]: each for each in names.of(paths).ids()} if run_dirs else {}
    for name in run_dirs:
        if name in known:
            _tidy(Record(paths, known[name]))
        else:
            shutil.rmtree(paths.run / "c" / name, ignore_errors=True)


def tidy_all(paths: Paths) -> None:
    """Tidy every container that nobody owns and whose machine is gone, and what was left half made."""
    for directory in (paths.containers_dir, paths.snapshots_dir):
        leftovers.sweep(directory)
    for found in record.records(paths):
        _tidy(found)
    if paths.names_dir.is_dir():
        names.of(paths).settle(lambda each: _name(Record(paths, each)))
    volume_use.sweep(paths)


def _name(found: Record) -> str:
    try:
        return found.spec().name
    except FirkinError:
        return ""


def _tidy(found: Record) -> None:
    """Tidy one container, unless somebody owns it or its machine runs; nobody is waited for."""
    try:
        if found.is_owned():
            return
        with found.own():
            if not found.is_alive():
                _bury(found)
    except InUse:
        return  # its owner is at it
    except FirkinError as error:  # seen by whoever lists or removes it
        event("container.untidy", container=found.id, error=error)


def _bury(found: Record) -> None:
    """Its owner and its machine are gone: remove it, or put its end on record."""
    spec, state = found.spec(), found.state()
    if isinstance(state, Created) and spec.detached and time.time_ns() - spec.created_ns < HANDOVER_NS:
        return  # the supervisor is about to own it
    if is_tied(spec) and is_free(found) and time.time_ns() - spec.created_ns > HANDOVER_NS:
        return _remove_tied(found)
    if isinstance(state, Created) and state.kept:
        return  # it is as it is to be
    shutil.rmtree(found.paths.container_run_dir(found.id), ignore_errors=True)
    if found.cgroups_path.exists():
        from firkin.engine.namespace_groups import remove_left

        remove_left(found)
    if isinstance(state, Suspended):
        return  # it is as it is to be
    started = found.started()
    if isinstance(state, Exited) and isinstance(started, Running) and state.status == LOST:
        state = due(spec, started, state)
    if isinstance(state, Exited) and state.again_ns is not None:
        found.set_exited(state)
        return  # a supervisor is to start it
    if spec.auto_remove or isinstance(state, Created):
        volume_use.remove_container(found)
    elif isinstance(state, Exited):
        found.set_exited(state)
    event("container.tidied", container=found.id, name=spec.name)


def _remove_tied(found: Record) -> None:
    """Its maker has gone, and left it: its members go first."""
    for member, _ in members(found.paths, found.id):
        with member.own():
            member.remove()
    name = found.spec().name
    found.remove()
    event("container.tidied", container=found.id, name=name)
