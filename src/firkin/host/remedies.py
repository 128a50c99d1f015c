"""Remedies: what `firkin setup` would do on this host, as data: files to write, commands for root, the rest.

The rule: a file that is there is a person's, unless it is as we wrote it, and stays; the plan says how it
differs.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Container, Iterator, Sequence
from difflib import unified_diff
from pathlib import Path

import msgspec

from firkin.faults import files, images
from firkin.faults.fault import Finding
from firkin.host import podman_storage, reading, registries, units
from firkin.host.asker import Asker
from firkin.host.shells import BASH, FISH, ZSH

BY_ROOT = frozenset({
    "qemu-missing", "virtiofsd-missing", "emulator-missing", "kvm-denied", "certificates-missing",
    "userns-limited", "userns-sysctl", "userns-apparmor", "subids-missing", "subids-small", "idmap-missing",
    "idmap-powerless", "cgroups-controllers", "network-helper-missing", "pasta-missing", "netavark-iptables",
    "tun-unusable", "fuse-unusable", "ping-range", "inotify-few",
})  # fmt: skip
"""Findings whose first command may be run without a second look."""
BY_USER = frozenset({
    "kernel-missing", "kernel-unreadable", "kernel-modules", "runtime-open", "credentials-open",
})  # fmt: skip
"""Findings whose first command needs no root, and takes nothing away from anybody who should have it."""

_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}\n'
_REGISTRIES = 'unqualified-search-registries = ["docker.io"]\n'
_STORAGE = '[storage]\ndriver = "overlay"\n'


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
    """`files` are written, `differing` are there already; `own` are commands for this user, `commands` need
    root, `by_hand` a person.
    """

    files: tuple[File, ...] = ()
    differing: tuple[File, ...] = ()
    own: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    by_hand: tuple[Finding, ...] = ()


def plan(
    asker: Asker, findings: Sequence[Finding], *, systemd: bool, ours: Container[str] = frozenset()
) -> Plan:
    """What to do about `findings`; where `systemd` runs, its user's unit too. Files at `ours` are our own."""
    wanted = [*_confs(asker, findings), *_completions(asker)]
    own = [each.fix[0] for each in findings if each.id in BY_USER]
    commands = [each.fix[0] for each in findings if each.id in BY_ROOT]
    if systemd and asker.uid != 0:
        wanted += _units(asker)
        if not os.path.exists(f"/var/lib/systemd/linger/{asker.user}"):
            commands.append(f"sudo loginctl enable-linger {shlex.quote(asker.user)}")
    wanted = [file for file in wanted if file.there() != file.text]
    new = tuple(file for file in wanted if file.there() is None or file.path in ours)
    settled = BY_ROOT | BY_USER | {file.purpose for file in new}
    return Plan(
        files=new,
        differing=tuple(file for file in wanted if file not in new),
        own=tuple(dict.fromkeys(own)),
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
    """For bash, and for the others where they are used."""
    bash = asker.data_home / "bash-completion/completions/firkin"
    yield File(path=str(bash), text=BASH, purpose="completion in bash")
    if any((asker.home / name).exists() for name in (".zshrc", ".zshenv", ".zprofile")):
        place = asker.data_home / "zsh/site-functions"
        purpose = f"completion in zsh, once ~/.zshrc says fpath+=({shlex.quote(str(place))}) before compinit"
        yield File(path=str(place / "_firkin"), text=ZSH, purpose=purpose)
    if (asker.config_home / "fish").is_dir():
        fish = asker.config_home / "fish/completions/firkin.fish"
        yield File(path=str(fish), text=FISH, purpose="completion in fish")


def _units(asker: Asker) -> Iterator[File]:
    """The units of this user's, and their places among what is started."""
    place = asker.config_home / "systemd/user"
    purpose = "the supervisor starts when it is asked for, and after a reboot"
    for name, text, target in units.units(asker.settings):
        yield File(path=str(place / name), text=text, purpose=purpose)
        wants = place / f"{target}.wants" / name
        yield File(path=str(wants), text=f"../{name}", purpose=purpose, link=True)
