"""Compiles the guest agent into the package: hatchling's build hook, and `python hatch_build.py` by hand.

The rule: the agent is one static binary, built from guest/*.c by the C compiler alone, so that a wheel
carries it and whoever installs the wheel needs no compiler. It is compiled again only when something that
it is made of changed, and takes its place by a rename.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent
SOURCES = ROOT / "guest"
AGENT = ROOT / "src" / "firkin" / "machine" / "data" / "agent"

COMPILE = (
    *("-std=gnu17", "-D_GNU_SOURCE", "-O2", "-pipe", "-fPIE", "-Wall", "-Wextra", "-Werror"),
    *("-D_FORTIFY_SOURCE=2", "-fstack-protector-strong", "-fstack-clash-protection"),
    *("-fno-strict-aliasing", "-ffunction-sections", "-fdata-sections"),
)
LINK = ("-static-pie", "-s", "-Wl,-z,relro,-z,now,-z,noexecstack,--gc-sections")


def sources() -> list[Path]:
    """The C files that the agent is made of."""
    return sorted(SOURCES.glob("*.c"))


def command(output: Path) -> list[str]:
    """The compiler's command line."""
    compiler = os.environ.get("CC", "gcc")
    return [compiler, *COMPILE, *map(str, sources()), *LINK, "-o", str(output)]


def fingerprint() -> str:
    """A digest of everything that the binary depends on."""
    digest = hashlib.sha256(" ".join(command(AGENT)).encode())
    for path in sorted(SOURCES.glob("*.[ch]")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def build_agent() -> bool:
    """Build the agent where it is missing or stale; returns whether it was.

    Raises CalledProcessError, OSError.
    """
    stamp = AGENT.with_name("agent.stamp")
    wanted = fingerprint()
    if AGENT.is_file() and stamp.is_file() and stamp.read_text() == wanted:
        return False
    AGENT.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=AGENT.parent, prefix=".agent-") as scratch:
        fresh = Path(scratch) / "agent"
        subprocess.run(command(fresh), check=True)
        fresh.chmod(0o755)
        # The stamp goes first: a crash in between leaves an old agent without one, which is built again.
        stamp.unlink(missing_ok=True)
        fresh.replace(AGENT)
    stamp.write_text(wanted)
    return True


def wheel_tag() -> str:
    """The agent runs on the machine's processor, whatever Python is there."""
    return f"py3-none-linux_{platform.machine()}"


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand, where hatchling is not needed
    pass
else:

    class AgentBuildHook(BuildHookInterface[Any]):
        """Builds the agent before a wheel is packed, or before an editable install points here."""

        PLUGIN_NAME = "custom"

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:
            build_agent()
            build_data["pure_python"] = False
            build_data["tag"] = wheel_tag()


def main() -> int:
    try:
        built = build_agent()
    except FileNotFoundError as error:
        print(f"hatch_build.py: no C compiler ({error.filename}); install gcc", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print("hatch_build.py: the guest agent does not compile", file=sys.stderr)
        return error.returncode
    if built:
        print(f"built {AGENT.relative_to(ROOT)} ({AGENT.stat().st_size} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
