"""Policy: whether there is a policy.json, and whether it is understood."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from firkin.errors import UsageError
from firkin.faults import images
from firkin.faults.fault import Finding
from firkin.host import reading
from firkin.host.asker import Asker
from firkin.trust.policy_file import MAX_POLICY_BYTES, SYSTEM_PATH, parse_policy


class Facts(msgspec.Struct, frozen=True):
    """`path` is the one that counts, "" without one."""

    path: str = str(SYSTEM_PATH)
    problem: str = ""


def gather(asker: Asker) -> Facts:
    named = asker.settings.policy
    usual = [asker.home / ".config/containers/policy.json", SYSTEM_PATH]
    path = next(
        (each for each in ([Path(named)] if named else usual) if each.is_symlink() or each.exists()), None
    )
    if path is None:
        return Facts("")
    content = reading.content(path, MAX_POLICY_BYTES + 1)
    if content is None:
        return Facts(str(path), f"cannot read {path}")
    try:
        parse_policy(content, str(path))
    except UsageError as error:
        return Facts(str(path), str(error))
    return Facts(str(path))


def check(asker: Asker, facts: Facts) -> Iterator[Finding]:
    if not facts.path:
        yield images.POLICY_MISSING.found()
    elif facts.problem:
        yield images.POLICY_MALFORMED.found(facts.problem, path=facts.path)
