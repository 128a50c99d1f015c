"""docs/reference/doctor.md from the faults themselves: `python -m firkin.faults.page > that file`.

A test fails when the page and the faults differ.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from firkin.faults.catalogue import FAULTS
from firkin.faults.fault import Fault

_OPENING = """\
# What the doctor finds

<!-- Written by `python -m firkin.faults.page`. Change src/firkin/faults, not this page. -->

`firkin doctor` looks at this host and says what is wrong with it, for machines, and for podman, buildah and
skopeo where they are installed, since rootless containers of any kind share these files. It changes nothing;
[`firkin setup`](#setup) mends some of it. `--only ID` or `--only SUBJECT` looks at less, `--explain ID` says
what stands here, `--json` prints findings for programs, `--probe` tries a guest on /dev/kvm, and
`--from-log FILE` says what the messages in a log mean, whatever host it comes from.

| exit status | |
|---|---|
| 0 | nothing, or notes only |
| 1 | a warning: something does not work, or not well |
| 2 | an error: machines cannot run, or podman cannot where it is installed |
| 125 | the doctor itself could not do its part |

What hurts only podman and its kin is a note where none of them is installed, and what hurts containers in
namespaces, but no machine, is a warning at most. Commands begin with `sudo` where
they need root; root is shown them without. In Python: `firkin.doctor()`, see [the API](api.md#doctor). An
error of firkin's that comes from the host has the first command as its hint.

## Setup
`firkin setup` does what needs no root, shows the commands for what does (with `--sudo` it runs them), and
ends with the doctor and a container of busybox (`--no-run`: without). It writes, where they are missing:

- for podman, buildah and skopeo, where one of them is installed, in `~/.config/containers` (root's are in
  `/etc/containers`):
  - `policy.json` for `policy-missing`: everything is accepted, as firkin does where there is no policy; not
    where `require_policy` is set
  - `registries.conf` for `registries-missing`: short names are Docker Hub's; not where it would hide what the
    system's file says
  - `storage.conf` for `storage-vfs`: overlay; not where the store has images already
- `~/.local/share/bash-completion/completions/firkin`, `~/.config/fish/completions/firkin.fish` where fish is
  used, and `~/.local/share/zsh/site-functions/_firkin` where zsh is: completion (`firkin completion`)
- `~/.config/systemd/user/firkin.socket` and `firkin.service` where systemd runs: the supervisor is started
  when it is asked for, and after a reboot, once root has allowed it (`loginctl enable-linger`), for
  containers that restart by themselves

It runs `firkin kernel install` for `kernel-missing`, `kernel-unreadable` and `kernel-modules`, and closes to
others what is only yours: `runtime-open`, `credentials-open`. That is not undone.

What is there stays as it is, and the difference is shown. A second run writes nothing; after an update of
firkin it renews what nobody changed. `--undo` removes what it wrote and nobody changed since; `--dry-run`
says what would be done. What it wrote stands in `~/.config/firkin/setup.json`.
"""


def markdown() -> str:
    """The page."""
    lines = [_OPENING]
    for subject in dict.fromkeys(fault.subject for fault in FAULTS.values()):
        lines.append(f"## {subject.replace('-', ' ').capitalize()}\n")
        lines.append("Only `--from-log` finds these.\n" if subject == "messages" else f"`--only {subject}`\n")
        for fault in FAULTS.values():
            if fault.subject == subject:
                lines += _entry(fault)
    return "\n".join(lines).rstrip() + "\n"


def _entry(fault: Fault) -> Iterator[str]:
    yield f"### `{fault.id}`\n"
    yield f"**{fault.severity}**, for {', '.join(fault.concerns)}: {fault.title}.\n"
    yield f"{fault.why[0].upper()}{fault.why[1:]}.\n"
    if fault.fix:
        yield "\n".join(f"    {command}" for command in fault.commands()) + "\n"
    yield f"Mended when this shows it: `{fault.found().proof}`\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
