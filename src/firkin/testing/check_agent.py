"""What the host may rely on in an agent: each check gets a started client, and fails with an AssertionError.

The fake agent and the real one must pass the same list, CHECKS. Programs run in the machine itself
(container ""), so a check needs no image: only /bin/sh, cat, stty, head and sleep there. A container's root
is the machine's own, shown once more.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from collections.abc import Awaitable, Callable

from firkin.agent import AgentClient, RemoteProcess
from firkin.errors import AgentError, CommandNotExecutable, CommandNotFound, UsageError
from firkin.process import capabilities
from firkin.process.output import output
from firkin.process.spec import ExitStatus
from firkin.wire.messages import (
    Container,
    Freeze,
    Identity,
    Op,
    Ps,
    Remove,
    Root,
    Signal,
    Spawn,
    Sync,
    Terminal,
    Thaw,
)

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ALL_CAPABILITIES = capabilities.granted(capabilities.mask(*capabilities.NAMES[:40]))


def shell(script: str, **more: object) -> Spawn:
    """A request to run `script` in the machine's shell."""
    return command("/bin/sh", "-c", script, **more)


def command(*args: str, **more: object) -> Spawn:
    """A request to run `args` in the machine itself."""
    fields = {"proc": 0, "container": "", "cwd": "/", "env": (PATH,), "caps": ALL_CAPABILITIES, **more}
    return Spawn(args=args, **fields)  # type: ignore[arg-type]


def container(name: str) -> Container:
    """A request for a container whose root is the machine's."""
    return Container(container=name, root=Root(device="/", fstype="bind"), hostname=name)


async def expect(process: RemoteProcess, wanted: bytes) -> bytes:
    """Read standard output until `wanted` appears; what was read."""
    seen = b""
    while wanted not in seen:
        data = await process.stdout.read()
        assert data, f"output ended at {seen!r} without {wanted!r}"
        seen += data
    return seen


async def check_streams_stay_apart(client: AgentClient) -> None:
    done = await output(await client.spawn(shell("echo out; echo err >&2; exit 3")))
    assert (done.stdout, done.stderr, done.status) == (b"out\n", b"err\n", ExitStatus(code=3))


async def check_merged_streams_keep_the_order_of_writing(client: AgentClient) -> None:
    spawn = shell("for i in 1 2 3; do echo out $i; echo err $i >&2; done")
    done = await output(await client.spawn(spawn, merged=True))
    assert done.stdout == b"".join(b"out %d\nerr %d\n" % (i, i) for i in (1, 2, 3))
    assert (done.stderr, done.ok) == (b"", True)


async def check_input_reaches_the_process_and_ends(client: AgentClient) -> None:
    data = bytes(range(256)) * 8192
    done = await output(await client.spawn(command("cat"), stdin=True), data)
    assert done.stdout == data
    assert done.ok


async def check_environment_and_directory_are_as_asked(client: AgentClient) -> None:
    spawn = shell('echo "$A:$PWD"', cwd="/proc", env=(PATH, "A=b c"))
    done = await output(await client.spawn(spawn))
    assert done.stdout == b"b c:/proc\n"


async def check_arguments_may_be_any_bytes(client: AgentClient) -> None:
    done = await output(await client.spawn(command("printf", "%s", "é\n*")))
    assert done.stdout == "é\n*".encode()


async def check_a_signal_ends_the_process_and_is_its_status(client: AgentClient) -> None:
    process = await client.spawn(command("sleep", "1000"))
    await process.signal(signal.SIGTERM)
    assert await process.wait() == ExitStatus(signal=signal.SIGTERM)
    await process.forget()


async def check_a_signal_reaches_what_a_process_started(client: AgentClient) -> None:
    process = await client.spawn(shell("sleep 1000 & echo on; wait"))
    await expect(process, b"on\n")
    await process.signal(signal.SIGKILL, group=True)
    assert await process.wait() == ExitStatus(signal=signal.SIGKILL)
    assert await process.stdout.read() == b"", "nobody has its output open any more"
    await process.forget()


async def check_an_ended_process_cannot_be_signalled(client: AgentClient) -> None:
    process = await client.spawn(command("true"))
    await process.wait()
    assert await _refused(client.request(Signal(proc=process.proc, signal=15)), AgentError)
    await process.forget()
    assert await _refused(client.request(Signal(proc=process.proc, signal=15)), AgentError)


async def check_a_missing_command_is_told_apart(client: AgentClient) -> None:
    assert await _refused(client.spawn(command("no-such-command")), CommandNotFound)
    assert await _refused(client.spawn(command("/proc/version")), CommandNotExecutable)
    assert await _refused(client.spawn(command("/proc")), CommandNotExecutable)


async def check_an_unknown_user_is_the_callers_mistake(client: AgentClient) -> None:
    assert await _refused(client.spawn(command("true", user="nobody-of-this-name")), UsageError)


async def check_a_stalled_reader_stalls_nobody_else(client: AgentClient) -> None:
    endless = await client.spawn(shell("cat /dev/zero"))
    await endless.stdout.read(1)
    for _ in range(3):
        done = await output(await client.spawn(shell("echo hi")))
        assert done.stdout == b"hi\n"
    await endless.signal(signal.SIGKILL)
    await endless.wait()
    await endless.forget()


async def check_bulk_output_arrives_whole(client: AgentClient) -> None:
    size = 8 << 20
    done = await output(await client.spawn(shell(f"head -c {size} /dev/zero; echo end")))
    assert len(done.stdout) == size + 4
    assert done.stdout.endswith(b"\0end\n")


async def check_a_closed_reader_breaks_the_writers_pipe(client: AgentClient) -> None:
    process = await client.spawn(command("cat", "/dev/zero"))
    await process.stdout.read(1)
    process.stdout.close()
    assert await process.wait() == ExitStatus(signal=signal.SIGPIPE)


async def check_input_that_nobody_reads_is_refused(client: AgentClient) -> None:
    process = await client.spawn(shell("exec <&-; echo closed; sleep 1000"), stdin=True)
    assert process.stdin is not None
    await expect(process, b"closed\n")
    try:
        while True:
            await process.stdin.write(bytes(65536))
    except BrokenPipeError:
        pass
    await process.signal(signal.SIGKILL)
    await process.wait()


async def check_a_terminal_has_its_size_and_echoes(client: AgentClient) -> None:
    spawn = shell("stty size; read line; stty size; exit 7", terminal=Terminal(rows=30, cols=100))
    process = await client.spawn(spawn, stdin=True)
    assert process.stdin is not None
    await expect(process, b"30 100\r\n")
    await process.resize(40, 120)
    await process.stdin.write(b"word\n")
    assert b"word\r\n" in await expect(process, b"40 120\r\n")
    assert await process.wait() == ExitStatus(code=7)
    assert await process.stdout.read() == b""


async def check_a_terminal_is_controlling_and_interrupts(client: AgentClient) -> None:
    spawn = shell(
        "trap 'echo got; exit 5' INT; echo ready; while :; do sleep 0.01; done",
        terminal=Terminal(rows=1, cols=1),
    )
    process = await client.spawn(spawn, stdin=True)
    assert process.stdin is not None
    await expect(process, b"ready\r\n")
    await process.stdin.write(b"\x03")
    await expect(process, b"got\r\n")
    assert await process.wait() == ExitStatus(code=5)


async def check_a_batch_stops_at_the_first_refusal(client: AgentClient) -> None:
    first = client.register(shell("echo first"))
    second = client.register(command("no-such-command"))
    third = client.register(shell("echo third"))
    ops = [each.op for each in (first, second, third) if each.op is not None]
    assert await _refused(client.batch(ops), CommandNotFound)
    assert await first.stdout.read() == b"first\n"
    assert (await first.wait()).ok


async def check_processes_are_listed(client: AgentClient) -> None:
    process = await client.spawn(command("sleep", "1000"))
    rows = (await client.request(Ps(container="")))["processes"]
    assert any(row["pid"] == process.pid and row["args"] == ["sleep", "1000"] for row in rows)
    await process.signal(signal.SIGKILL)
    await process.wait()


async def check_requests_without_an_answer_of_their_own_succeed(client: AgentClient) -> None:
    assert await client.request(Sync()) == {}


async def check_a_renamed_container_answers_to_its_new_id_alone(client: AgentClient) -> None:
    await client.request(container("parent"))
    process = await client.spawn(command("sleep", "1000", container="parent"))
    await client.request(Identity(container="parent", rename="child"))
    assert await _refused(client.spawn(command("true", container="parent")), AgentError)
    assert await _refused(client.request(Ps(container="parent")), AgentError)
    assert len((await client.request(Ps(container="child")))["processes"]) == 1
    await client.request(Identity(container="child", rename="child"))
    await client.request(container("parent"))
    assert await _fails(client.request(Identity(container="child", rename="parent")), errno.EEXIST)
    await client.request(Remove(container="child"))
    assert await process.wait() == ExitStatus(signal=signal.SIGKILL)
    await client.request(Remove(container="parent"))


async def check_an_identity_that_is_none_is_refused(client: AgentClient) -> None:
    assert await _fails(client.request(Identity(container="nobody")), errno.ENOENT)
    await client.request(container("c"))
    for machine_id in ("0123", "0" * 33, "G" * 32, "A" * 32):
        asked = Identity(container="c", machine_id=machine_id)
        assert await _fails(client.request(asked), errno.EINVAL)
    await client.request(Remove(container="c"))


async def check_what_is_not_there_is_neither_frozen_nor_thawed(client: AgentClient) -> None:
    asked: tuple[Op, ...] = (Freeze(container="nobody"), Thaw(container="nobody"))
    for op in asked:
        assert await _fails(client.request(op), errno.ENOENT)


CHECKS: tuple[Callable[[AgentClient], Awaitable[None]], ...] = (
    check_streams_stay_apart,
    check_merged_streams_keep_the_order_of_writing,
    check_input_reaches_the_process_and_ends,
    check_environment_and_directory_are_as_asked,
    check_arguments_may_be_any_bytes,
    check_a_signal_ends_the_process_and_is_its_status,
    check_a_signal_reaches_what_a_process_started,
    check_an_ended_process_cannot_be_signalled,
    check_a_missing_command_is_told_apart,
    check_an_unknown_user_is_the_callers_mistake,
    check_a_stalled_reader_stalls_nobody_else,
    check_bulk_output_arrives_whole,
    check_a_closed_reader_breaks_the_writers_pipe,
    check_input_that_nobody_reads_is_refused,
    check_a_terminal_has_its_size_and_echoes,
    check_a_terminal_is_controlling_and_interrupts,
    check_a_batch_stops_at_the_first_refusal,
    check_processes_are_listed,
    check_requests_without_an_answer_of_their_own_succeed,
    check_a_renamed_container_answers_to_its_new_id_alone,
    check_an_identity_that_is_none_is_refused,
    check_what_is_not_there_is_neither_frozen_nor_thawed,
)


async def _refused(asked: Awaitable[object], kind: type[Exception]) -> bool:
    try:
        await asyncio.wait_for(asked, timeout=30)
    except kind:
        return True
    return False


async def _fails(asked: Awaitable[object], number: int) -> bool:
    """Whether the agent refuses, with this errno."""
    try:
        await asyncio.wait_for(asked, timeout=30)
    except AgentError as error:
        return str(error).endswith(os.strerror(number))
    return False
