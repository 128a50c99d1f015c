"""What `firkin version` says. It imports next to nothing, because scripts ask for it often."""

from __future__ import annotations

import os
import sys

from firkin import __version__


def version_facts() -> dict[str, str]:
    """The facts, with Docker's names."""
    system = os.uname()
    return {
        "Version": __version__,
        "Python": ".".join(map(str, sys.version_info[:3])),
        "Os": system.sysname.lower(),
        "Arch": system.machine,
        "KernelVersion": system.release,
    }


def version_lines() -> str:
    """The facts for people."""
    facts = version_facts()
    host = f"{facts['Os']} {facts['KernelVersion']} {facts['Arch']}"
    return f"firkin  {facts['Version']}\nPython  {facts['Python']}\nhost    {host}\n"
