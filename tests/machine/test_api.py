"""One container, seen through the blocking API: what a process in it is given, and how one talks to it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import firkin
from firkin import Container, Engine, Settings
from firkin.pytest.home import Home, fresh_home, session_dir
from tests.support.images import busybox_tar

pytestmark = pytest.mark.machine

MIB = 1 << 20


@pytest.fixture(scope="module")
def module_home() -> Iterator[Home]:
    with fresh_home() as home:
        home.share_cache(session_dir() / "shared" / "cache")
        (home.work_dir / "dir").mkdir()
        (home.work_dir / "dir" / "inside").write_text("from the host\n")
        (home.work_dir / "file").write_text("one file\n")
        (home.work_dir / "neighbour").write_text("not shared\n")
        (home.work_dir / "link").symlink_to("file")
        yield home


@pytest.fixture(scope="module")
def engine(module_home: Home) -> Iterator[Engine]:
    with Engine(Settings.load(module_home.environ())) as engine:
        archive = module_home.root / "busybox.tar"
        archive.write_bytes(busybox_tar())
        engine.import_image(archive, "busybox", changes=["ENV FROM=image", "ENV BOTH=image", "WORKDIR /home"])
        yield engine


@pytest.fixture(scope="module")
def box(engine: Engine, module_home: Home) -> Iterator[Container]:
    """A container with one of everything."""
    work = module_home.work_dir
    with engine.run(
        "busybox",
        ["sh", "-c", "trap 'echo caught >&2' USR1; echo begun; while :; do read line; echo got $line; done"],
        name="box",
        hostname="harbour",
        stdin=True,
        env={"BOTH": "run", "ONLY": "run"},
        cpus=2,
        memory="200m",
        disk="3g",
        shm_size="8m",
        tmpfs=["/fast:size=4m,mode=1777"],
        volumes=[
            *(f"{work}/dir:/shared", f"{work}/dir:/shared-ro:ro", f"{work}/file:/etc/one-file:ro"),
            f"{work}/link:/etc/linked",
        ],
        publish=["127.0.0.1::8080"],
        labels={"kind": "box"},
    ) as container:
        yield container


def said(box: Container, *command: str, **words: object) -> str:
    """What `command` prints, when it succeeds."""
    return str(box.exec(command, **words).output(check=True, text=True).stdout).rstrip("\n")  # type: ignore[arg-type]


def sh(box: Container, script: str, **words: object) -> str:
    return said(box, "sh", "-c", script, **words)


def test_output_can_be_bounded(box: Container) -> None:
    command = ["head", "-c", "100000", "/dev/zero"]
    cut = box.exec(command).output(limit="1k", truncate=True, text=True)
    assert (len(cut.stdout), cut.truncated, cut.ok) == (1024, True, True)
    assert len(box.exec(command).output(limit=100_000).stdout) == 100_000
    with pytest.raises(firkin.ProcessError, match=r"1kB \(1000 bytes\)"):
        box.exec(command).output(limit=1000)
    with pytest.raises(firkin.UsageError, match="limit: -1 is negative"):
        box.exec(command).output(limit=-1)


# --- processes ---------------------------------------------------------------------------------------------


def test_both_streams_and_the_status_come_back_apart(box: Container) -> None:
    output = box.exec(["sh", "-c", "echo out; echo err >&2; exit 7"]).output()
    assert (output.stdout, output.stderr, output.status.code, output.ok) == (b"out\n", b"err\n", 7, False)


def test_input_streams_in_and_ends(box: Container) -> None:
    data = bytes(range(256)) * 8192
    output = box.exec(["sh", "-c", "tee /dev/stderr | md5sum"], stdin=True).output(data)
    assert output.stderr == data
    assert box.exec(["md5sum"], stdin=True).output(data).stdout == output.stdout


def test_input_that_nobody_reads_is_dropped_as_by_subprocess(box: Container) -> None:
    assert box.exec(["true"], stdin=True).output(b"x" * MIB).ok


def test_a_process_without_standard_input_reads_its_end(box: Container) -> None:
    assert said(box, "cat") == ""
    with pytest.raises(firkin.UsageError, match="no standard input"):
        box.exec(["cat"]).output(b"data")


def test_a_conversation_goes_line_by_line(box: Container) -> None:
    with box.exec(["sh", "-c", "while read a; do echo got $a; done; echo bye"], stdin=True) as process:
        assert process.stdin is not None
        for word in (b"one", b"two"):
            process.stdin.write(word + b"\n")
            assert process.stdout.readline() == b"got " + word + b"\n"
        process.stdin.close()
        assert list(process.stdout) == [b"bye\n"]
        assert process.wait().ok


def test_a_terminal_has_a_size_echoes_and_is_one_stream(box: Container) -> None:
    size = firkin.TerminalSize(rows=11, cols=55)
    with box.exec(
        ["sh", "-c", "tty; stty size; read x; stty size; echo err >&2"], terminal=size, stdin=True
    ) as sh:
        assert sh.stdin is not None
        assert sh.stdout.readline().startswith(b"/dev/pts/")
        assert sh.stdout.readline() == b"11 55\r\n"
        sh.resize(22, 66)
        sh.stdin.write(b"word\n")
        assert sh.stdout.read() == b"word\r\n22 66\r\nerr\r\n"
        assert sh.stderr.read() == b""
        assert sh.wait().ok


def test_a_signal_is_an_exit_by_signal(box: Container) -> None:
    with box.exec(["sleep", "1000"]) as sleeping:
        sleeping.terminate()
        status = sleeping.wait()
    assert (status.signal, status.code, status.status, str(status)) == (15, None, 143, "killed by SIGTERM")
    sleeping.kill()  # it has ended: nothing happens


def test_leaving_the_block_kills_the_process(box: Container) -> None:
    with box.exec(["sleep", "999"]) as sleeping:
        assert sleeping.pid > 0
    assert not any("999" in row.args for row in box.top())


@pytest.mark.parametrize(
    ("command", "error", "exit_status"),
    [
        (["no-such-command"], firkin.CommandNotFound, 127),
        (["/no/such/path"], firkin.CommandNotFound, 127),
        (["/etc/passwd"], firkin.CommandNotExecutable, 126),
        (["/etc"], firkin.CommandNotExecutable, 126),
    ],
)
def test_a_command_that_cannot_start_is_an_error_that_names_it(
    box: Container, command: list[str], error: type[firkin.FirkinError], exit_status: int
) -> None:
    with pytest.raises(error) as refused:
        box.exec(command)
    assert command[0] in str(refused.value)
    assert refused.value.exit_status == exit_status


def test_check_raises_with_what_was_said(box: Container) -> None:
    with pytest.raises(firkin.CommandFailed, match=r"exit status 3: oh no") as failed:
        box.exec(["sh", "-c", "echo partial; echo oh no >&2; exit 3"]).output(check=True, text=True)
    assert failed.value.output.stdout == "partial\n"
    assert failed.value.exit_status == 3


def test_a_timeout_kills_the_process_and_says_what_took_so_long(box: Container) -> None:
    with pytest.raises(firkin.Timeout, match=r"'sleep' in container 'box' took longer than 0.3 s"):
        box.exec(["sleep", "998"]).output(timeout=0.3)
    assert not any("998" in row.args for row in box.top())


def test_output_that_is_no_utf8_does_not_break_text(box: Container) -> None:
    assert box.exec(["printf", r"\377ok"]).output(text=True).stdout == "�ok"


def test_a_process_that_nobody_reads_waits_and_goes_on_when_it_is_read(box: Container) -> None:
    with box.exec(["sh", "-c", "dd if=/dev/zero bs=1M count=4 2>/dev/null; echo done >&2"]) as writer:
        with pytest.raises(firkin.Timeout):
            writer.wait(timeout=0.5)
        assert len(writer.stdout.read()) == 4 * MIB
        assert writer.stderr.read() == b"done\n"


def test_two_processes_run_at_once(box: Container) -> None:
    results: list[bytes] = []
    threads = [
        threading.Thread(
            target=lambda: results.append(box.exec(["sh", "-c", "echo x; sleep 0.2"]).output().stdout)
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == [b"x\n"] * 8


# --- what a process is given -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", "0:0:0"),
        ("guest", "1000:1000:1000 6"),
        ("1000", "1000:1000:1000 6"),
        ("guest:daemon", "1000:1:1"),
        ("4321:1234", "4321:1234:1234"),
    ],
)
def test_a_user_is_known_by_name_and_number(box: Container, user: str, expected: str) -> None:
    uid, gid, groups = sh(box, "id -u; id -g; id -G", user=user).splitlines()
    assert (uid, gid) == tuple(expected.split(":")[:2])
    assert set(groups.split()) == set(expected.split(":")[2].split())


def test_an_unknown_user_is_refused_by_name(box: Container) -> None:
    with pytest.raises(firkin.UsageError, match="unknown user 'nobody-here'"):
        box.exec(["true"], user="nobody-here")


def test_the_environment_is_the_images_the_containers_and_the_processs(box: Container) -> None:
    env = dict(line.split("=", 1) for line in said(box, "env", env={"ONLY": "exec"}).splitlines())
    assert (env["FROM"], env["BOTH"], env["ONLY"], env["HOME"]) == ("image", "run", "exec", "/root")
    assert env["HOSTNAME"] == "harbour"


def test_the_working_directory_is_the_images_or_the_one_asked_for(box: Container) -> None:
    assert said(box, "pwd") == "/home"
    assert said(box, "pwd", workdir="/etc") == "/etc"


def test_the_container_knows_its_name_and_its_own_processes_only(box: Container) -> None:
    assert said(box, "hostname") == "harbour"
    assert "harbour" in said(box, "cat", "/etc/hosts")
    assert sh(box, "hostname -i") == "10.0.2.15"
    assert sh(box, "cat /proc/1/comm") == "sh"


def test_memory_processors_and_disk_are_what_was_asked_for(box: Container) -> None:
    assert said(box, "nproc") == "2"
    total_kib = int(sh(box, "awk '/MemTotal/ {print $2}' /proc/meminfo"))
    assert 120 * 1024 < total_kib <= 200 * 1024
    disk_kib = int(sh(box, "df -k / | awk 'NR==2 {print $2}'"))
    assert 2.7 * MIB < disk_kib <= 3 * MIB
    assert sh(box, "df -k /dev/shm | awk 'NR==2 {print $2}'") == "8192"


def test_a_tmpfs_is_as_large_as_said_and_not_executable(box: Container) -> None:
    assert sh(box, "df -k /fast | awk 'NR==2 {print $2}'") == "4096"
    assert sh(box, "stat -c %a /fast") == "1777"
    sh(box, "cp /bin/busybox /fast/x; chmod +x /fast/x")
    with pytest.raises(firkin.CommandNotExecutable):
        box.exec(["/fast/x"])


def test_a_host_directory_is_shared_both_ways(box: Container, module_home: Home) -> None:
    assert said(box, "cat", "/shared/inside") == "from the host"
    sh(box, "echo back > /shared/new")
    assert (module_home.work_dir / "dir" / "new").read_text() == "back\n"
    (module_home.work_dir / "dir" / "later").write_text("later\n")
    assert said(box, "cat", "/shared/later") == "later"


def test_a_read_only_directory_and_a_single_file_cannot_be_written(box: Container) -> None:
    assert said(box, "cat", "/shared-ro/inside") == "from the host"
    assert not box.exec(["touch", "/shared-ro/x"]).output().ok
    assert said(box, "cat", "/etc/one-file") == "one file"
    assert not box.exec(["sh", "-c", "echo x > /etc/one-file"]).output().ok


def test_a_single_file_that_is_a_link_is_what_it_leads_to(box: Container, module_home: Home) -> None:
    assert sh(box, "cat /etc/linked; stat -c %F /etc/linked; echo more >> /etc/linked").splitlines() == [
        "one file",
        "regular file",
    ]
    assert (module_home.work_dir / "file").read_text() == "one file\nmore\n"
    (module_home.work_dir / "file").write_text("one file\n")


def test_what_tells_of_the_kernel_is_out_of_reach(box: Container) -> None:
    assert sh(box, "head -c 1 /proc/kcore | wc -c") == "0"
    assert not box.exec(["sh", "-c", "echo 1 > /proc/sys/kernel/panic"]).output().ok
    assert not box.exec(["mount", "-t", "tmpfs", "none", "/tmp"]).output().ok


def test_a_published_port_reaches_the_container(box: Container) -> None:
    (port,) = box.ports
    assert (port.host_ip, port.guest_port) == ("127.0.0.1", 8080)
    with box.exec(["nc", "-l", "-p", "8080", "-e", "cat"]):
        replies = (ask(port.host_ip, port.host_port, b"through") for _ in range(200))
        assert next(filter(None, replies)) == b"through"


def ask(host: str, port: int, question: bytes) -> bytes:
    """What is answered there; nothing as long as nobody listens."""
    try:
        with socket.create_connection((host, port), timeout=10) as client:
            client.sendall(question)
            client.shutdown(socket.SHUT_WR)
            return client.recv(100)
    except ConnectionError:
        return b""


# --- the container -----------------------------------------------------------------------------------------


def test_its_first_process_can_be_talked_to_signalled_and_read_from_the_start(box: Container) -> None:
    first = box.attach(stdin=True)
    assert first.stdin is not None
    assert first.stdout.readline() == b"begun\n"
    first.stdin.write(b"ping\n")
    assert first.stdout.readline() == b"got ping\n"
    box.kill("USR1")
    first.stdin.write(b"\n")
    assert first.stderr.readline() == b"caught\n"
    logged = b"".join(record.data for record in box.logs() if record.stream == "stdout")
    assert logged.startswith(b"begun\ngot ping\n")
    late = box.attach()
    assert late.stdout.readline() == b"begun\n"


def test_it_is_listed_inspected_and_found_by_name_and_id(box: Container, engine: Engine) -> None:
    (listed,) = [each for each in engine.containers() if each.spec.name == "box"]
    assert listed.spec.id == box.id
    assert engine.container("box").id == engine.container(box.id[:10]).id == box.id
    facts = box.inspect()
    assert (facts["Name"], facts["State"]["Running"], facts["Config"]["Labels"]) == (
        "box",
        True,
        {"kind": "box"},
    )
    assert repr(box) == f"<Container box {box.id[:12]}>"


def test_its_name_is_taken_while_it_is_there(box: Container, engine: Engine) -> None:
    with pytest.raises(firkin.NameInUse, match=box.id[:12]):
        engine.run("busybox", ["true"], name="box")
    assert [each.spec.name for each in engine.containers(all=True)] == ["box"]


def test_its_image_cannot_go_while_it_stands_on_it(box: Container, engine: Engine) -> None:
    with pytest.raises(firkin.InUse, match="box"):
        engine.remove_image("busybox")


def test_its_top_shows_its_processes(box: Container) -> None:
    first = box.top()[0]
    assert (first.pid, first.args[0]) == (1, "sh")


def test_it_cannot_be_removed_by_mistake(box: Container) -> None:
    with pytest.raises(firkin.WrongState, match="is running"):
        box.remove()


def test_a_mistake_is_refused_before_anything_is_made(engine: Engine, tmp_path: Path) -> None:
    before = len(engine.containers(all=True))
    with pytest.raises(firkin.UsageError, match="does not exist"):
        engine.run("busybox", ["true"], volumes=[f"{tmp_path}/missing:/x"])
    with pytest.raises(firkin.UsageError, match="names no command"):
        engine.run("busybox", entrypoint="")
    assert len(engine.containers(all=True)) == before
