"""The words for a process's policy: what they mean, and what is refused before anything starts."""

from __future__ import annotations

import re
from typing import Any

import pytest

from firkin.engine.policy_options import PolicyOptions
from firkin.engine.policy_words import policy_options
from firkin.engine.process_words import exec_options
from firkin.engine.spawn_op import spawn_op
from firkin.engine.words import run_options
from firkin.errors import UsageError
from firkin.process import capabilities
from firkin.process.policy import UNLIMITED, IoPriority, ProcessPolicy, Scheduler, Seccomp
from firkin.process.spec import ProcessSpec
from firkin.wire import messages as wire

DEFAULT = capabilities.DEFAULT.bounding


def policy(**words: Any) -> ProcessPolicy:
    return policy_options(words).applied(ProcessPolicy())  # type: ignore[arg-type]


def asked(**words: Any) -> wire.Spawn:
    return spawn_op("c", ProcessSpec(args=("a",), policy=policy(**words)))


def test_without_a_word_it_is_dockers() -> None:
    assert policy() == ProcessPolicy()
    assert run_options("i").policy == exec_options(["a"]).policy == PolicyOptions()


@pytest.mark.parametrize(
    ("add", "drop", "bits"),
    [
        ([], [], DEFAULT),
        (["NET_ADMIN"], [], DEFAULT | capabilities.mask("NET_ADMIN")),
        (["cap_net_admin"], ["CAP_CHOWN"], DEFAULT ^ capabilities.mask("NET_ADMIN", "CHOWN")),
        (["CHOWN"], ["all"], capabilities.mask("CHOWN")),
        (["ALL"], ["SYS_ADMIN"], capabilities.ALL ^ capabilities.mask("SYS_ADMIN")),
        ([], ["ALL"], 0),
        (["NET_RAW"], ["NET_RAW"], DEFAULT),
    ],
)
def test_capabilities_are_added_and_dropped_as_by_docker(add: list[str], drop: list[str], bits: int) -> None:
    assert policy(cap_add=add, cap_drop=drop).capabilities == capabilities.granted(bits)


def test_one_set_is_taken_as_it_is_and_so_are_five() -> None:
    raw = capabilities.mask("NET_RAW")
    assert policy(capabilities=["NET_RAW"]).capabilities == capabilities.granted(raw)
    assert policy(capabilities=[]).capabilities == capabilities.granted(0)
    sets = {"bounding": ["NET_RAW", "CHOWN"], "permitted": ["NET_RAW"], "inheritable": ["NET_RAW"]}
    assert policy(capabilities={**sets, "ambient": ["CAP_NET_RAW"]}).capabilities == wire.Capabilities(
        bounding=raw | 1, permitted=raw, inheritable=raw, ambient=raw, effective=0
    )


def test_a_privileged_one_has_all_unless_that_is_said_otherwise() -> None:
    assert policy(privileged=True) == ProcessPolicy(
        capabilities=capabilities.granted(capabilities.ALL), seccomp=Seccomp(kind="unconfined")
    )
    less = policy(privileged=True, cap_drop=["SYS_ADMIN"], seccomp="default")
    assert less.capabilities.bounding == capabilities.ALL ^ capabilities.mask("SYS_ADMIN")
    assert less.seccomp == Seccomp(kind="default")


def test_another_process_has_what_the_first_one_has_and_what_is_said_of_it() -> None:
    first = policy(cap_drop=["CHOWN"], ulimits=["nofile=10", "core=0"], umask="077", no_new_privs=True)
    assert policy_options({}).applied(first) == first
    more = policy_options({"cap_add": ["NET_ADMIN"], "ulimits": {"nofile": 20}}).applied(first)
    assert more.capabilities.bounding == DEFAULT ^ capabilities.mask("CHOWN", "NET_ADMIN")
    assert {(each.type, each.hard) for each in more.rlimits} == {(7, 20), (4, 0)}
    assert (more.umask, more.no_new_privs) == (0o077, True)


@pytest.mark.parametrize(
    ("said", "limit"),
    [
        ("nofile=1024", (7, 1024, 1024)),
        ("RLIMIT_NOFILE=1024:4096", (7, 1024, 4096)),
        ("core=-1", (4, UNLIMITED, UNLIMITED)),
        ("stack=8192:unlimited", (3, 8192, UNLIMITED)),
    ],
)
def test_limits_are_written_as_for_docker(said: str, limit: tuple[int, int, int]) -> None:
    assert [(each.type, each.soft, each.hard) for each in policy(ulimits=[said]).rlimits] == [limit]


def test_limits_reach_the_agent_once_each_beside_those_of_every_container() -> None:
    limits = {each.type: (each.soft, each.hard) for each in asked(ulimits={"nofile": (1, 2)}).rlimits}
    assert limits == {4: (0, UNLIMITED), 7: (1, 2)}
    assert len(asked(ulimits={"nofile": (1, 2)}).rlimits) == 2


def test_security_options_are_dockers() -> None:
    said = policy(
        security_opts=["no-new-privileges", "seccomp=unconfined", "apparmor=mine", "label=type:spc_t",
                       "label=level:s0:c1,c2"],
    )  # fmt: skip
    assert (said.no_new_privs, said.seccomp, said.apparmor) == (True, Seccomp(kind="unconfined"), "mine")
    assert said.selinux == "system_u:system_r:spc_t:s0:c1,c2"
    assert policy(security_opts=["no-new-privileges:true"]).no_new_privs
    assert not policy(security_opts=["no-new-privileges=false"]).no_new_privs
    assert policy(security_opts=["label=disable", "apparmor=unconfined"]) == ProcessPolicy()


def test_scheduling_is_a_policy_and_its_number() -> None:
    assert policy(scheduler="fifo:10").scheduler == Scheduler(policy="SCHED_FIFO", priority=10)
    assert policy(scheduler="batch:-5").scheduler == Scheduler(policy="SCHED_BATCH", nice=-5)
    assert policy(io_priority="best-effort:6").io_priority == IoPriority(
        io_class="IOPRIO_CLASS_BE", priority=6
    )
    spawn = asked(
        scheduler=Scheduler(policy="SCHED_RR", priority=3, flags=("SCHED_FLAG_RESET_ON_FORK",)),
        io_priority="idle",
        oom_score_adj=-5,
    )
    assert spawn.scheduler == wire.Scheduler(policy=2, priority=3, flags=1)
    assert (spawn.io_priority, spawn.oom_score_adj) == (3 << 13, -5)


def test_nothing_is_hidden_from_a_privileged_container_or_where_that_is_said() -> None:
    assert run_options("i").hides_system_paths
    assert not run_options("i", privileged=True).hides_system_paths
    assert not run_options("i", security_opts=["systempaths=unconfined"]).hides_system_paths


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"cap_add": ["NET_EVERYTHING"]}, "cap_add: 'NET_EVERYTHING' is not a capability"),
        ({"cap_drop": "ALL"}, "cap_drop: 'ALL' is not a list"),
        ({"capabilities": ["CHOWN"], "cap_add": ["KILL"]}, "the exact set stands alone"),
        ({"capabilities": {"bound": ["CHOWN"]}}, "'bound' is not one of bounding"),
        ({"capabilities": {"effective": ["CHOWN"]}}, "effective holds what permitted lacks"),
        ({"capabilities": {"ambient": ["CHOWN"], "permitted": ["CHOWN"]}}, "inheritable lacks"),
        ({"ulimits": ["files=1"]}, "ulimit: 'files' is not one of cpu"),
        ({"ulimits": ["nofile"]}, "has no value"),
        ({"ulimits": ["nofile=2:1"]}, "the soft limit is above the hard one"),
        ({"ulimits": ["nofile=-2"]}, "not a number"),
        ({"ulimits": ["nofile=1:2:3"]}, "not SOFT:HARD"),
        ({"ulimits": ["nofile=unlimited"]}, "nofile is more than 1048576"),
        ({"ulimits": [f"core={1 << 64}"]}, "not a number"),
        ({"umask": "0888"}, "umask: '0888' is not one of 0000 to 0777"),
        ({"umask": 0o1000}, "is not one of 0000 to 0777"),
        ({"oom_score_adj": 1001}, "oom_score_adj: 1001 is not a number from -1000 to 1000"),
        ({"security_opts": ["none"]}, "security_opt: 'none' is unknown"),
        ({"security_opts": ["apparmor="]}, "is unknown"),
        ({"security_opts": ["label=mls:1"]}, "label=mls:1 is no label"),
        ({"security_opts": ["no-new-privileges=maybe"]}, "neither true nor false"),
        ({"selinux": "two words"}, "selinux: 'two words' is no label"),
        ({"apparmor": "x" * 256}, "is no label"),
        ({"seccomp": "/no/such/profile.json"}, "cannot read profile /no/such/profile.json"),
        ({"scheduler": "deadline"}, "SCHED_DEADLINE is not one of"),
        ({"scheduler": "fifo"}, "priority 0 of SCHED_FIFO is not from 1 to 49"),
        ({"scheduler": "rr:50"}, "priority 50 of SCHED_RR is not from 1 to 49"),
        ({"scheduler": "other:20"}, "nice 20 is not from -20 to 19"),
        ({"scheduler": "other:"}, "has no number"),
        ({"scheduler": Scheduler(flags=("SCHED_FLAG_X",))}, "is not a flag"),
        ({"io_priority": "urgent"}, "'urgent' is not one of realtime"),
        ({"io_priority": "realtime:8"}, "io_priority: '8' is not a number from 0 to 7"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(words: dict[str, Any], why: str) -> None:
    for options in (lambda: run_options("i", **words), lambda: exec_options(["a"], **words)):
        with pytest.raises(UsageError, match=re.escape(why)) as refused:
            options()
        assert refused.value.hint


def test_what_is_of_a_container_is_not_said_of_one_more_process() -> None:
    with pytest.raises(UsageError, match="of a container, and not of one process"):
        exec_options(["a"], security_opts=["systempaths=unconfined"])
