"""Limits and use where there is no cgroup, or no such container: what a host is told."""

from __future__ import annotations

import errno

import pytest

from tests.guest.driver import Refused


@pytest.mark.parametrize("op", ["limit", "stats"])
def test_without_cgroups_nothing_is_limited_or_counted_silently(host, box, op):
    box.running(host)
    with pytest.raises(Refused) as refused:
        host.ask(op, container="c1")
    assert (refused.value.errno, refused.value.step) == (errno.EOPNOTSUPP, op)
    with pytest.raises(Refused) as refused:
        host.ask(op, container="nobody")
    assert refused.value.errno == errno.ENOENT
    host.ask("remove", container="c1")


def test_a_limit_that_nobody_knows_is_refused(host, box):
    box.running(host)
    with pytest.raises(Refused) as refused:
        host.ask("limit", container="c1", cpu_weight=5)
    assert refused.value.errno == errno.EINVAL
    assert "cpu_weight" in refused.value.object
