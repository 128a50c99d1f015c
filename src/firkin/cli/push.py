"""`firkin push`: images and snapshots to a registry."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from firkin.cli.options import platform_option
from firkin.errors import UsageError

if TYPE_CHECKING:
    from firkin.engine.engine import Engine
    from firkin.events import Event
    from firkin.trust.key import PrivateKey

_MAX_PASSPHRASE_BYTES = 4096


@click.command()
@click.option("-q", "--quiet", is_flag=True, help="Show no progress, and print only the full name.")
@click.option(
    "--sign-by-sigstore-private-key",
    "key_file",
    default="",
    metavar="FILE",
    help="Sign it with this private key, as cosign and podman do.",
)
@click.option(
    "--sign-passphrase-file",
    "passphrase_file",
    default="",
    metavar="FILE",
    help="The key's passphrase; without it, it is asked for.",
)
@platform_option
@click.argument("name", metavar="IMAGE|SNAPSHOT")
@click.argument("destination", default="", metavar="[DESTINATION]")
def command(
    quiet: bool, key_file: str, passphrase_file: str, platform: str, name: str, destination: str
) -> None:
    """Send an image or a snapshot to a registry.

    DESTINATION is its name there, such as registry.example/team/app:1; without it, IMAGE is. What the
    registry has already is not sent again, and what was cut off goes on where it stopped. Of a name for
    several platforms all are pushed if all are here, else this host's. Progress goes to standard error; the
    tag, its digest and the size of its manifest go to standard output.

    \b
    firkin push mine:1 registry.example/mine:1
    """
    from firkin.cli.progress import progress
    from firkin.cli.session import with_engine
    from firkin.events import subscribed

    key = _key(key_file, passphrase_file) if key_file else None

    async def push(engine: Engine) -> str:
        with subscribed(_say_partial), progress(quiet=quiet):
            pushed = await engine.push(name, destination, platform=platform, key=key)
        tag = pushed.reference.rpartition(":")[2]
        return pushed.reference if quiet else f"{tag}: digest: {pushed.digest} size: {pushed.size_bytes}"

    click.echo(with_engine(push))


def _key(path: str, passphrase_file: str) -> PrivateKey:
    from firkin.trust.sign import load_private_key

    return load_private_key(path, lambda: _passphrase(path, passphrase_file))


def _passphrase(path: str, passphrase_file: str) -> bytes:
    if passphrase_file:
        try:
            with open(passphrase_file, "rb") as file:
                return file.read(_MAX_PASSPHRASE_BYTES).rstrip(b"\r\n")
        except OSError as error:
            raise UsageError(f"cannot read {passphrase_file}: {error.strerror}") from error
    if not sys.stdin.isatty():
        raise UsageError(f"the private key {path} has a passphrase", hint="name it by --sign-passphrase-file")
    return str(click.prompt("Passphrase of the key", hide_input=True, err=True)).encode()


def _say_partial(event: Event) -> None:
    from firkin.cli.report import say

    if event.name == "push.partial":
        say(
            f"pushing one platform's image only: {event.fields['absent']} not here",
            hint="pull the others with --platform to push them all under one name",
        )
