"""Profiles in Docker's, podman's and the OCI's form: what holds for a process, and what is refused."""

from __future__ import annotations

import errno
import json
from typing import Any

import msgspec
import pytest

from firkin.errors import UsageError
from firkin.oci.seccomp import Chosen, ChosenRule, chosen, parse

ALLOW, DENY = 0x7FFF0000, 0x00050000 | errno.EPERM


def left(
    *syscalls: dict[str, Any], bounding: tuple[str, ...] = (), kernel: str = "6.1.0", **profile: Any
) -> Chosen:
    text = msgspec.json.encode({"defaultAction": "SCMP_ACT_ERRNO", **profile, "syscalls": syscalls}).decode()
    return chosen(parse(text), bounding=bounding, machine="x86_64", kernel=kernel)


def rule(*names: str, **more: Any) -> dict[str, Any]:
    return {"names": names, "action": "SCMP_ACT_ALLOW", **more}


def names(found: Chosen) -> list[str]:
    return [each.name for each in found.rules]


def test_a_rule_is_of_each_of_its_names() -> None:
    found = left(rule("read", "write"), {"name": "open", "action": "SCMP_ACT_ERRNO", "errnoRet": 2})
    assert found.default == DENY
    assert found.rules == (
        ChosenRule("read", ALLOW), ChosenRule("write", ALLOW), ChosenRule("open", 0x00050002),
    )  # fmt: skip


def test_what_a_rule_says_anew_of_the_default_is_left_out() -> None:
    assert left({"names": ["read"], "action": "SCMP_ACT_ERRNO"}).rules == ()
    assert names(left({"names": ["read"], "action": "SCMP_ACT_ERRNO"}, defaultErrnoRet=38)) == ["read"]


@pytest.mark.parametrize(
    ("condition", "bounding", "holds"),
    [
        ({"includes": {"caps": ["CAP_SYS_ADMIN"]}}, ("SYS_ADMIN",), True),
        ({"includes": {"caps": ["CAP_SYS_ADMIN"]}}, (), False),
        ({"includes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}}, ("BPF",), False),
        ({"excludes": {"caps": ["CAP_SYS_ADMIN", "CAP_BPF"]}}, ("BPF",), False),
        ({"excludes": {"caps": ["CAP_SYS_ADMIN"]}}, ("BPF",), True),
        ({"includes": {"arches": ["amd64", "x32"]}}, (), True),
        ({"includes": {"arches": ["arm64"]}}, (), False),
        ({"excludes": {"arches": ["amd64"]}}, (), False),
        ({"includes": {"minKernel": "4.8"}}, (), True),
        ({"includes": {"minKernel": "6.10"}}, (), False),
        ({"excludes": {"minKernel": "6.1"}}, (), False),
        ({"includes": {}, "excludes": {}}, (), True),
    ],
)
def test_conditions_are_dockers(condition: dict[str, Any], bounding: tuple[str, ...], holds: bool) -> None:
    assert bool(left(rule("bpf", **condition), bounding=bounding).rules) == holds


def test_tests_of_several_arguments_hold_together_and_of_one_each_alone() -> None:
    first, second = ({"index": index, "value": 1, "op": "SCMP_CMP_EQ"} for index in (0, 1))
    (both,) = left(rule("socket", args=[first, second])).rules
    assert both.arguments == ((0, 4, 1, 0), (1, 4, 1, 0))
    assert len(left(rule("socket", args=[first, {**first, "value": 2}])).rules) == 2


def test_the_machines_own_architecture_comes_first_and_its_others_behind() -> None:
    sub = {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]}
    other = {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}
    assert left(archMap=[other, sub]).architectures == ("x86_64", "x86", "x32")
    assert left(architectures=["SCMP_ARCH_X86_64"]).architectures == ("x86_64",)
    assert left().architectures == ("x86_64",)
    assert left(flags=["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"]).flags == 3


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"defaultAction": "SCMP_ACT_MAYBE"}, "defaultAction: 'SCMP_ACT_MAYBE' cannot be honoured"),
        ({"listenerPath": "/run/x"}, "unknown field `listenerPath`"),
        ({"flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}, "flags: .* cannot be honoured"),
        ({"syscalls": [{"action": "SCMP_ACT_ALLOW"}]}, r"syscalls\[0\] names no system call"),
        ({"defaultAction": 1}, r"\$.defaultAction"),
    ],
)
def test_a_profile_that_cannot_be_honoured_is_refused_by_its_place(change: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        parse(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", **change}))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"action": "SCMP_ACT_NOTIFY"}, r"syscalls\[0\].action: 'SCMP_ACT_NOTIFY' cannot be honoured"),
        ({"errnoRet": 5000}, r"syscalls\[0\].errnoRet is 5000"),
        ({"args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}, r"args\[0\].index"),
        ({"args": [{"index": 0, "value": 1 << 64, "op": "SCMP_CMP_EQ"}]}, "seccomp: "),
        ({"args": [{"index": 0, "value": 1, "op": "SCMP_CMP_IN"}]}, "'SCMP_CMP_IN' cannot be honoured"),
        ({"includes": {"minKernel": "new"}}, "minKernel 'new'"),
        ({"when": "always"}, "unknown field `when`"),
    ],
)
def test_a_rule_that_cannot_be_honoured_is_refused_by_its_place(change: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        parse(json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [rule("read", **change)]}))


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(UsageError, match="not a profile"):
        parse("{")
