"""Seccomp profiles: `linux.seccomp` of the OCI runtime spec, and the files of Docker and podman, as values.

Docker's files add conditions (capabilities, architectures, a kernel) to rules. `chosen` leaves what holds for
one process: a list of rules that a compiler of filters can take. The rule: nothing is passed over in silence.
What is not known here, or needs somebody who answers, is an error that names its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any

import msgspec

from firkin.errors import UsageError

U32 = Annotated[int, msgspec.Meta(ge=0, le=(1 << 32) - 1)]
Unsigned = Annotated[int, msgspec.Meta(ge=0)]

ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
"""SECCOMP_RET_* (linux/seccomp.h)."""

FLAGS = {"SECCOMP_FILTER_FLAG_TSYNC": 1, "SECCOMP_FILTER_FLAG_LOG": 2, "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4}

OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}
"""enum scmp_compare (seccomp.h)."""

_WITH_ERRNO = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
_EPERM, _MOST_ERRNO = 1, 4095
_GO_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}


class _Strict(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    pass


class Condition(_Strict, frozen=True, kw_only=True):
    """When a rule holds: of `includes` all, of `excludes` none."""

    caps: tuple[str, ...] | None = None
    arches: tuple[str, ...] | None = None
    min_kernel: str | None = None


class Argument(_Strict, frozen=True, kw_only=True):
    """What the argument of that index must be."""

    index: Annotated[int, msgspec.Meta(ge=0, le=5)]
    value: Unsigned
    value_two: Unsigned = 0
    op: str


class Rule(_Strict, frozen=True, kw_only=True):
    """What happens at system calls of those names."""

    names: tuple[str, ...] = ()
    name: str | None = None
    """The same, as older files have it."""
    action: str
    errno_ret: U32 | None = None
    errno: str | None = None
    """The name of `errno_ret`, as podman's files have it."""
    args: tuple[Argument, ...] | None = None
    includes: Condition | None = None
    excludes: Condition | None = None
    comment: str | None = None


class SubArchitectures(_Strict, frozen=True, kw_only=True):
    architecture: str
    sub_architectures: tuple[str, ...] | None = None


class Profile(_Strict, frozen=True, kw_only=True):
    """What a file says. `default_action` is for the system calls that no rule names."""

    default_action: str
    default_errno_ret: U32 | None = None
    default_errno: str | None = None
    architectures: tuple[str, ...] | None = None
    arch_map: tuple[SubArchitectures, ...] | None = None
    flags: tuple[str, ...] | None = None
    syscalls: Annotated[tuple[Rule, ...], msgspec.Meta(max_length=4096)] | None = None


class ChosenRule(msgspec.Struct, frozen=True):
    """One system call's: the value that the filter returns where all of `arguments` are so."""

    name: str
    verdict: int
    arguments: tuple[tuple[int, int, int, int], ...] = ()
    """(index, operator, value, second value)."""


class Chosen(msgspec.Struct, frozen=True):
    """What is left for one process. `architectures` are named as libseccomp does."""

    default: int
    architectures: tuple[str, ...]
    flags: int
    rules: tuple[ChosenRule, ...]


def parse(text: str) -> Profile:
    """The profile in `text`. Raises UsageError, which names the place of what is wrong."""
    try:
        profile = msgspec.json.decode(text, type=Profile)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UsageError(
            f"seccomp: not a profile that can be honoured: {error}",
            hint="it is JSON in the form of Docker's profiles, or of linux.seccomp of the OCI runtime spec",
        ) from error
    _check(profile)
    return profile


def chosen(profile: Profile, *, bounding: tuple[str, ...], machine: str, kernel: str) -> Chosen:
    """What of `profile` holds for a process with those capabilities (without CAP_), there."""
    default = _verdict(profile.default_action, profile.default_errno_ret)
    rules: list[ChosenRule] = []
    for rule in profile.syscalls or ():
        verdict = _verdict(rule.action, rule.errno_ret)
        if verdict != default and _holds(rule, set(bounding), _GO_NAMES.get(machine, machine), kernel):
            for name in (*rule.names, *((rule.name,) if rule.name else ())):
                rules += (ChosenRule(name, verdict, tests) for tests in _alternatives(rule.args or ()))
    flags = sum(FLAGS[flag] for flag in dict.fromkeys(profile.flags or ()))
    return Chosen(default, _architectures(profile, machine), flags, tuple(rules))


def as_runtime_spec(profile: Profile, bounding: tuple[str, ...], machine: str, kernel: str) -> dict[str, Any]:
    """`profile` without its conditions, as `linux.seccomp` of the OCI runtime spec; `chosen` finds the same
    in both, there.
    """
    go_name = _GO_NAMES.get(machine, machine)
    rules = [
        {
            "names": [*rule.names, *((rule.name,) if rule.name else ())],
            "action": rule.action,
            **({} if rule.errno_ret is None else {"errnoRet": rule.errno_ret}),
            **({"args": msgspec.to_builtins(rule.args)} if rule.args else {}),
        }
        for rule in profile.syscalls or ()
        if _holds(rule, set(bounding), go_name, kernel)
    ]
    errno = {} if profile.default_errno_ret is None else {"defaultErrnoRet": profile.default_errno_ret}
    return {
        "defaultAction": profile.default_action,
        **errno,
        "architectures": [f"SCMP_ARCH_{name.upper()}" for name in _architectures(profile, machine)],
        **({"flags": list(profile.flags)} if profile.flags else {}),
        "syscalls": rules,
    }


def _check(profile: Profile) -> None:
    returns = {"defaultErrnoRet": profile.default_errno_ret}
    _check_known("defaultAction", profile.default_action, ACTIONS)
    for flag in profile.flags or ():
        _check_known("flags", flag, FLAGS)
    for place, rule in enumerate(profile.syscalls or ()):
        returns[f"syscalls[{place}].errnoRet"] = rule.errno_ret
        _check_known(f"syscalls[{place}].action", rule.action, ACTIONS)
        for test in rule.args or ():
            _check_known(f"syscalls[{place}].args.op", test.op, OPERATORS)
        if not (rule.names or rule.name):
            raise UsageError(f"seccomp: syscalls[{place}] names no system call", hint="leave it out")
        if any(max(each.value, each.value_two) >> 64 for each in rule.args or ()):
            raise UsageError(f"seccomp: syscalls[{place}].args is more than 64 bits", hint="give less")
        for condition in filter(None, (rule.includes, rule.excludes)):
            if condition.min_kernel is not None and not re.fullmatch(r"\d+\.\d+", condition.min_kernel):
                raise UsageError(
                    f"seccomp: syscalls[{place}] has minKernel {condition.min_kernel!r}", hint="such as 5.10"
                )
    for where, number in returns.items():
        if number is not None and number > _MOST_ERRNO:
            raise UsageError(f"seccomp: {where} is {number}, more than {_MOST_ERRNO}", hint="give an errno")


def _check_known(where: str, word: str, known: Iterable[str]) -> None:
    if word not in known:
        raise UsageError(
            f"seccomp: {where}: {word!r} cannot be honoured", hint=f"there are {', '.join(known)}"
        )


def _verdict(action: str, errno: int | None) -> int:
    value = ACTIONS[action]
    return value | (_EPERM if errno is None else errno) if action in _WITH_ERRNO else value


def _holds(rule: Rule, bounding: set[str], go_name: str, kernel: str) -> bool:
    includes, excludes = rule.includes or Condition(), rule.excludes or Condition()
    caps = [name.removeprefix("CAP_") for name in includes.caps or ()]
    without = [name.removeprefix("CAP_") for name in excludes.caps or ()]
    return (
        bounding.issuperset(caps)
        and bounding.isdisjoint(without)
        and (not includes.arches or go_name in includes.arches)
        and go_name not in (excludes.arches or ())
        and (includes.min_kernel is None or _version(kernel) >= _version(includes.min_kernel))
        and (excludes.min_kernel is None or _version(kernel) < _version(excludes.min_kernel))
    )


def _version(text: str) -> tuple[int, ...]:
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _alternatives(arguments: tuple[Argument, ...]) -> tuple[tuple[tuple[int, int, int, int], ...], ...]:
    """Tests that hold together; where one argument is tested twice each holds alone, as runc takes it."""
    tests = tuple((each.index, OPERATORS[each.op], each.value, each.value_two) for each in arguments)
    indexes = [each.index for each in arguments]
    return tuple((test,) for test in tests) if len(set(indexes)) < len(indexes) else (tests,)


def _architectures(profile: Profile, machine: str) -> tuple[str, ...]:
    native = f"SCMP_ARCH_{machine.upper()}"
    named = list(profile.architectures or ())
    for each in profile.arch_map or ():
        if each.architecture == native:
            named += each.sub_architectures or ()
    short = (name.removeprefix("SCMP_ARCH_").lower() for name in (native, *named))
    return tuple(dict.fromkeys(short))
