"""Filters that are compiled by libseccomp, tried by this host's kernel, and held against podman's profile."""

from __future__ import annotations

import errno
import json
import os
import platform
from pathlib import Path

import pytest

from firkin.engine import filters
from firkin.engine.filters import filter_of
from firkin.engine.policy_words import policy_options
from firkin.errors import HostUnsupported, UsageError
from firkin.linux import libseccomp
from firkin.linux.libseccomp import compiled
from firkin.linux.seccomp import enter
from firkin.oci.seccomp import chosen, parse
from firkin.process import capabilities
from firkin.process.policy import ProcessPolicy, Seccomp
from firkin.settings import Settings
from tests.support.bpf import verdict

PODMANS = Path("/usr/share/containers/seccomp.json")
OURS = Path(filters.__file__).parents[1] / "process" / "data" / "seccomp.json"

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of x86-64's system calls")


def default(settings: Settings, **words: object) -> bytes:
    found = filter_of(policy_options({"seccomp": "default", **words}).applied(ProcessPolicy()), settings)  # type: ignore[arg-type]
    assert found is not None
    return found.program


ALLOW, EPERM, ENOSYS = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
READ, CLONE, MOUNT, INIT_MODULE, IO_URING_SETUP, CLONE3, SOCKET, PERSONALITY, ADD_KEY = (
    0,
    56,
    165,
    175,
    425,
    435,
    41,
    135,
    248,
)


def test_the_default_filter_allows_what_programs_do_and_denies_what_containers_have_no_use_for(
    settings: Settings,
) -> None:
    program = default(settings)
    expected = {
        (READ,): ALLOW, (MOUNT,): EPERM, (INIT_MODULE,): EPERM, (ADD_KEY,): EPERM, (IO_URING_SETUP,): ENOSYS,
        (CLONE, 0x11): ALLOW, (CLONE, 0x10000011): EPERM, (CLONE, 0x20000): EPERM, (CLONE3,): ENOSYS,
        (SOCKET, 2): ALLOW, (SOCKET, 40): EPERM, (PERSONALITY, 0): ALLOW,
        (PERSONALITY, 1): ENOSYS, (9999,): ENOSYS,
    }  # fmt: skip
    assert {call: verdict(program, *call) for call in expected} == expected


def test_a_capability_brings_its_system_calls(settings: Settings) -> None:
    admin = default(settings, cap_add=["SYS_ADMIN"])
    seen = [verdict(admin, *call) for call in ((MOUNT,), (CLONE, 0x10000011), (CLONE3,), (INIT_MODULE,))]
    assert seen == [ALLOW, ALLOW, ALLOW, EPERM]
    assert verdict(default(settings, cap_add=["SYS_MODULE"]), INIT_MODULE) == ALLOW
    assert verdict(default(settings, cap_drop=["SYS_CHROOT"]), 161) == EPERM


def test_other_architectures_have_their_own_numbers_and_strangers_none(settings: Settings) -> None:
    program = default(settings)
    assert verdict(program, 3, arch=0x40000003) == ALLOW  # read(2) of i386
    assert verdict(program, 21, arch=0x40000003) == EPERM  # its mount(2)
    assert verdict(program, 0, arch=0x40000028) in (0, 0x80000000)  # arm's


@pytest.mark.skipif(
    not PODMANS.exists(), reason="podman's profile is not installed (golang-github-containers-common)"
)
@pytest.mark.parametrize("bounding", [capabilities.DEFAULT.bounding, 0, capabilities.ALL])
def test_nothing_is_allowed_that_podman_denies_but_what_its_list_is_too_old_for(bounding: int) -> None:
    def program(path: Path) -> bytes:
        names = capabilities.names(bounding)
        left = chosen(parse(path.read_text()), bounding=names, machine="x86_64", kernel="6.1.0")
        return compiled(left.default, left.architectures, left.rules)

    ours, podmans = program(OURS), program(PODMANS)
    more = {number for number in range(464) if verdict(ours, number) == ALLOW != verdict(podmans, number)}
    newer = {333, *range(449, 464)}  # io_pgetevents, futex_waitv, ...
    privileged = {443, 450}
    assert more <= newer | (privileged if bounding == capabilities.ALL else set())


def test_the_kernel_takes_the_filter_and_keeps_it(settings: Settings) -> None:
    program = default(settings)
    pid = os.fork()
    if pid == 0:
        enter(program)
        try:
            os.mkdir("/proc/none")
        except FileNotFoundError:  # allowed by the filter, impossible there
            try:
                os.unshare(os.CLONE_NEWNS) if hasattr(os, "unshare") else os.chroot("/")
                os._exit(0 if not hasattr(os, "unshare") else 1)
            except PermissionError:
                os._exit(0)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_compiled_filter_is_kept_for_the_next_process(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = default(settings)
    filters._filter.cache_clear()
    monkeypatch.setattr(filters, "_compiled", lambda *_: pytest.fail("compiled again"))
    assert default(settings) == first


def own(profile: dict[str, object], settings: Settings) -> bytes:
    found = filter_of(ProcessPolicy(seccomp=Seccomp(kind="profile", profile=json.dumps(profile))), settings)
    assert found is not None
    return found.program


def test_a_name_that_nobody_knows_is_an_error_where_passing_it_over_would_allow_it(
    settings: Settings,
) -> None:
    rules = [{"names": ["mkdri"], "action": "SCMP_ACT_ERRNO"}]
    with pytest.raises(UsageError, match="'mkdri' is unknown"):
        own({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules}, settings)
    rules = [{"names": ["a_new_call", "read"], "action": "SCMP_ACT_ALLOW"}]
    program = own({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules}, settings)
    assert [verdict(program, number) for number in (READ, MOUNT)] == [ALLOW, EPERM]


def test_a_filter_that_no_kernel_takes_is_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="SCMP_ARCH_PDP11"):
        own({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_PDP11"]}, settings)
    monkeypatch.setattr(filters, "_MOST_INSTRUCTIONS", 100)
    with pytest.raises(UsageError, match=r"a filter of \d+ instructions, more than 100"):
        default(settings)


def test_nobody_is_filtered_who_is_unconfined(settings: Settings) -> None:
    assert filter_of(ProcessPolicy(seccomp=Seccomp(kind="unconfined")), settings) is None


def test_without_libseccomp_there_is_what_was_compiled_before_and_else_an_error(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Never a process without the filter that it was to have."""
    kept = default(settings)
    filters._filter.cache_clear()
    monkeypatch.setattr(libseccomp, "_NAME", "libseccomp-missing.so")
    libseccomp._library.cache_clear()
    assert default(settings) == kept
    with pytest.raises(HostUnsupported, match="cannot load libseccomp-missing"):
        default(settings, cap_add=["SYS_TIME"])
    libseccomp._library.cache_clear()
