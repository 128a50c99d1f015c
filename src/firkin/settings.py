"""What the user chose: the only reader of the environment and of config.toml.

Order, later wins: the defaults below, $XDG_CONFIG_HOME/firkin/config.toml (same names as the fields), the
FIRKIN_* variables, the caller's keyword arguments.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from firkin.errors import HostUnsupported, UsageError
from firkin.paths import Paths
from firkin.units import parse_size

Accelerator = Literal["auto", "kvm", "tcg"]
StorageDriver = Literal["auto", "overlay", "fuse-overlayfs", "copy"]
Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every setting and its default. Sizes in bytes, times in seconds."""

    data_dir: str
    run_dir: str
    config_dir: str
    home_dir: str
    kernel: str = ""
    """Path of a kernel (bzImage or vmlinux) to use, not a found one; its modules must be installed."""
    qemu: str = "qemu-system-x86_64"
    virtiofsd: str = ""
    accelerator: Accelerator = "auto"
    memory_bytes: int = 256 << 20
    cpus: int = 1
    disk_bytes: int = 10 << 30
    boot_timeout_s: Seconds = 60.0
    templates: Count = 8
    """How many templates are kept, of which machines are forked; 0: every machine boots a kernel."""
    templates_bytes: Count = 4 << 30
    """How much disk they may take."""
    storage_driver: StorageDriver = "auto"
    """How containers in namespaces get a root of their own; auto: overlay where a probe says it works."""
    insecure_registries: tuple[str, ...] = ()
    """host[:port] of registries that may be spoken to by plain HTTP, beside the loopback ones."""
    parallel_layers: int = 3
    registry_timeout_s: Seconds = 30.0
    auth_files: tuple[str, ...] = ()
    """Candidates for registry credentials, first match wins."""
    policy: str = ""
    """Path of the containers-policy.json(5) to obey; empty is the user's, else the system's."""
    require_policy: bool = False
    """Refuse where there is no policy at all."""
    platform: str = ""
    """os/arch[/variant] to choose from an index; empty is this host's."""

    @property
    def paths(self) -> Paths:
        return Paths(Path(self.data_dir), Path(self.run_dir))

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
        """Settings from the environment and the config file, with `overrides` on top.

        Raises UsageError, which names it, for an unknown or bad setting, HostUnsupported where no private run
        directory can be had.
        """
        env = os.environ if environ is None else environ
        home = Path(env.get("HOME") or os.path.expanduser("~"))
        config_dir = Path(env.get("XDG_CONFIG_HOME") or home / ".config") / "firkin"
        data_home = Path(env.get("XDG_DATA_HOME") or home / ".local" / "share")
        chosen: dict[str, Any] = {
            "data_dir": str(data_home / "firkin"),
            "config_dir": str(config_dir),
            "home_dir": str(home),
            "auth_files": _auth_files(env, home),
        }
        chosen |= _from_file(config_dir / "config.toml")
        chosen |= _from_environment(env)
        chosen |= overrides
        if "run_dir" not in chosen:
            chosen["run_dir"] = str(_run_dir(env))
        try:
            return msgspec.convert(chosen, cls, strict=False)
        except msgspec.ValidationError as error:
            given = {name for name in cls.__struct_fields__ if _variable(name) in env} - overrides.keys()
            raise _bad_setting(str(error), given) from error


def _auth_files(env: Mapping[str, str], home: Path) -> tuple[str, ...]:
    if explicit := env.get("REGISTRY_AUTH_FILE"):
        return (explicit,)
    config = Path(env.get("XDG_CONFIG_HOME") or home / ".config")
    docker = Path(env.get("DOCKER_CONFIG") or home / ".docker")
    runtime = env.get("XDG_RUNTIME_DIR")
    candidates = [Path(runtime) / "containers" / "auth.json"] if runtime else []
    candidates += [config / "containers" / "auth.json", docker / "config.json", home / ".dockercfg"]
    return tuple(map(str, candidates))


def _from_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}", hint="mend its mode, or remove it"
        ) from error
    import tomllib

    try:
        return _sizes(tomllib.loads(text.decode()), str)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot parse {path}: {error}", hint="mend it, or remove it") from error


def _from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    named = {name: env[_variable(name)] for name in Settings.__struct_fields__ if _variable(name) in env}
    lists = {
        name: tuple(filter(None, named[name].split(",")))
        for name in ("insecure_registries", "auth_files")
        if name in named
    }
    return _sizes(named | lists, _variable)


def _variable(name: str) -> str:
    return "FIRKIN_" + name.upper()


def _sizes(chosen: dict[str, Any], called: Callable[[str], str]) -> dict[str, Any]:
    """`chosen` with its sizes in bytes; a bad one is named as it is `called` where it stands."""
    sizes = {}
    for name, value in chosen.items():
        if name.endswith("_bytes") and isinstance(value, str):
            try:
                sizes[name] = parse_size(value)
            except UsageError as error:
                raise UsageError(f"bad setting {called(name)}: {error}", hint=error.hint) from error
    return chosen | sizes


def _bad_setting(complaint: str, variables: set[str]) -> UsageError:
    """The error for msgspec's complaint; `variables` are the settings that the environment decides."""
    reason, _, path = complaint.partition(" - at `$.")
    name = path.rstrip("`").partition("[")[0]
    called = _variable(name) if name in variables else name
    return UsageError(
        f"bad setting{' ' if called else ''}{called}: {reason}", hint="see docs/reference/settings.md"
    )


def _run_dir(env: Mapping[str, str]) -> Path:
    """$XDG_RUNTIME_DIR/firkin, or a private 0700 directory below the temporary one, made when missing."""
    if runtime := env.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "firkin"
    import tempfile

    path = Path(env.get("TMPDIR") or tempfile.gettempdir()) / f"firkin-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    stat = path.lstat()
    if path.is_symlink() or stat.st_uid != os.getuid() or stat.st_mode & 0o077:
        from firkin.faults.files import RUNTIME_FOREIGN

        raise HostUnsupported(
            f"run directory {path} is not a private directory of uid {os.getuid()}",
            hint=f"remove it, or {RUNTIME_FOREIGN.hint()}",
        )
    return path
