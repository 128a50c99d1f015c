"""The limits of a container in namespaces, and whether this host can hold one to them.

The rule: a limit that cannot be held is an error before anything runs, which names the limit, the controller
that it needs, and what to do; one that fails where it should hold is the kernel's word.
"""

from __future__ import annotations

import errno
import os

from firkin.errors import FirkinError, HostUnsupported, UsageError
from firkin.faults import kernel
from firkin.linux.cgroup.group import Unheld
from firkin.linux.cgroup.limits import Limits, settings
from firkin.linux.cgroup.places import Lack, Places, version_of

_FAULTS = {
    "absent": kernel.CGROUPS_ABSENT,
    "undelegated": kernel.CGROUPS_UNDELEGATED,
    "controllers": kernel.CGROUPS_CONTROLLERS,
}
_WHY = {
    "absent": "no control groups are mounted",
    "undelegated": "the control group that we are in is not ours to make others in",
    "controllers": "ours has no such controller",
}
MACHINE = "or run it in a machine: without --isolation namespace"


def check(name: str, limits: Limits, places: Places) -> None:
    """Return where this host holds container `name` to `limits`. Raises HostUnsupported."""
    for each in settings(version_of(places), limits):
        if (lack := places.lack(each.controller)) is not None:
            raise HostUnsupported(
                f"{each.field}: nothing here holds container {name!r} to it: that takes a control group of "
                f"the controller {each.controller}, and {_WHY[lack]}",
                hint=hint(lack, places),
            )


def hint(lack: Lack, places: Places) -> str:
    """What to do where that is lacking."""
    if lack == "undelegated" and places.version == 2:
        own = "systemd-run --user --scope -p Delegate=yes firkin ..."
        return f"`{own}` gives it one; {kernel.CGROUPS_UNDELEGATED.more}; {MACHINE}"
    return f"{_FAULTS[lack].more}; {MACHINE}"


def refused(name: str, error: Unheld) -> FirkinError:
    """What the kernel's answer to a setting means."""
    setting = error.setting
    if setting.controller == "memory" and error.errno == errno.EBUSY:
        return UsageError(
            f"{setting.field}: container {name!r} has more in use than that, which cannot be let go",
            hint="give it more, or let it use less first",
        )
    if setting.field == "cpuset_cpus" and error.errno in (errno.EINVAL, errno.EACCES, errno.ERANGE):
        return UsageError(
            f"cpuset_cpus: this host has not all of the processors {setting.text}",
            hint=f"it has {os.cpu_count()}, the first of which is 0",
        )
    if error.errno == errno.ENOENT:
        return HostUnsupported(
            f"{setting.field}: this kernel cannot hold container {name!r} to it: its controller "
            f"{setting.controller} has no {setting.file}",
            hint=f"leave it out, {MACHINE}",
        )
    return HostUnsupported(
        f"{setting.field}: cannot hold container {name!r} to it: {setting.file} does not take "
        f"{setting.text}: {error.strerror}",
        hint=kernel.CGROUPS_CONTROLLERS.more,
    )
