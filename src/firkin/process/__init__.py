"""A process in a container: what to run, how to talk to it, how it ended."""

from firkin.process.output import Output, output
from firkin.process.protocol import ByteReceiver, ByteSender, Process
from firkin.process.spec import ExitStatus, ProcessSpec, TerminalSize

__all__ = [
    "ByteReceiver",
    "ByteSender",
    "ExitStatus",
    "Output",
    "Process",
    "ProcessSpec",
    "TerminalSize",
    "output",
]
