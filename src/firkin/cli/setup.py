"""`firkin setup`: mend what can be mended on this host without root, and say the rest."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from firkin.host.remedies import Plan
    from firkin.host.written import Written

_SYSTEMD = "/run/systemd/system"  # sd_booted(3)
_FIRKIN = 'firkin() { "$0" -m firkin.cli.main "$@"; }'
"""This firkin, for commands that name it: it may not be in PATH."""
_TRIED = ("run", "--rm", "busybox", "echo", "a container runs")


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--sudo", is_flag=True, help="Run the commands that need root, too.")
@click.option("--undo", is_flag=True, help="Remove what it wrote, where nobody changed it since.")
@click.option("--no-run", is_flag=True, help="Run no container at the end.")
def command(dry_run: bool, sudo: bool, undo: bool, no_run: bool) -> int:
    """Set this host up for containers, and show the commands for root.

    Writes the configuration that podman, buildah and skopeo lack, completion for the shell, and where systemd
    runs units of this user's, which start the supervisor when it is asked for, and after a reboot for what
    is to run again. Installs a kernel for machines where none can be used, and closes to others what is only
    this user's. A file that is there stays as it is; how it differs is shown. Ends with the doctor and a
    container of busybox. The exit status is the doctor's, or 125 where no container runs.
    """
    from firkin.host.asker import Asker
    from firkin.host.doctor import examine
    from firkin.host.remedies import plan
    from firkin.host.written import Written

    asker = Asker.of(os.environ)
    written = Written(Path(asker.settings.config_dir) / "setup.json")
    if undo:
        return _undone(written, dry_run=dry_run)
    systemd = os.path.isdir(_SYSTEMD)
    planned = plan(asker, examine(os.environ), systemd=systemd, ours=written.untouched())
    if dry_run:
        click.echo("".join(f"would write {file.path}: {file.purpose}\n" for file in planned.files), nl=False)
        click.echo("".join(f"would run {command}\n" for command in planned.own), nl=False)
    else:
        for file in written.write(planned.files):
            click.echo(f"wrote {file.path}: {file.purpose}")
        _tell_systemd("daemon-reload")
        if any(file.path.endswith("/firkin.socket") for file in planned.files):
            _tell_systemd("start", "firkin.socket")
        _run_each(planned.own)
    _tell(planned, sudo=sudo and not dry_run)
    return 0 if dry_run else _proven(run=not no_run)


def _undone(written: Written, *, dry_run: bool) -> int:
    if dry_run:
        click.echo("".join(f"would remove {entry.path}\n" for entry in written.entries()), nl=False)
        return 0
    if any(path.endswith("/firkin.socket") for path in written.untouched()):
        _tell_systemd("stop", "firkin.socket")  # a supervisor that runs goes on
    gone, stay = written.undo()
    click.echo("".join(f"removed {path}\n" for path in gone), nl=False)
    click.echo("".join(f"kept {path}: it was changed since\n" for path in stay), nl=False)
    _tell_systemd("daemon-reload")
    return 0


def _tell(planned: Plan, *, sudo: bool) -> None:
    """What is not done by writing files: what differs, what root has to do, what a person has to."""
    from firkin.cli.report import printable

    for file in planned.differing:
        click.echo(f"kept {file.path}, which is there already; it differs from what would be written:")
        click.echo(printable(file.difference()), nl=False)
    if planned.commands and sudo:
        _run_each(planned.commands)
    elif planned.commands:
        click.echo("\nas root, or with `firkin setup --sudo`:\n")
        click.echo("".join(f"    {command}\n" for command in planned.commands))
    if planned.by_hand:
        ids = ", ".join(finding.id for finding in planned.by_hand)
        click.echo(f"for you to decide: {ids} (`firkin doctor` shows how)")


def _run_each(commands: Sequence[str]) -> None:
    """Each by a shell, on this terminal; one that fails does not keep the others from their turn."""
    import subprocess

    for command in commands:
        click.echo(f"+ {command}")
        sys.stdout.flush()
        if status := subprocess.run(["/bin/sh", "-c", f"{_FIRKIN}\n{command}", sys.executable]).returncode:
            click.echo(f"  ended with status {status}")


def _tell_systemd(*words: str) -> None:
    """Tell the systemd that runs for this user; where none does, the next one will see its units."""
    import subprocess

    if os.path.isdir(_SYSTEMD):
        told = ["systemctl", "--user", *words]
        with suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(told, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)


def _proven(*, run: bool) -> int:
    """The exit status, after a look at the host as it is now and a container on it."""
    import subprocess

    from firkin.cli.doctor import told

    status = told()
    if not run:
        return status
    sys.stdout.flush()
    ended = subprocess.run([sys.executable, "-m", "firkin.cli.main", *_TRIED], stdin=subprocess.DEVNULL)
    return 125 if ended.returncode else status
