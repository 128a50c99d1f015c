"""Run the `firkin` command as a user would type it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

FIRKIN = (str(Path(sys.executable).with_name("firkin")),)
"""The installed command beside the interpreter that runs the tests."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it said."""

    status: int
    stdout: str
    stderr: str

    def __str__(self) -> str:
        return f"status {self.status}\n--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


@dataclass(frozen=True, slots=True)
class Command:
    """`command("ps", "-a")` runs `program ps -a` in `cwd` with `environ` and waits for its end."""

    program: Sequence[str]
    environ: Mapping[str, str]
    cwd: Path
    user: int | None = None
    group: int | None = None

    def __call__(
        self,
        *args: str,
        input: str | bytes = b"",
        timeout_s: float = 120.0,
        check: bool = False,
        **variables: str,
    ) -> Ended:
        """Fails when `check` is set and the status is not 0. What is not UTF-8 is shown with escapes."""
        ended = subprocess.run(
            [*self.program, *args],
            input=input.encode() if isinstance(input, str) else input,
            capture_output=True,
            cwd=self.cwd,
            env={**self.environ, **variables},
            user=self.user,
            group=self.group,
            extra_groups=None if self.user is None else [],
            timeout=timeout_s,
        )
        result = Ended(ended.returncode, _text(ended.stdout), _text(ended.stderr))
        assert not check or result.status == 0, f"{' '.join(args)}: {result}"
        return result


def _text(output: bytes) -> str:
    return output.decode(errors="backslashreplace")
