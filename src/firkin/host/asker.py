"""Asker: who asks, from where: the facts that every check may use."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

import msgspec

from firkin.errors import HostUnsupported
from firkin.host import reading
from firkin.host.mount_table import Mount, mounted
from firkin.settings import Settings

CONTAINER_TOOLS = ("podman", "buildah", "skopeo")
_ALSO = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where programs lie that a user's PATH need not name."""


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """`environ` is the environment that is judged. `status` are lines of proc_pid_status(5)."""

    uid: int = 1000
    gid: int = 1000
    groups: tuple[int, ...] = ()
    user: str = "user"
    environ: Mapping[str, str] = {}
    settings: Settings
    mounts: tuple[Mount, ...] = ()
    status: Mapping[str, str] = {}
    tools: tuple[str, ...] = ()
    """Which of CONTAINER_TOOLS are installed."""

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Asker:
        """This process. Raises UsageError where its settings cannot be read."""
        uid = os.geteuid()
        asker = cls(
            uid=uid,
            gid=os.getegid(),
            groups=tuple(os.getgroups()),
            user=_name(uid),
            environ=environ,
            settings=_settings(environ),
            mounts=mounted(),
            status=_status(),
        )
        tools = tuple(tool for tool in CONTAINER_TOOLS if asker.program(tool))
        return msgspec.structs.replace(asker, tools=tools)

    @property
    def home(self) -> Path:
        return Path(self.settings.home_dir)

    @property
    def config_home(self) -> Path:
        return Path(self.environ.get("XDG_CONFIG_HOME") or self.home / ".config")

    @property
    def data_home(self) -> Path:
        return Path(self.environ.get("XDG_DATA_HOME") or self.home / ".local" / "share")

    @property
    def no_new_privs(self) -> bool:
        return self.status.get("NoNewPrivs") == "1"

    @property
    def filtered(self) -> bool:
        """Whether a seccomp filter is on this process."""
        return self.status.get("Seccomp") == "2"

    @property
    def places(self) -> list[str]:
        """Where PATH looks for programs."""
        return self.environ.get("PATH", os.defpath).split(":")

    def program(self, name: str) -> str:
        """The path of an installed program, "" where there is none."""
        candidates = [name] if "/" in name else [f"{place or '.'}/{name}" for place in (*self.places, *_ALSO)]
        return next((each for each in candidates if os.path.isfile(each) and os.access(each, os.X_OK)), "")

    def mount_of(self, path: Path) -> Mount | None:
        """The mount that `path` lies in."""
        inside = os.path.realpath(path)
        covering = [
            mount
            for mount in self.mounts
            if inside == mount.target or inside.startswith(mount.target.rstrip("/") + "/")
        ]
        return max(covering, key=lambda mount: len(mount.target), default=None)


def _settings(environ: Mapping[str, str]) -> Settings:
    try:
        return Settings.load(environ)
    except HostUnsupported:  # the run directory is not ours: that is for its check to say
        return Settings.load(environ, run_dir=str(fallback_run_dir(environ)))


def fallback_run_dir(environ: Mapping[str, str]) -> Path:
    """Where firkin's sockets are without XDG_RUNTIME_DIR."""
    return Path(environ.get("TMPDIR") or "/tmp") / f"firkin-{os.geteuid()}"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _status() -> dict[str, str]:
    lines = (reading.text("/proc/self/status") or "").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
