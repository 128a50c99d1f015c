"""What a saved machine is on disk, and whether this host can run it.

    memory      the guest's memory, sparse, of its whole size; nobody writes to it any more
    state       QEMU's migration stream without that memory
    saved.json  SavedMachine

The rule: a guest goes on only under the program, the CPU and the devices that it knows, so every field is
compared before anything starts, and a difference is an error that names the field.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import msgspec

from firkin.decoder import json_decoder
from firkin.errors import Corrupt, Misfit, StorageFull
from firkin.linux.filesystem import is_tmpfs
from firkin.machine.artifacts import artifact, stamp
from firkin.machine.qemu.command import Accelerator
from firkin.machine.spec import NetworkMode

MEMORY, STATE, SAVED = "memory", "state", "saved.json"
_MAX_FILE_BYTES = 64 << 10
MAX_STATE_BYTES = 64 << 20
_VERSION_S = 10.0


class Part(msgspec.Struct, frozen=True):
    """A program of the machine: its version, for people, and the sha256 of its file."""

    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.version or 'of unknown version'} (sha256 {self.sha256[:12]})"


class SavedMachine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """saved.json. All but `state_*` must be the same where it is to run."""

    format: int = 1
    """Another one wherever a firkin gives its machines other devices, or the same with other properties."""
    accelerator: Accelerator
    cpu_model: str
    """As QEMU knows it; with "host" also which CPU that is."""
    cpus: int
    memory_bytes: int
    network: NetworkMode
    cards: int = 0
    """Of private networks."""
    ready: int = 0
    """In a template: how many of them its guest has from the boot on. In others they are as they were."""
    disks: int
    devices: tuple[str, ...] = ()
    """Beside those that every machine has."""
    qemu: Part
    kernel: Part
    agent: Part
    state_bytes: int = 0
    state_sha256: str = ""


class Saved(msgspec.Struct, frozen=True):
    """A saved machine on disk, whole in structure."""

    dir: Path
    machine: SavedMachine
    besides: tuple[str, ...] = ()
    """The fields in which this host may differ."""
    name: str = ""
    """What a person knows it by, such as `snapshot 'one'`; "": its directory."""
    otherwise: str = ""
    """What to do where it cannot go on here."""

    @property
    def memory_path(self) -> Path:
        return self.dir / MEMORY

    @property
    def state_path(self) -> Path:
        return self.dir / STATE


def load(directory: Path) -> Saved:
    """The saved machine in `directory`. Raises Corrupt where it is not whole."""
    try:
        record = _bounded(directory / SAVED, _MAX_FILE_BYTES)
        machine: SavedMachine = json_decoder(SavedMachine).decode(record)
        state = _bounded(directory / STATE, MAX_STATE_BYTES)
        memory_bytes = os.stat(directory / MEMORY).st_size
    except msgspec.DecodeError as error:
        raise Corrupt(f"{directory / SAVED} cannot be read: {error}", hint=_HINT) from error
    except OSError as error:
        raise Corrupt(f"what was saved in {directory} is not whole: {error}", hint=_HINT) from error
    if memory_bytes != machine.memory_bytes:
        raise Corrupt(
            f"{directory / MEMORY} has {memory_bytes} bytes, not {machine.memory_bytes}", hint=_HINT
        )
    if len(state) != machine.state_bytes or hashlib.sha256(state).hexdigest() != machine.state_sha256:
        raise Corrupt(f"{directory / STATE} is not what was saved", hint=_HINT)
    return Saved(directory, machine)


_HINT = "it was changed, or cut short; remove it: firkin snapshot rm"


def keep(directory: Path, machine: SavedMachine) -> Saved:
    """Put `machine` and the state beside it on record; the caller makes the directory appear. Raises
    OSError.
    """
    _take_room(directory / MEMORY, machine.memory_bytes)
    state = _bounded(directory / STATE, MAX_STATE_BYTES)
    machine = msgspec.structs.replace(
        machine, state_bytes=len(state), state_sha256=hashlib.sha256(state).hexdigest()
    )
    (directory / SAVED).write_bytes(msgspec.json.encode(machine))
    for name in (MEMORY, STATE, SAVED):
        os.chmod(directory / name, 0o400)
    return Saved(directory, machine)


def _take_room(memory_path: Path, size_bytes: int) -> None:
    """Let the memory take now, in a tmpfs, what it would take hole by hole, whenever a machine that starts
    from it touches one: full then, the tmpfs would end that machine by SIGBUS.
    """
    if is_tmpfs(memory_path):
        with open(memory_path, "r+b") as file:
            os.posix_fallocate(file.fileno(), 0, size_bytes)


def _bounded(path: Path, limit_bytes: int) -> bytes:
    with open(path, "rb") as file:
        data = file.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise OSError(f"{path} has more than {limit_bytes} bytes")
    return data


def free_bytes(directory: Path) -> int:
    """What an ordinary user may still write on its disk. Raises OSError."""
    stat = os.statvfs(directory)
    return stat.f_bavail * stat.f_frsize


def storage_full(directory: Path, what: str) -> StorageFull:
    """The error for `what` that should be saved there."""
    return StorageFull(
        f"no space left on the disk of {directory} for {what}: {free_bytes(directory) >> 20} MiB are left",
        hint="free some space: firkin snapshot rm, firkin rmi",
    )


def check_fit(saved: Saved, here: SavedMachine) -> None:
    """Raises Misfit with the first field in which what was saved differs from what this host would make;
    those in `saved.besides` may.
    """
    for field in SavedMachine.__struct_fields__:
        was, now = getattr(saved.machine, field), getattr(here, field)
        if not field.startswith("state_") and field not in saved.besides and not _same(was, now):
            raise Misfit(
                f"{saved.name or f'the machine saved in {saved.dir}'} cannot go on here: its "
                f"{_NAMES.get(field, field)} was {was}, and would be {now}",
                hint=saved.otherwise or "bring back what it was saved with",
            )


def _same(was: object, now: object) -> bool:
    """Whether two values of a field mean the same; a program is what its file holds, however it is called."""
    if isinstance(was, Part) and isinstance(now, Part):
        return was.sha256 == now.sha256
    return was == now


_NAMES = {"cpu_model": "CPU model", "memory_bytes": "memory", "cpus": "number of CPUs", "qemu": "QEMU"}


def sha256_of(path: Path, cache_dir: Path) -> str:
    """The digest of a program's file, remembered while the file stays as it is. Raises OSError."""

    def digest() -> bytes:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest().encode()

    return artifact(cache_dir, "sha256", (stamp(path),), digest).read_text()


def version_of(qemu: Path, cache_dir: Path) -> str:
    """What QEMU calls its version, remembered as sha256_of() is; "" where it does not say. Raises OSError."""

    def asked() -> bytes:
        import subprocess

        words = [str(qemu), "--version"]
        try:
            said = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_VERSION_S)
        except (subprocess.SubprocessError, OSError):
            return b""
        found = re.match(rb"QEMU emulator version ([!-~]{1,40})", said.stdout)
        return found[1] if found else b""

    return artifact(cache_dir, "version", (stamp(qemu),), asked).read_text()
