"""What the agent is asked for one more process: all that was said of it, as it was said."""

from __future__ import annotations

from firkin.engine.process_words import exec_options
from firkin.engine.resolve import exec_process
from firkin.engine.spawn_op import spawn_op
from firkin.process import capabilities
from firkin.process.spec import ProcessSpec
from firkin.wire.messages import Rlimit, op_map


def test_an_exec_carries_arguments_variables_and_place_as_given() -> None:
    first = ProcessSpec(args=("first",), env=("A=first", "B=kept"), cwd="/of/first", user="7")
    command = ["prog", "", "two words", "-x", "ü", b"\xff"]
    options = exec_options(command, env=["A=new value", "C="], workdir="/elsewhere", user="1:2", groups=["3"])
    op = op_map(spawn_op("c" * 64, exec_process(options, first)))
    assert op["args"] == ["prog", "", "two words", "-x", "ü".encode(), b"\xff"]
    assert op["env"] == ["A=new value", "B=kept", "C="]
    assert (op["cwd"], op["user"], op["groups"], op["container"]) == ("/elsewhere", "1:2", ("3",), "c" * 64)
    model = op_map(spawn_op("c" * 64, exec_process(exec_options(["x"]), first)))
    assert (model["cwd"], model["user"], model["env"]) == ("/of/first", "7", ["A=first", "B=kept"])


def test_an_exec_carries_its_policy_unchanged() -> None:
    options = exec_options(
        ["x"],
        no_new_privs=True,
        capabilities=["CAP_KILL", "net_raw"],
        ulimits={"nofile": (10, 20), "RLIMIT_CPU": -1},
        selinux="system_u:system_r:container_t:s0:c1,c2",
        apparmor="docker-default",
    )
    op = spawn_op("c", exec_process(options, ProcessSpec(args=("first",))))
    assert op.no_new_privs
    assert op.caps == capabilities.granted(capabilities.mask("KILL", "NET_RAW"))
    assert Rlimit(type=7, soft=10, hard=20) in op.rlimits
    assert Rlimit(type=0, soft=2**64 - 1, hard=2**64 - 1) in op.rlimits
    assert [limit.type for limit in op.rlimits].count(7) == 1
    assert (op.selinux, op.apparmor) == ("system_u:system_r:container_t:s0:c1,c2", "docker-default")
