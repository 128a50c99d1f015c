"""The flags of `firkin run` that are about its machine, beyond its size. Docker has none of them."""

from __future__ import annotations

from functools import partial

import click

from firkin.cli.sections import Headed

_machine = partial(click.option, cls=Headed, heading="The machine")

MACHINE_FLAGS = (
    _machine("--kernel", default="", metavar="FILE", help="Boot this kernel, whose modules are here."),
    _machine("--initramfs", default="", metavar="FILE",
             help="Let the kernel unpack this archive, too, before firkin's."),
    _machine("--kernel-arg", "kernel_args", multiple=True, metavar="WORD",
             help="Put it on the kernel's command line."),
    _machine("--boot-log", default="", metavar="FILE|-",
             help="Write all that the console says to a file, or to standard error."),
    _machine("--entropy", is_flag=True, help="Give it a random number generator, fed by this host."),
    _machine("--balloon", is_flag=True, help="Give memory that it has freed back to this host."),
    _machine("--hugepages", is_flag=True, help="Take its memory from this host's huge pages."),
    _machine("--nested", is_flag=True, help="Let it run machines of its own, where it has KVM."),
)  # fmt: skip
