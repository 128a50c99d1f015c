"""Knobs: what a machine is told beyond its size, each of which reaches its configuration as it was given.

The rule: what cannot be honoured is refused before anything starts, and what a template cannot hold, or what
cannot be saved, is said here with its reason.
"""

from __future__ import annotations

import re

import msgspec

from firkin.errors import UsageError
from firkin.settings import Settings

MAX_ARGS = 32
MAX_ARGS_BYTES = 1024
"""The kernel's line has 2048 bytes (COMMAND_LINE_SIZE), and ours some 400 of them."""
_ARG = re.compile(r"[!#-~]+")
_OURS = {
    "console": "the console's port is the machine's: --boot-log shows what is said there",
    "init": "the guest agent is the first program",
    "rdinit": "the guest agent is the first program",
    "root": "the guest agent mounts what a container needs",
    "initrd": "a further initramfs is given with --initramfs",
    "noinitrd": "the guest agent comes in the initramfs",
    "mem": "a machine's size is said with --memory",
    "memmap": "a machine's size is said with --memory",
    "maxcpus": "a machine's processors are said with --cpus",
    "nr_cpus": "a machine's processors are said with --cpus",
    "panic": "a machine that panics ends",
    "reboot": "a machine that restarts ends",
    "nosmp": "no machine here boots with it",
    "noapic": "no machine here boots with it",
    "nolapic": "no machine here boots with it",
    "nolapic_timer": "the machine would have no timer",
    "acpi": "the machine's devices are found by ACPI",
}
"""Words that are not to be had, and why."""


class Knobs(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for. Paths are absolute."""

    kernel: str = ""
    """"": the one that the settings, or firkin, choose."""
    initramfs: str = ""
    """An archive that the kernel unpacks before ours, so that nothing of ours can be replaced by it."""
    kernel_args: tuple[str, ...] = ()
    boot_log: str = ""
    """A file that takes all that the console says; `-`: standard error of whoever owns the machine."""
    nested: bool = False
    """Whether the guest may run machines of its own, with this host's KVM."""
    hugepages: bool = False
    entropy: bool = False
    """A random number generator as a device, fed by this host."""
    balloon: bool = False
    """A memory balloon; and pages that the guest has freed go back to the host by themselves."""
    translated: str = ""
    """The architecture, other than the machine's, whose programs run by machine.translator: not asked for,
    but that of the image.
    """

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that a machine has for them, which is what a saved one must find again."""
        return tuple(name for name in ("entropy", "balloon") if getattr(self, name))

    @property
    def why_cold(self) -> str:
        """Why no template can hold them; "" where one can."""
        own = self.kernel or self.initramfs or self.kernel_args
        reasons = {
            "its kernel, or what that is told, is its own": bool(own),
            "its boot is to be logged": bool(self.boot_log),
            "its memory is of huge pages": self.hugepages,
            "its memory goes back to the host, and a template's file cannot": self.balloon,
            "it has nested machines": self.nested,
        }
        return next((reason for reason, holds in reasons.items() if holds), "")

    @property
    def why_unsaveable(self) -> str:
        """Why the memory of such a machine cannot be kept; "" where it can."""
        reasons = {
            "its memory is of huge pages, which a file is not": self.hugepages,
            "its memory goes back to the host, which that of a file cannot": self.balloon,
            "the machines in it are this host's": self.nested,
        }
        return next((reason for reason, holds in reasons.items() if holds), "")

    def chosen(self, settings: Settings) -> Settings:
        """`settings` with the kernel that is to boot."""
        return msgspec.structs.replace(settings, kernel=self.kernel) if self.kernel else settings


PLAIN = Knobs()
"""Nothing was asked for."""


def check_kernel_args(args: tuple[str, ...]) -> None:
    """Refuse words that a kernel's line cannot carry, or that would break the machine. Raises UsageError."""
    for arg in args:
        if not _ARG.fullmatch(arg) or arg == "--":
            raise UsageError(
                f"kernel_arg: {arg!r} is not one word of a kernel's command line",
                hint="give each word by itself, printable, without spaces and quotes: loglevel=7",
            )
        name = arg.partition("=")[0].replace("-", "_")
        if reason := _OURS.get(name):
            raise UsageError(f"kernel_arg: {arg!r} cannot be given: {reason}", hint="leave it out")
    if len(args) > MAX_ARGS or sum(len(arg) + 1 for arg in args) > MAX_ARGS_BYTES:
        raise UsageError(
            f"kernel_arg: more than {MAX_ARGS} words, or {MAX_ARGS_BYTES} bytes",
            hint="the kernel's command line is short",
        )
