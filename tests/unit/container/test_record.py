"""Records: whole or not there, owned by one, and honest about what they do not know."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys

import pytest

from firkin.container import leftovers, names, record
from firkin.container.naming import new_id
from firkin.container.record import LOST, Created, Exited, Running
from firkin.container.spec import ContainerSpec
from firkin.errors import ContainerNotFound, Corrupt, InUse, NameInUse, UsageError
from firkin.paths import Paths
from firkin.process.spec import ExitStatus, ProcessSpec
from tests.support.kills import survives

RUNNING = Running(pid=1, started_ns=5, accelerator="tcg")
ENDED = Exited(status=ExitStatus(code=3), finished_ns=9, started_ns=5)


@pytest.fixture
def paths(tmp_path):
    return Paths(tmp_path / "data", tmp_path / "run")


def spec(name="web", **more):
    process = more.pop("process", ProcessSpec(args=("true",)))
    return ContainerSpec(
        id=more.pop("id", new_id()),
        name=name,
        image="busybox",
        image_digest="sha256:" + "0" * 64,
        rootfs_key="k",
        process=process,
        created_ns=1,
        hostname="h",
        **more,
    )


def make(paths, name="web", **more):
    made, lock = record.create(paths, spec(name, **more))
    lock.close()
    return made


def test_a_container_goes_through_its_states(paths):
    wanted = spec()
    made, lock = record.create(paths, wanted)
    assert made.spec() == wanted
    assert made.state() == Created()
    with made.hold_alive():
        made.set_running(RUNNING)
        assert made.state() == RUNNING
    made.set_exited(ENDED)
    assert made.state() == ENDED
    made.remove()
    lock.close()
    assert list(record.records(paths)) == []
    assert os.listdir(paths.containers_dir) == []
    for gone in (made.state, made.spec, made.own):
        with pytest.raises(ContainerNotFound):
            gone()


def test_the_first_end_is_the_one_that_counts(paths):
    made = make(paths)
    made.set_exited(ENDED)
    made.set_exited(Exited(status=LOST, finished_ns=10))
    assert made.state() == ENDED


def test_a_container_that_is_started_again_has_ended_as_before_until_it_runs(paths):
    made = make(paths)
    made.set_running(RUNNING)
    made.set_exited(ENDED)
    made.begin_again(ENDED)
    assert made.state() == ENDED
    assert made.is_begun()
    again = Running(pid=2, started_ns=7, accelerator="tcg")
    with made.hold_alive():
        made.set_running(again)
        assert made.state() == again
        assert not made.is_begun()
    second = Exited(status=ExitStatus(code=4), finished_ns=11, started_ns=7)
    made.set_exited(second)
    assert made.state() == second


def test_an_end_that_nobody_saw_is_on_record_before_the_next_start(paths):
    made = make(paths)
    made.set_running(RUNNING)
    made.set_exited(ENDED)
    made.begin_again(ENDED)
    made.set_running(Running(pid=2, started_ns=7, accelerator="tcg"))
    lost = made.state()
    assert (lost.status, lost.started_ns) == (LOST, 7)
    made.begin_again(lost)
    assert made.state() == lost


def test_a_running_container_whose_machine_is_gone_has_ended(paths):
    made = make(paths)
    made.set_running(RUNNING)
    state = made.state()
    assert isinstance(state, Exited)
    assert (state.status, state.started_ns, state.reason) == (LOST, 5, "its machine ended")


def test_the_machine_keeps_the_container_alive_after_its_owner_died(paths):
    made = make(paths)
    with made.hold_alive() as alive:
        vmm = subprocess.Popen(["sleep", "1000"], pass_fds=[alive.fd])
    made.set_running(RUNNING)
    assert made.is_alive()
    assert made.state() == RUNNING
    with pytest.raises(InUse, match="still has a machine"):
        made.hold_alive()
    vmm.kill()
    vmm.wait()
    assert not made.is_alive()


def test_a_container_has_one_owner(paths):
    made, lock = record.create(paths, spec())
    assert made.is_owned()
    with pytest.raises(InUse, match="owned by another process"):
        made.own()
    lock.close()
    assert not made.is_owned()
    made.own().close()


def test_two_containers_never_have_one_name(paths):
    first = make(paths)
    with pytest.raises(NameInUse, match=f"'web' is in use by {first.id[:12]}"):
        make(paths)
    assert [each.id for each in record.records(paths)] == [first.id]
    first.remove()
    assert make(paths).spec().name == "web"


def test_two_who_take_a_name_at_once_are_told_apart(paths):
    script = (
        "import sys; from pathlib import Path; sys.path[:0] = [sys.argv[3]]\n"
        "from test_record import make; from firkin.paths import Paths; from firkin.errors import NameInUse\n"
        "sys.stdin.read()\n"
        "try: print(make(Paths(Path(sys.argv[1]), Path(sys.argv[2]))).id)\n"
        "except NameInUse: print('in use')\n"
    )
    here = os.path.dirname(__file__)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", script, str(paths.data), str(paths.run), here]
    rivals = [subprocess.Popen(argv, stdin=-1, stdout=-1, text=True, env=env) for _ in range(4)]
    for rival in rivals:
        rival.stdin.close()
    said = sorted(rival.stdout.read().strip() for rival in rivals)
    for rival in rivals:
        rival.stdout.close()
        rival.wait()
    (made,) = record.records(paths)
    assert sorted([made.id, "in use", "in use", "in use"]) == said


def test_a_crash_while_making_leaves_nothing_but_what_the_next_sweep_takes(paths):
    lines = []

    def crash_at(line):
        pid = os.fork()
        if pid:
            return os.waitpid(pid, 0)[1]
        count = 0

        def count_lines(frame, event, _):
            nonlocal count
            if "firkin" in frame.f_code.co_filename and event == "line":
                count += 1
                if count == line:
                    os.kill(os.getpid(), signal.SIGKILL)
            return count_lines

        sys.settrace(count_lines)
        record.create(paths, spec("crashed"))
        os._exit(0)

    for line in range(1, 1000, 7):
        status = crash_at(line)
        lines.append(line)
        for each in record.records(paths):
            assert each.state() == Created()
            assert names.of(paths).lookup("crashed") == each.id
            each.remove()
        leftovers.sweep(paths.containers_dir)
        left = os.listdir(paths.containers_dir) if paths.containers_dir.exists() else []
        assert [name for name in left if (paths.containers_dir / name / "lock").exists()] == []
        if status == 0:
            break
    assert len(lines) > 10
    make(paths, "crashed")


def test_a_sweep_leaves_alone_what_is_being_made(paths):
    wanted = spec()
    making = paths.containers_dir / f".{wanted.id}.new"
    making.mkdir(parents=True)
    (making / "lock").touch()
    lock = record.take(making / "lock", "")
    assert leftovers.sweep(paths.containers_dir) == 0
    lock.close()
    assert leftovers.sweep(paths.containers_dir) == 1
    assert not making.exists()


@pytest.mark.parametrize("damage", [b"", b"{", b'{"is": "flying"}', b"\xff\xfe", b'{"id": 3}'])
@pytest.mark.parametrize("file", ["spec.json", "state.json", "exit.json"])
def test_a_record_that_cannot_be_read_is_reported_with_what_to_do(paths, file, damage):
    made = make(paths)
    (made.dir / file).write_bytes(damage)
    assert list(record.records(paths)) == [made]
    with pytest.raises(Corrupt) as caught:
        made.spec() if file == "spec.json" else made.state()
    assert made.id[:12] in caught.value.hint
    made.remove()
    assert list(record.records(paths)) == []
    make(paths)


def test_a_missing_file_of_a_record_is_corruption_not_absence(paths):
    made = make(paths)
    (made.dir / "state.json").unlink()
    with pytest.raises(Corrupt, match="has no state"):
        made.state()


def test_containers_are_found_by_name_id_and_the_beginning_of_the_id(paths):
    made, other = make(paths), make(paths, "other")
    assert (
        record.find(paths, "web") == record.find(paths, made.id) == record.find(paths, made.id[:12]) == made
    )
    assert record.find(paths, "other") == other
    for text in ("", "nosuch", "..", "web/..", "f" * 63, ".lock"):
        with pytest.raises(ContainerNotFound):
            record.find(paths, text)


def test_a_beginning_that_fits_several_is_refused(paths):
    make(paths, "one", id="ab" + "0" * 62)
    make(paths, "two", id="ab" + "1" * 62)
    with pytest.raises(UsageError, match="several"):
        record.find(paths, "ab")
    assert record.find(paths, "ab0").spec().name == "one"


@pytest.mark.parametrize("name", ["", "a", "-x", ".x", "a b", "a/b", "ä" * 3, "x" * 129, "0" * 64])
def test_odd_names_are_refused(paths, name):
    with pytest.raises(UsageError):
        names.of(paths).validate(name)


def test_made_up_names_are_valid_and_free(paths):
    for _ in range(50):
        name = names.make_up(paths)
        assert names.of(paths).validate(name) == name
        make(paths, name)
    assert len(set(names.of(paths).ids())) == 50


def test_a_spec_that_json_cannot_hold_is_the_callers_mistake(paths):
    with pytest.raises(UsageError, match="UTF-8"):
        make(paths, process=ProcessSpec(args=(os.fsdecode(b"\xff"),)))
    assert list(record.records(paths)) == []


def test_a_container_that_is_to_be_started_later_says_so(paths):
    made, lock = record.create(paths, spec(), kept=True)
    lock.close()
    assert made.state() == Created(kept=True)


def test_a_new_name_finds_it_and_the_old_one_is_free(paths):
    made, other = make(paths), make(paths, "other")
    renamed = made.rename("site")
    assert made.spec() == renamed
    assert renamed.name == "site"
    assert record.find(paths, "site") == made
    with pytest.raises(ContainerNotFound):
        record.find(paths, "web")
    make(paths, "web")
    for refused, name in ((NameInUse, "other"), (UsageError, "bad/name")):
        with pytest.raises(refused):
            made.rename(name)
        assert record.find(paths, "site") == made
        assert made.spec().name == "site"
    assert record.find(paths, "other") == other
    assert made.rename("site") == renamed, "which it has"
    assert record.find(paths, "site") == made


def test_a_rename_that_is_cut_off_at_any_line_leaves_one_name_once_it_is_tidied(paths):
    for line in itertools.count(1):
        made = make(paths, f"old{line}")
        over = survives(line, lambda made=made, line=line: made.rename(f"new{line}"))
        name = made.spec().name
        assert name in (f"old{line}", f"new{line}")
        assert record.find(paths, name) == made, "found by the name that it shows at any time"
        names.of(paths).settle(lambda each: record.Record(paths, each).spec().name)
        links = [link.name for link in paths.names_dir.iterdir() if not link.name.startswith(".")]
        assert links == [name]
        made.remove()
        if over:
            return


_AT_ONCE = """
import sys, threading
from pathlib import Path
from firkin.container.record import Record
from firkin.paths import Paths

sys.setswitchinterval(1e-6)
found = Record(Paths(Path(sys.argv[1]), Path(sys.argv[2])), sys.argv[3])
start = threading.Barrier(8)
threads = [threading.Thread(target=lambda: (start.wait(), found.spec())) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_threads_that_read_their_first_records_at_once_do_not_end_their_process(paths):
    made = make(paths)
    for _ in range(3):
        argv = [sys.executable, "-c", _AT_ONCE, str(paths.data), str(paths.run), made.id]
        assert subprocess.run(argv, timeout=120).returncode == 0
