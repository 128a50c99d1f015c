"""What a change of limits makes of a container, running or not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from firkin.container.pod import Member
from firkin.container.record import Created, Exited, Running, State, Streams, Suspended
from firkin.container.restart import RestartPolicy
from firkin.container.spec import ContainerSpec
from firkin.engine.update_words import update_options
from firkin.engine.updating import updated
from firkin.errors import UsageError, WrongState
from firkin.linux.cgroup.limits import Limits
from firkin.process.spec import ExitStatus, ProcessSpec

M = 1 << 20
SPEC = ContainerSpec(
    id="a" * 64, name="web", image="i", image_digest="sha256:" + "0" * 64, rootfs_key="k", cpus=2,
    process=ProcessSpec(args=("true",)), created_ns=1, hostname="h", memory_bytes=256 * M,
    limits=Limits(pids=9),
)  # fmt: skip
RUNNING = Running(pid=1, started_ns=1, accelerator="tcg", detached=True)
ENDED = Exited(status=ExitStatus(code=0), started_ns=1, finished_ns=2)
SUSPENDED = Suspended(suspended_ns=2, started_ns=1, detached=True, proc=1, ahead=Streams())


def changed(state: State, spec: ContainerSpec = SPEC, **words: Any) -> ContainerSpec:
    return updated(spec, state, update_options(words))  # type: ignore[arg-type]  # keywords are its keys


def test_a_running_one_is_limited_inside_of_its_machine() -> None:
    limited = changed(RUNNING, cpus="0.5", memory="64m", pids_limit="-1")
    assert limited.limits == Limits(cpus=0.5, memory_bytes=64 * M)
    assert (limited.cpus, limited.memory_bytes) == (2, 256 * M)
    whole = changed(RUNNING, limited, cpus=2, memory="256m")
    assert whole.limits == Limits(), "as much as the machine has is no limit"


def test_one_that_does_not_run_gets_another_machine() -> None:
    remade = changed(ENDED, cpus=3.5, memory="512m", memory_swap="512m")
    assert (remade.cpus, remade.memory_bytes, remade.limits) == (4, 512 * M, Limits(cpus=3.5, pids=9))
    member = msgspec.structs.replace(SPEC, pod=Member(pod="b" * 64))
    assert changed(ENDED, member, memory="64m").limits == Limits(memory_bytes=64 * M, pids=9), (
        "the pod's stays"
    )


def test_a_policy_is_changed_in_any_state() -> None:
    for state in (RUNNING, ENDED, SUSPENDED, Created()):
        assert changed(state, restart="always") == msgspec.structs.replace(
            SPEC, restart=RestartPolicy("always")
        )


@pytest.mark.parametrize(
    ("state", "words", "complaint"),
    [
        (RUNNING, {}, "^nothing to change"),
        (RUNNING, {"cpus": 3}, "^cpus: 3 is more than its machine has, 2"),
        (RUNNING, {"cpus": 0}, "^cpus: "),
        (RUNNING, {"memory": "1g"}, "^memory: .* a machine does not grow"),
        (RUNNING, {"memory": "5m"}, "^memory: .* too few"),
        (RUNNING, {"memory": "much"}, "^memory: "),
        (ENDED, {"memory": "32m"}, "^memory: .* too few for a machine"),
        (RUNNING, {"memory": "64m", "memory_swap": "1g"}, "^memory_swap: "),
        (RUNNING, {"pids_limit": "-2"}, "^pids_limit: "),
        (RUNNING, {"cpu_shares": 512}, "^cpu_shares: "),
        (RUNNING, {"cpuset_cpus": "0"}, "^cpuset_cpus: "),
        (RUNNING, {"restart": "often"}, "^restart: "),
        (msgspec.structs.replace(RUNNING, detached=False), {"restart": "always"}, "^restart: .* its owner"),
        (SUSPENDED, {"pids_limit": 5}, "saved"),
    ],
)
def test_what_cannot_be_held_to_is_refused(state: State, words: dict[str, Any], complaint: str) -> None:
    with pytest.raises((UsageError, WrongState), match=complaint):
        changed(state, **words)


def test_one_that_is_removed_at_its_end_is_not_restarted() -> None:
    with pytest.raises(UsageError, match=r"^restart: .* removed"):
        changed(RUNNING, msgspec.structs.replace(SPEC, auto_remove=True), restart="always")


def test_one_in_namespaces_is_held_to_what_the_host_gives() -> None:
    spec = msgspec.structs.replace(SPEC, isolation="namespace", limits=Limits(memory_bytes=64 * M, pids=9))
    for state in (RUNNING, ENDED):
        limited = changed(state, spec, cpus=3.5, memory="1g", pids_limit=-1, cpuset_cpus="0", cpu_shares=512)
        assert limited.limits == Limits(cpus=3.5, memory_bytes=1024 * M, cpuset="0", shares=512)
        assert (limited.cpus, limited.memory_bytes) == (spec.cpus, spec.memory_bytes)
    with pytest.raises(UsageError, match=r"^memory_swap: "):
        changed(RUNNING, spec, memory_swap="32m")
