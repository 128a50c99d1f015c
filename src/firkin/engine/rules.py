"""Rules: what a RunOptions must keep whatever the image, checked before anything is pulled, made or started.

Each refusal names the field and the rule that it breaks.
"""

from __future__ import annotations

import os
import re

from firkin.container.spec import Bind
from firkin.engine.isolation_words import check_isolation
from firkin.engine.life_words import check_life
from firkin.engine.machine_words import check_machine
from firkin.engine.network_rules import check_network
from firkin.engine.options import RunOptions
from firkin.engine.owner_rules import check_owners
from firkin.engine.root_rules import check_root
from firkin.engine.socket_words import check_sockets
from firkin.engine.userns_words import check_userns
from firkin.errors import HostUnsupported, UsageError
from firkin.process.raw import raw, shown

MIN_MEMORY_BYTES = 64 << 20
MAX_MEMORY_BYTES = 4 << 40
MIN_DISK_BYTES = 16 << 20
MAX_MOUNTS = 64
_KERNELS = ("/proc/", "/sys/")
MAX_WORD_BYTES = 128 << 10  # execve(2): MAX_ARG_STRLEN
MAX_WORDS_BYTES = 512 << 10  # args and environment travel in one control message of 1 MiB
_GROUP = re.compile(r"[^\s:\0/]{1,256}")
_USER = re.compile(rf"{_GROUP.pattern}(:{_GROUP.pattern})?")


def check(options: RunOptions) -> None:
    """Refuse what is wrong. Raises UsageError, or HostUnsupported where a -v cannot be read."""
    check_network(options)
    check_life(options)
    check_machine(options)
    check_root(options)
    check_isolation(options)
    check_userns(options)
    check_user(options.user)
    check_groups(options.groups)
    check_workdir(options.workdir)
    _check_sizes(options)
    _check_mounts(options)
    check_owners(options)
    check_sockets(options.sockets)
    check_words((*(options.entrypoint or ()), *options.command, *options.env))


def check_user(user: str) -> None:
    if user and not _USER.fullmatch(user):
        raise UsageError(f"user: {user!r} is not a user", hint="write NAME, UID, NAME:GROUP or UID:GID")


def check_groups(groups: tuple[str, ...]) -> None:
    for group in groups:
        if not _GROUP.fullmatch(group):
            raise UsageError(f"groups: {group!r} is not a group", hint="write NAME or GID")


def check_workdir(workdir: str) -> None:
    if workdir and (not workdir.startswith("/") or "\0" in workdir or len(workdir) > 4095):
        raise UsageError(f"workdir: {workdir!r} is not an absolute path", hint="begin it with /")


def _check_sizes(options: RunOptions) -> None:
    memory, disk, timeout = options.memory_bytes, options.disk_bytes, options.stop_timeout_s
    if memory is not None and memory < MIN_MEMORY_BYTES:
        raise UsageError(
            f"memory: {memory} bytes are too few for a machine of its own",
            hint=f"the kernel needs some, too: give {MIN_MEMORY_BYTES >> 20}m or more",
        )
    if memory is not None and memory > MAX_MEMORY_BYTES:
        raise UsageError(f"memory: {memory} bytes are more than a machine can have", hint="give 4t or less")
    if disk is not None and disk < MIN_DISK_BYTES:
        raise UsageError(f"disk: {disk} bytes are too few", hint=f"give {MIN_DISK_BYTES >> 20}m or more")
    if options.shm_bytes is not None and options.shm_bytes <= 0:
        raise UsageError(f"shm_size: {options.shm_bytes} bytes are too few", hint="give 64k or more")
    if timeout is not None and timeout < 0:
        raise UsageError(f"stop_timeout: {timeout} is negative", hint="give seconds from 0")


def _check_mounts(options: RunOptions) -> None:
    targets = options.targets()
    for target in targets:
        if f"{target}/".startswith(_KERNELS):
            raise UsageError(
                f"volume: {target} is the kernel's own", hint="mount it elsewhere, such as below /mnt"
            )
        if targets.count(target) > 1:
            raise UsageError(f"volume: two mounts at {target}", hint="give each a place of its own")
    if len(targets) > MAX_MOUNTS:
        raise UsageError(f"volume: more than {MAX_MOUNTS} mounts", hint="mount a directory above them")
    for bind in options.binds:
        _check_source(bind)
        _check_below(bind, targets)


def _check_below(bind: Bind, targets: list[str]) -> None:
    """Nothing can be mounted in a file."""
    below = [each for each in targets if each.startswith(f"{bind.target}/")]
    if below and not os.path.isdir(bind.source):
        raise UsageError(
            f"volume: {below[0]} and {bind.target} overlap, and {bind.source} is a file",
            hint="give one of them another place",
        )


def _check_source(bind: Bind) -> None:
    """A missing directory is an error: one made in passing hides a typing mistake for weeks."""
    if not os.path.exists(bind.source):
        raise UsageError(
            f"volume: host path {bind.source} does not exist", hint="make it first, or mend the path"
        )
    if not (os.path.isdir(bind.source) or os.path.isfile(bind.source)):
        raise UsageError(
            f"volume: host path {bind.source} is neither a directory nor a file", hint="mount its directory"
        )
    if not os.access(bind.source, os.R_OK | (os.X_OK if os.path.isdir(bind.source) else 0)):
        raise HostUnsupported(
            f"volume: host path {bind.source} is not readable by you", hint="change its mode or owner"
        )


def check_words(words: tuple[str, ...]) -> None:
    total = 0
    for word in words:
        size = len(raw(word))
        if size >= MAX_WORD_BYTES or b"\0" in raw(word):
            raise UsageError(
                f"{shown(word)[:40]!r}... is longer than 128 KiB or holds a NUL byte",
                hint="pass it by a file",
            )
        total += size + 1
    if total > MAX_WORDS_BYTES:
        raise UsageError(
            f"command and environment have {total} bytes, more than 512 KiB", hint="pass them by a file"
        )
