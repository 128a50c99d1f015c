"""The initramfs of a machine: the guest agent as /init, and the kernel modules that this machine needs.

    /init           the agent
    /modules/*.ko   plain, unsigned
    /modules.list   the names of those that the agent loads at once, one a line, in that order
    /translators    where the image is for another architecture: see machine.translator

The rule: only what is needed before the first byte; each further module costs every boot.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from firkin.errors import HostUnsupported
from firkin.machine.artifacts import artifact, stamp
from firkin.machine.kernel import Kernel
from firkin.machine.knobs import Knobs

if TYPE_CHECKING:
    from firkin.machine.cpio import Entry

_FORMAT = "2"
_ALIGNMENT = 512
"""Where an archive may follow another (4 would do, for init/initramfs.c)."""

_BASE = ("virtio_mmio", "virtio_blk", "virtio_console", "ext4")
_NETWORK = ("virtio_net",)
_SHARES = ("virtiofs",)
_OPTIONAL = ("crc32c_generic",)
"""ext4 asks for crc32c by a name that modules.dep does not know (a soft dependency)."""

_DEVICES = {"entropy": "virtio_rng", "balloon": "virtio_balloon"}

_ON_DEMAND = ("overlay",)
"""What the agent loads when a pod asks for it."""

_TRANSLATION = ("binfmt_misc",)

EVERY = (*_BASE, *_NETWORK, *_SHARES, *_OPTIONAL, *_ON_DEMAND, *_TRANSLATION)
"""All that any machine may ask of a kernel."""


class Contents(msgspec.Struct, frozen=True):
    """What goes in: the agent, the kernel whose modules they are, and which of them."""

    agent: Path
    kernel: Kernel
    network: bool
    shares: bool
    knobs: Knobs = Knobs()

    @property
    def wanted(self) -> tuple[str, ...]:
        return (
            *_BASE,
            *(_NETWORK if self.network else ()),
            *(_SHARES if self.shares else ()),
            *(_DEVICES[device] for device in self.knobs.devices),
            *(_TRANSLATION if self.knobs.translated else ()),
            *_nested(self.knobs),
        )

    @property
    def translator(self) -> Path | None:
        """The emulator for programs of another architecture. Raises HostUnsupported, UsageError."""
        if not self.knobs.translated:
            return None
        from firkin.machine.translator import find

        return find(self.knobs.translated)

    @property
    def further(self) -> Path | None:
        """The user's own archive, which comes first, so that ours has the last word; and an early archive of
        ACPI tables or microcode has to."""
        return Path(self.knobs.initramfs) if self.knobs.initramfs else None


def _nested(knobs: Knobs) -> tuple[str, ...]:
    if not knobs.nested:
        return ()
    from firkin.machine.knob_checks import nested_module

    return (nested_module(),)


def agent_path() -> Path:
    """The guest agent that this firkin carries. Raises HostUnsupported where the package was built without
    it.
    """
    path = Path(__file__).with_name("data") / "agent"
    if not path.is_file():
        raise HostUnsupported(
            f"the guest agent is not in this installation of firkin ({path})",
            hint="in a checkout, build it: python hatch_build.py (needs gcc)",
        )
    return path


def initramfs_path(contents: Contents, cache_dir: Path) -> Path:
    """The archive as a file in the cache, written there when it is new. Raises HostUnsupported, Corrupt,
    OSError.
    """
    dep_path = contents.kernel.modules_dir / "modules.dep"
    inputs = (_FORMAT, stamp(contents.agent), stamp(dep_path), *contents.wanted)
    if (emulator := contents.translator) is not None:
        inputs = (*inputs, contents.knobs.translated, stamp(emulator))
    if contents.further is not None:
        inputs = (*inputs, stamp(contents.further))
    return artifact(cache_dir, "initramfs", inputs, lambda: build(contents))


def build(contents: Contents) -> bytes:
    """The archive. Raises HostUnsupported, Corrupt, OSError."""
    from firkin.machine import cpio

    further = b"" if contents.further is None else contents.further.read_bytes()
    padding = bytes(-len(further) % _ALIGNMENT)
    return further + padding + cpio.archive(_entries(contents))


def _entries(contents: Contents) -> Iterator[Entry]:
    from firkin.machine import cpio, modules

    modules_dir = contents.kernel.modules_dir
    order = modules.load_order(modules_dir, contents.wanted, optional=_OPTIONAL)
    later = modules.load_order(modules_dir, (), optional=_ON_DEMAND)
    yield from map(cpio.directory, ("dev", "proc", "sys", "modules"))
    yield cpio.file("init", contents.agent.read_bytes(), 0o755)
    yield cpio.file("modules.list", "".join(f"{module.name}\n" for module in order).encode())
    for module in dict.fromkeys((*order, *later)):
        yield cpio.file(f"modules/{module.name}.ko", modules.read_module(module))
    if (emulator := contents.translator) is not None:
        from firkin.machine.translator import listed

        architecture = contents.knobs.translated
        yield cpio.directory("translators")
        yield cpio.file(f"translators/{architecture}", emulator.read_bytes(), 0o755)
        yield cpio.file("translators.list", listed((architecture,)))
