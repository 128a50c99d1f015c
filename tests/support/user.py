"""A user without rights, who can read no checkout of ours: what works for him works for anybody."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from firkin.pytest import leaks
from firkin.pytest.command import Command
from firkin.pytest.home import Home, fresh_home


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may run things. `binaries` holds his python and his firkin."""

    uid: int
    gid: int
    home: Home
    binaries: Path

    def command(self, program: str) -> Command:
        """`program` (a name on PATH, or one of `binaries`) as this user."""
        path = f"{self.binaries}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        found = shutil.which(program, path=path) or program
        mine = self.uid == os.geteuid()
        environ = self.home.environ() | {"PATH": path, "USER": pwd.getpwuid(self.uid).pw_name}
        return Command(
            (found,), environ, self.home.work_dir, None if mine else self.uid, None if mine else self.gid
        )

    @property
    def firkin(self) -> Command:
        return self.command("firkin")


@contextmanager
def unprivileged_user(binaries: Path) -> Iterator[User]:
    """A new user with subordinate ids who finds firkin in `binaries`, gone again at the end; without root,
    the one who runs the tests.
    """
    if os.geteuid() != 0:
        with fresh_home() as home:
            yield User(os.getuid(), os.getgid(), home, binaries)
            leaks.dismiss_supervisor(str(home.root))
        return
    name = f"fk{os.getpid()}"
    _root("useradd", "--no-create-home", "--shell", "/bin/sh", name)
    try:
        entry = pwd.getpwnam(name)
        with fresh_home((entry.pw_uid, entry.pw_gid)) as home:
            _root("usermod", "--home", str(home.root / "home"), name)
            yield User(entry.pw_uid, entry.pw_gid, home, binaries)
            leaks.dismiss_supervisor(str(home.root))
            leaks.end_leftovers(str(home.root))
    finally:
        _root("userdel", "--force", name)


def _root(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
