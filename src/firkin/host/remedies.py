"""Remedies: what `firkin setup` would do on this host, as data: files to write, commands for root, the rest.

The rule: a file that is there is a person's, unless it is as we wrote it, and stays; the plan says how it
differs.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Container, Iterator, Sequence
from difflib import unified_diff
from pathlib import Path

import msgspec

from firkin.faults import files, images
from firkin.faults.fault import Finding
from firkin.host import podman_storage, reading, registries
from firkin.host.asker import Asker

BY_ROOT = frozenset({
    "qemu-missing", "virtiofsd-missing", "kvm-denied", "certificates-missing", "userns-limited",
    "userns-sysctl", "userns-apparmor", "subids-missing", "subids-small", "idmap-missing", "idmap-powerless",
    "cgroups-controllers", "network-helper-missing", "netavark-iptables", "tun-unusable", "fuse-unusable",
    "ping-range", "inotify-few",
})  # fmt: skip
"""Findings whose first command may be run without a second look."""

_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}\n'
_REGISTRIES = 'unqualified-search-registries = ["docker.io"]\n'
_STORAGE = '[storage]\ndriver = "overlay"\n'
_BASH = 'eval "$(_FIRKIN_COMPLETE=bash_source firkin)"\n'
_FISH = "_FIRKIN_COMPLETE=fish_source firkin | source\n"
_SERVICE = """\
[Unit]
Description=Containers of firkin that restart by themselves

[Service]
Type=forking
ExecStart={command}
Restart=on-failure
# machines outlive their supervisor, and the next one takes them over
KillMode=process

[Install]
WantedBy=default.target
"""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file to write, or a link to `text`, and what for: a finding's id, or words."""

    path: str
    text: str
    purpose: str
    link: bool = False

    def there(self) -> str | None:
        """What is at its path now; None where nothing is."""
        if not os.path.lexists(self.path):
            return None
        return os.readlink(self.path) if os.path.islink(self.path) else reading.text(self.path) or ""

    def difference(self) -> str:
        """Between what is there and what would be written, for a person."""
        now = (self.there() or "").splitlines(keepends=True)
        return "".join(unified_diff(now, self.text.splitlines(keepends=True), self.path, "proposed"))


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`files` are written, `differing` are there already; `commands` need root, `by_hand` a person."""

    files: tuple[File, ...] = ()
    differing: tuple[File, ...] = ()
    commands: tuple[str, ...] = ()
    by_hand: tuple[Finding, ...] = ()


def plan(
    asker: Asker, findings: Sequence[Finding], *, systemd: bool, ours: Container[str] = frozenset()
) -> Plan:
    """What to do about `findings`; where `systemd` runs, its user's unit too. Files at `ours` are our own."""
    wanted = [*_confs(asker, findings), *_completions(asker)]
    commands = [each.fix[0] for each in findings if each.id in BY_ROOT]
    if systemd and asker.uid != 0:
        wanted += _unit(asker)
        if not os.path.exists(f"/var/lib/systemd/linger/{asker.user}"):
            commands.append(f"sudo loginctl enable-linger {shlex.quote(asker.user)}")
    wanted = [file for file in wanted if file.there() != file.text]
    new = tuple(file for file in wanted if file.there() is None or file.path in ours)
    settled = BY_ROOT | {file.purpose for file in new}
    return Plan(
        files=new,
        differing=tuple(file for file in wanted if file not in new),
        commands=tuple(dict.fromkeys(commands)),
        by_hand=tuple(each for each in findings if each.id not in settled and each.severity != "note"),
    )


def _confs(asker: Asker, findings: Sequence[Finding]) -> Iterator[File]:
    """The files that podman, buildah and skopeo want, where one of them is here."""
    found = {each.id for each in findings} if asker.tools else set()
    root = asker.uid == 0
    home = Path("/etc/containers") if root else asker.config_home / "containers"
    if images.POLICY_MISSING.id in found and not asker.settings.require_policy:
        place = home if root else asker.home / ".config/containers"  # whatever XDG_CONFIG_HOME says
        yield File(path=str(place / "policy.json"), text=_POLICY, purpose=images.POLICY_MISSING.id)
    if images.REGISTRIES_MISSING.id in found and _may_say(asker, home):
        purpose = images.REGISTRIES_MISSING.id
        conf = home / "registries.conf"
        place = Path(f"{conf}.d/50-firkin.conf") if conf.exists() else conf
        yield File(path=str(place), text=_REGISTRIES, purpose=purpose)
    if files.STORAGE_VFS.id in found and not podman_storage.gather(asker).stored:
        yield File(path=str(home / "storage.conf"), text=_STORAGE, purpose=files.STORAGE_VFS.id)


def _may_say(asker: Asker, home: Path) -> bool:
    """Whether a registries.conf of `home` hides nothing: the one that counts is there, or only comments."""
    conf = registries.conf_path(asker)
    lines = (reading.text(conf) or "").splitlines()
    return conf.parent == home or not any(
        line.strip() and not line.lstrip().startswith("#") for line in lines
    )


def _completions(asker: Asker) -> Iterator[File]:
    bash = asker.data_home / "bash-completion/completions/firkin"
    yield File(path=str(bash), text=_BASH, purpose="completion in bash")
    if (asker.config_home / "fish").is_dir():
        fish = asker.config_home / "fish/completions/firkin.fish"
        yield File(path=str(fish), text=_FISH, purpose="completion in fish")


def _unit(asker: Asker) -> Iterator[File]:
    """A user's service that owns what is to run again after a reboot, and its place among what is started."""
    units = asker.config_home / "systemd/user"
    words = [sys.executable, "-m", "firkin.supervisor", asker.settings.data_dir, asker.settings.run_dir]
    command = " ".join(_systemd_word(word) for word in words)
    purpose = "containers start again after a reboot"
    yield File(path=str(units / "firkin.service"), text=_SERVICE.format(command=command), purpose=purpose)
    wants = units / "default.target.wants/firkin.service"
    yield File(path=str(wants), text="../firkin.service", purpose=purpose, link=True)


def _systemd_word(word: str) -> str:
    """Quoted for ExecStart= (systemd.service(5)): % and $ are its own."""
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{word}"' if " " in word or "\t" in word else word
