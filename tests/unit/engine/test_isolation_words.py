"""What keeps a container apart is what somebody asked for, or it is refused with the reason."""

from __future__ import annotations

import pytest

from firkin.engine import rules
from firkin.engine.words import run_options
from firkin.errors import UsageError


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
        ({"memory": "100m"}, "memory"),
        ({"cpus": 1}, "cpus"),
        ({"cpus": 0.5}, "cpus"),
        ({"pids_limit": 10}, "pids_limit"),
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
