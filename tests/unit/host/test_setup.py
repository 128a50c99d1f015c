"""`firkin setup` on a host with a fault: what it writes mends it, and can be taken back."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from firkin import __version__
from firkin.cli.main import invoke
from firkin.cli.setup import _run_each
from firkin.faults.catalogue import FAULTS
from firkin.host.asker import Asker
from firkin.host.remedies import File, plan
from firkin.host.shells import SCRIPTS
from firkin.host.units import units
from firkin.host.written import Written
from firkin.pytest.home import Home, fresh_home
from firkin.settings import Settings
from tests.support.faulty_host import UID, World
from tests.unit.host import test_provoked

Said = Callable[..., str]


@pytest.fixture
def world() -> Iterator[World]:
    test_provoked.baseline(UID)
    with fresh_home((UID, UID)) as home:
        yield World(home, UID)


def setup(world: World, *words: str) -> str:
    """What `firkin setup WORDS --no-run` prints. In the child."""
    os.environ.clear()
    os.environ.update(world.env)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        invoke(["setup", "--no-run", *words])
    return said.getvalue()


def config(world: World) -> Path:
    return world.home.root / "config"


def files_of(world: World) -> list[str]:
    return sorted(str(path) for path in world.home.root.rglob("*") if "/shown/" not in str(path))


@pytest.mark.root
@pytest.mark.parametrize(
    ("fault_id", "fault"),
    [
        ("policy-missing", test_provoked.no_policy),
        ("registries-missing", test_provoked.no_registries),
        ("storage-vfs", test_provoked.no_storage_conf),
    ],
)
def test_what_is_written_makes_the_finding_disappear_and_undo_brings_it_back(
    fault_id: str, fault: Callable[[World], None], world: World
) -> None:
    def question() -> dict[str, Any]:
        before, files = world.look(), files_of(world)
        said = setup(world)
        mended = world.look()
        again = setup(world)
        setup(world, "--undo")
        return {
            "before": fault_id in before,
            "mended": set(before) - set(mended) == {fault_id} and set(mended) <= set(before),
            "said": f": {fault_id}\n" in said,
            "again": "wrote" in again,
            "undone": sorted(world.look()) == sorted(before) and files_of(world) == files,
        }

    assert world.tells(fault, question) == {
        "before": True,
        "mended": True,
        "said": True,
        "again": False,
        "undone": True,
    }


@pytest.mark.root
@pytest.mark.parametrize(
    ("fault_id", "fault"),
    [
        ("runtime-open", test_provoked.run_directory_for_everybody),
        ("credentials-open", test_provoked.logins_for_everybody),
    ],
)
def test_what_needs_neither_root_nor_a_file_is_done_at_once(
    fault_id: str, fault: Callable[[World], None], world: World
) -> None:
    chmod = Path(shutil.which("chmod") or "").read_bytes()

    def prepared(world: World) -> None:
        world.program("chmod").write_bytes(chmod)
        fault(world)

    def question() -> list[Any]:
        before = set(world.look())
        shown = setup(world, "--dry-run")
        unchanged = set(world.look()) == before
        setup(world)
        return ["would run chmod" in shown, unchanged, sorted(before - set(world.look()))]

    assert world.tells(prepared, question) == [True, True, [fault_id]]


@pytest.mark.parametrize("fault_id", ["kernel-missing", "kernel-unreadable", "kernel-modules"])
def test_a_kernel_is_installed_where_none_can_be_used(
    fault_id: str, home: Home, settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    planned = plan(
        Asker(settings=settings, environ=home.environ()), [FAULTS[fault_id].found()], systemd=False
    )
    assert planned.own == ("firkin kernel install",)
    assert planned.by_hand == ()
    _run_each(["firkin version --format '{{.Version}}'", "exit 3"])  # by the firkin that is running
    said = capfd.readouterr().out
    assert f"\n{__version__}\n" in said
    assert said.endswith("+ exit 3\n  ended with status 3\n")


def no_program(name: str) -> Callable[[World], None]:
    def fault(world: World) -> None:
        world.remove(world.binaries / name)

    return fault


_APT = """\
#!/bin/sh -p
there() { printf '%s\\n' '#!/bin/sh' "echo '$2'" > "{bin}/$1"; chmod "${3:-0755}" "{bin}/$1"; }
case "$*" in
    *uidmap*) there newuidmap '' 4755; there newgidmap '' 4755 ;;
    *iptables*) there iptables ;;
    *passt*) there pasta ;;
    *qemu-user-static*) cp {bin}/spare {bin}/qemu-aarch64-static ;;
    *qemu-system-x86*) there qemu 'QEMU emulator version 7.2.0' ;;
    *virtiofsd*) there virtiofsd ;;
    *ca-certificates*) echo certificate > /etc/ssl/certs/ca-certificates.crt ;;
esac
"""


def of_this_host() -> dict[str, bytes]:
    """The programs that fixes are made of, and chroot(8), which gives no right up that its file has."""
    found = {
        name: shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        for name in ("usermod", "sysctl", "tee", "chmod", "cp", "chroot")
    }
    return {name: Path(path).read_bytes() for name, path in found.items() if path}


def let_be_root(world: World, programs: dict[str, bytes]) -> None:
    """A sudo, what it is used for, and an apt that brings what packages have."""
    for name, content in programs.items():
        world.program(name, mode=0o4755 if name == "chroot" else 0o755).write_bytes(content)
    world.program("sudo").write_text(f'#!/bin/sh\nexec {world.binaries}/chroot / "$@"\n')
    world.program("apt").write_text(_APT.replace("{bin}", str(world.binaries)))
    world.program("modprobe")
    shutil.copy(world.binaries / "qemu-aarch64-static", world.binaries / "spare")


@pytest.mark.root
@pytest.mark.parametrize(
    ("fault_id", "fault"),
    [
        ("subids-missing", test_provoked.subordinate_ids_of_others_only),
        ("subids-small", test_provoked.a_thousand_ids),
        ("ping-range", test_provoked.nobody_may_ping),
        ("inotify-few", test_provoked.few_watches),
        ("tun-unusable", test_provoked.tun_of_root_only),
        ("fuse-unusable", lambda world: os.chmod("/dev/fuse", 0o600)),
        ("idmap-missing", test_provoked.no_newuidmap),
        ("idmap-powerless", test_provoked.newgidmap_without_its_bit),
        ("netavark-iptables", test_provoked.netavark_without_iptables),
        ("network-helper-missing", test_provoked.no_pasta),
        ("pasta-missing", test_provoked.slirp4netns_alone),
        ("emulator-missing", test_provoked.no_emulator),
        ("certificates-missing", test_provoked.no_certificates),
        ("qemu-missing", no_program("qemu")),
        ("virtiofsd-missing", no_program("virtiofsd")),
    ],
)
def test_what_root_runs_makes_the_finding_disappear(
    fault_id: str, fault: Callable[[World], None], world: World
) -> None:
    programs = of_this_host()

    def prepared(world: World) -> None:
        let_be_root(world, programs)
        fault(world)

    def question() -> list[Any]:
        before = set(world.look())
        setup(world, "--sudo")
        after = set(world.look())
        return [sorted(before - after), sorted(after - before)]

    assert world.tells(prepared, question) == [[fault_id], []]


@pytest.mark.root
def test_root_raises_a_limit_of_its_own() -> None:
    test_provoked.baseline(0)
    sysctl = of_this_host()["sysctl"]

    def prepared(world: World) -> None:
        world.program("sysctl").write_bytes(sysctl)
        test_provoked.no_more_user_namespaces(world)

    with fresh_home((0, 0)) as home:
        world = World(home, 0)

        def question() -> list[Any]:
            before = set(world.look())
            setup(world, "--sudo")
            return sorted(before - set(world.look()))

        assert world.tells(prepared, question) == ["userns-limited"]


@pytest.mark.root
def test_systemd_is_told_of_its_units_and_of_their_end(world: World) -> None:
    def prepared(world: World) -> None:
        world.memory("/run")
        Path("/run/systemd/system").mkdir(parents=True)
        for each in (Path("/run"), Path("/run/systemd"), Path("/run/systemd/system")):
            each.chmod(0o755)
        world.program("systemctl").write_text(f'#!/bin/sh\necho "$*" >> {world.home.work_dir}/told\n')

    def question() -> list[str]:
        setup(world)
        setup(world)
        setup(world, "--undo")
        return (world.home.work_dir / "told").read_text().splitlines()

    reload = "--user daemon-reload"
    started, stopped = "--user start firkin.socket", "--user stop firkin.socket"
    assert world.tells(prepared, question) == [reload, started, reload, stopped, reload]


@pytest.mark.root
def test_a_dry_run_writes_nothing(world: World) -> None:
    def question() -> list[Any]:
        before = files_of(world)
        said = setup(world, "--dry-run")
        return [said.count("would write"), files_of(world) == before]

    assert world.tells(test_provoked.no_policy, question) == [2, True]


@pytest.mark.root
def test_a_file_that_a_person_wrote_stays_and_its_difference_is_shown(world: World) -> None:
    conf = config(world) / "containers/storage.conf"
    theirs = '[storage]\ndriver = "vfs"\n'

    def fault(world: World) -> None:
        world.write(conf, theirs)

    def question() -> list[Any]:
        said = setup(world)
        return ['-driver = "vfs"\n+driver = "overlay"' in said, conf.read_text() == theirs]

    assert world.tells(fault, question) == [True, True]


@pytest.mark.root
def test_a_file_that_was_changed_since_survives_undo(world: World) -> None:
    policy = world.home.root / "home/.config/containers/policy.json"

    def question() -> list[Any]:
        setup(world)
        policy.write_text('{"default": [{"type": "reject"}]}')
        said = setup(world, "--undo")
        return [f"kept {policy}: it was changed since" in said, policy.exists()]

    assert world.tells(test_provoked.no_policy, question) == [True, True]


@pytest.mark.root
def test_a_registries_conf_that_says_something_is_not_hidden(world: World) -> None:
    def fault(world: World) -> None:
        world.write("/etc/containers/registries.conf", '[[registry]]\nlocation = "mirror.test"\n')

    def question() -> list[Any]:
        said = setup(world)
        return ["for you to decide: registries-missing" in said, (config(world) / "containers").exists()]

    assert world.tells(fault, question) == [True, False]


@pytest.mark.root
def test_commands_for_root_are_shown_in_one_block_or_run(world: World) -> None:
    def fault(world: World) -> None:
        test_provoked.subordinate_ids_of_others_only(world)
        world.program("sudo")
        (world.binaries / "sudo").write_text(f'#!/bin/sh\necho "$@" >> {world.home.work_dir}/asked\n')

    def question() -> list[Any]:
        shown = setup(world)
        asked = world.home.work_dir / "asked"
        unasked = not asked.exists()
        setup(world, "--sudo")
        return ["    sudo usermod --add-subuids" in shown, unasked, asked.read_text().split()[:2]]

    assert world.tells(fault, question) == [True, True, ["usermod", "--add-subuids"]]


def test_a_file_of_ours_is_brought_up_to_date(home: Home, settings: Settings) -> None:
    written = Written(home.root / "setup.json")
    old = File(path=str(home.work_dir / "a/b"), text="old\n", purpose="x")
    new = File(path=old.path, text="new\n", purpose="x")
    assert written.write([old]) == [old]
    assert written.untouched() == {old.path}
    assert written.write([new]) == [new]
    assert Path(old.path).read_text() == "new\n"
    assert written.undo() == ([old.path], [])
    assert list(home.work_dir.iterdir()) == []


def test_a_file_that_appears_meanwhile_is_not_written_over(home: Home) -> None:
    written = Written(home.root / "setup.json")
    file = File(path=str(home.work_dir / "conf"), text="ours\n", purpose="x")
    Path(file.path).write_text("theirs\n")
    assert written.write([file]) == []
    assert written.undo() == ([], [file.path])
    assert Path(file.path).read_text() == "theirs\n"


def test_where_systemd_runs_units_of_the_users_are_planned(home: Home, settings: Settings) -> None:
    asker = Asker(settings=settings, environ=home.environ())
    planned = plan(asker, [], systemd=True)
    assert "sudo loginctl enable-linger user" in planned.commands
    written = Written(home.root / "setup.json")
    written.write(planned.files)
    place = home.root / "config/systemd/user"
    service, sock = place / "firkin.service", place / "firkin.socket"
    assert (place / "default.target.wants/firkin.service").resolve() == service
    assert (place / "sockets.target.wants/firkin.socket").resolve() == sock
    words = f"-m firkin.supervisor --foreground {settings.data_dir} {settings.run_dir}\n"
    assert words in service.read_text()
    lines = sock.read_text().splitlines()
    assert f"ListenStream={settings.paths.supervisor_socket_path}" in lines
    assert "SocketMode=0600" in lines
    if judge := shutil.which("systemd-analyze"):
        verified = subprocess.run(
            [judge, "verify", "--man=no", service, sock], capture_output=True, text=True
        )
        assert "firkin." not in verified.stderr, verified.stderr
    written.undo()
    assert list((home.root / "config").iterdir()) == []


def test_what_systemd_expands_in_a_path_stays_as_it_is(settings: Settings) -> None:
    odd = msgspec.structs.replace(settings, run_dir="/run/100% of $x", data_dir='/a "b"')
    (_, sock, _), (_, service, _) = units(odd)
    assert "ListenStream=/run/100%% of $x/supervisor.sock\n" in sock
    assert ' "/a \\"b\\"" "/run/100%% of $$x"\n' in service


def test_a_socket_that_systemd_cannot_bind_is_left_to_the_service(settings: Settings) -> None:
    long = msgspec.structs.replace(settings, run_dir="/run/" + "x" * 100)
    ((name, text, _),) = units(long)
    assert name == "firkin.service"
    assert "firkin.socket" not in text
    assert list(units(msgspec.structs.replace(settings, run_dir="/run/a\nExecStart=b"))) == []


def test_completion_is_written_for_the_shells_that_are_used(home: Home, settings: Settings) -> None:
    asker = Asker(settings=settings, environ=home.environ())
    (asker.home).mkdir(exist_ok=True, parents=True)
    bash_alone = {each.purpose.partition(",")[0] for each in plan(asker, [], systemd=False).files}
    (asker.home / ".zshrc").touch()
    (asker.config_home / "fish").mkdir(parents=True)
    files = {each.purpose.partition(",")[0]: each for each in plan(asker, [], systemd=False).files}
    assert bash_alone == {"completion in bash"}
    assert {name.rpartition(" ")[2]: file.text for name, file in files.items()} == SCRIPTS
