"""`firkin image stage`: the disk of an image as a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from firkin.cli.options import platform_option

if TYPE_CHECKING:
    from firkin.engine.engine import Engine
    from firkin.engine.staged_file import Staged, StageFormat


@click.command("stage")
@click.option(
    "--format", "form", default="raw", metavar="raw|qcow2", show_default=True,
    help="A disk of its own, or an empty overlay over a hard link to the image's disk beside it.",
)  # fmt: skip
@click.option("--disk", default=None, metavar="SIZE", help="The size of the disk; else the setting's.")
@click.option("-f", "--force", is_flag=True, help="Replace the file at PATH.")
@click.option("--pull", default="missing", metavar="always|missing|never", show_default=True,
              help="When to ask the registry for the image.")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="Say nothing.")
@platform_option
@click.argument("image", metavar="IMAGE")
@click.argument("path", metavar="PATH")
def command(
    *, form: str, disk: str | None, force: bool, pull: str, quiet: bool, platform: str, image: str, path: str
) -> None:
    """Write the disk of an image to a file, for others to boot or mount.

    It is an ext4 file system without a partition table. A raw one shares its blocks with the image where the
    file system can (a reflink), else it is a copy whose holes take no space. Says which, how much was written
    and how long that took.

    \b
    firkin image stage --disk 2g debian /srv/debian.ext4
    firkin run --rootfs /srv/debian.ext4 cat /etc/os-release
    """
    from firkin.cli.progress import progress
    from firkin.cli.session import with_engine
    from firkin.engine.options import PullPolicy
    from firkin.engine.staged_file import StageFormat
    from firkin.engine.staging import stage_to
    from firkin.engine.words import choice, size_bytes

    chosen: StageFormat = choice("format", form, StageFormat)
    policy: PullPolicy = choice("pull", pull, PullPolicy)
    disk_bytes = size_bytes("disk", disk)

    async def work(engine: Engine) -> Staged:
        with progress(quiet=quiet):
            return await stage_to(
                engine.settings, path, image,
                form=chosen, disk_bytes=disk_bytes, platform=platform, policy=policy, replace=force,
            )  # fmt: skip

    staged = with_engine(work)
    if not quiet:
        click.echo(_told(staged))


def _told(staged: Staged) -> str:
    from firkin.units import format_size

    over = "" if staged.base is None else f" over {staged.base.name}"
    return (
        f"{staged.path}: {staged.how}{over}, a disk of {format_size(staged.size_bytes)}, "
        f"{format_size(staged.written_bytes)} written in {staged.seconds:.3f} s"
    )
