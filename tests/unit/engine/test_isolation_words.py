"""What keeps a container apart is what somebody asked for, or it is refused with the reason."""

from __future__ import annotations

import pytest

from firkin.engine import rules
from firkin.engine.words import run_options
from firkin.errors import HostUnsupported, UsageError
from firkin.linux.cgroup.limits import Limits
from firkin.linux.cgroup.places import Places
from firkin.machine.namespace import limits


def test_a_container_has_a_machine_unless_somebody_says_otherwise():
    assert run_options("busybox").isolation == "vm"
    assert run_options("busybox", isolation="namespace").isolation == "namespace"


def test_an_unknown_isolation_is_refused():
    with pytest.raises(UsageError, match="isolation: 'none' is not known"):
        run_options("busybox", isolation="none")


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({"entropy": True}, "entropy"),
        ({"kernel_args": ["quiet"]}, "kernel_args"),
        ({"balloon": True}, "balloon"),
        ({"disk": "1g"}, "disk"),
        ({"network": "user:ipv6=true"}, "network"),
        ({"network": "backend"}, "network"),
        ({"rootfs": True}, "rootfs"),
    ],
)
def test_what_only_a_machine_can_have_is_refused_in_namespaces(words, field):
    options = run_options("busybox", ["true"], isolation="namespace", **{"network": "none", **words})
    with pytest.raises(UsageError, match=f"^{field}: ") as refused:
        rules.check(options)
    assert refused.value.hint


def test_limits_of_one_in_namespaces_are_the_hosts_to_hold():
    options = run_options(
        "busybox", isolation="namespace", cpus=2, memory="32m", memory_swap="-1", pids_limit=10,
        cpu_shares="512", cpuset_cpus="0,2-3",
    )  # fmt: skip
    rules.check(options)
    assert options.limits == Limits(
        cpus=2.0, memory_bytes=32 << 20, memory_swap_bytes=-1, pids=10, shares=512, cpuset="0,2-3"
    )
    assert (options.cpus, options.memory_bytes) == (None, None)


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ({"memory": "1m"}, "memory"),
        ({"memory_swap": "64m"}, "memory_swap"),
        ({"memory_swap": "16m", "memory": "32m"}, "memory_swap"),
        ({"memory_swap": "much", "memory": "32m"}, "memory_swap"),
        ({"cpu_shares": 1}, "cpu_shares"),
        ({"cpu_shares": "some"}, "cpu_shares"),
        ({"cpuset_cpus": "3-1"}, "cpuset_cpus"),
        ({"cpuset_cpus": "1,,2"}, "cpuset_cpus"),
        ({"cpuset_cpus": "all"}, "cpuset_cpus"),
        ({"cpus": 0}, "cpus"),
        ({"pids_limit": -2}, "pids_limit"),
    ],
)
def test_a_limit_that_is_none_is_refused_in_namespaces(words, field):
    with pytest.raises(UsageError, match=f"^{field}: "):
        run_options("busybox", isolation="namespace", **words)


def test_processors_of_the_host_mean_nothing_to_a_machine():
    with pytest.raises(UsageError, match=r"^cpuset_cpus: "):
        run_options("busybox", cpuset_cpus="0")


@pytest.mark.parametrize(
    ("places", "says", "does"),
    [
        (Places(0, {}), "no control groups are mounted", "cgroups-absent"),
        (Places(2, {}), "not ours", "Delegate=yes"),
        (Places(1, {}), "not ours", "cgroups-undelegated"),
        (Places(2, {"cpu": "/c"}), "no such controller", "cgroups-controllers"),
    ],
)
def test_a_limit_that_this_host_cannot_hold_is_an_error_that_says_what_it_takes(places, says, does):
    with pytest.raises(
        HostUnsupported, match=f"^memory: .*'web'.* controller memory, and .*{says}"
    ) as refused:
        limits.check("web", Limits(memory_bytes=32 << 20), places)
    assert does in refused.value.hint
    assert "without --isolation namespace" in refused.value.hint
    limits.check("web", Limits(), places)
