"""Users and files of containers in namespaces: whose ids they are, who owns what on both sides, what was
changed; for root and for a user without rights.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from firkin.linux.subordinate_ids import of
from firkin.pytest import leaks
from firkin.pytest.command import FIRKIN, Command
from firkin.pytest.home import fresh_home
from tests.machine.test_namespaces import Host
from tests.support.user import User

APART = ("--isolation", "namespace", "--network", "none")
PAGE = Path(__file__).parents[2] / "docs" / "reference" / "users.md"
FOREVER = ("sleep", "100000")


@pytest.fixture(scope="module")
def root() -> Iterator[Host]:
    if os.geteuid() != 0:
        pytest.skip("root's containers need root")
    with fresh_home() as home:
        yield Host(Command(FIRKIN, home.environ(), home.work_dir), home, 0)
        leaks.dismiss_supervisor(str(home.root))


@pytest.fixture(scope="module")
def user(unprivileged: User) -> Host:
    return Host(unprivileged.firkin, unprivileged.home, unprivileged.uid)


@pytest.fixture(scope="module", params=["root", "user"])
def host(request: pytest.FixtureRequest) -> Host:
    found: Host = request.getfixturevalue(request.param)
    return found


def uid_map(host: Host, name: str) -> list[list[int]]:
    text = Path(f"/proc/{host.pid(name)}/uid_map").read_text()
    return [list(map(int, line.split())) for line in text.splitlines()]


def test_two_containers_with_ids_of_their_own_share_none_and_give_them_back(host: Host) -> None:
    run = ("run", "-d", *APART, "--userns", "auto:size=3000")
    for name in ("one", "two"):
        host.firkin(*run, "--name", name, "busybox", *FOREVER, check=True)
    ((_, first, _),), ((_, second, _),) = uid_map(host, "one"), uid_map(host, "two")
    assert abs(first - second) >= 3000
    assert host.sh("one", "id -u; echo x > /f; stat -c %u /f").split() == ["0", "0"]
    assert (host.upper("one") / "f").stat().st_uid == first
    assert os.stat(f"/proc/{host.pid('two')}").st_uid == second
    shown = host.firkin("inspect", "-f", "{{.HostConfig.UsernsMode}}", "one", check=True).stdout
    assert shown == "auto:size=3000\n"
    host.firkin("rm", "-f", "one", check=True)
    host.firkin(*run, "--name", "three", "busybox", *FOREVER, check=True)
    assert uid_map(host, "three")[0][1] == first
    host.firkin("rm", "-f", "two", "three", check=True)


def test_where_one_id_is_mapped_images_run_that_have_no_more_and_others_leave_nothing(user: Host) -> None:
    single = ("--uidmap", "0:0:1")
    said = user.run(
        "sh", "-c", "id -u; id -G; cat /proc/self/setgroups; touch /x && echo written", flags=single
    )
    assert said.split() == ["0", "0", "deny", "written"]
    grouped = user.firkin("run", "--rm", *APART, *single, "--group-add", "5", "busybox", "true")
    assert (grouped.status, "setgroups" in grouped.stderr) == (125, True)
    before = sorted((user.home.data_dir / "rootfs").iterdir())
    user.firkin("run", "--name", "other", *APART, "busybox", "sh", "-c", "touch /f; chown 7 /f", check=True)
    user.firkin("commit", "other", "many", check=True)
    refused = user.firkin("run", "--rm", *APART, *single, "many", "true")
    assert refused.status == 125
    assert "'/f' belongs to uid 7, which the container's id map lacks" in refused.stderr
    assert sorted((user.home.data_dir / "rootfs").iterdir()) == before
    user.firkin("rm", "other", check=True)


def test_whoever_is_kept_is_himself_inside_and_owns_what_he_makes(user: Host) -> None:
    shared = user.home.work_dir / "kept"
    shared.mkdir()
    os.chown(shared, user.uid, -1)
    said = user.run(
        "sh", "-c", "id -u; echo x > /s/mine", flags=("--userns", "keep-id", "-v", f"{shared}:/s")
    )
    assert said == f"{user.uid}\n"
    assert (shared / "mine").stat().st_uid == user.uid
    as_root = ("--userns", "keep-id:uid=5,gid=6", "-v", f"{shared}:/s", "-u", "0")
    assert user.run("stat", "-c", "%u", "/s/mine", flags=as_root) == "5\n"
    assert user.run("id", "-g", flags=("--userns", "keep-id:uid=5,gid=6")) == "6\n"


def test_files_are_given_away_once_and_never_beyond_a_link(host: Host) -> None:
    shared, outside = host.home.work_dir / "given", host.home.work_dir / "outside"
    (shared / "deep").mkdir(parents=True)
    outside.write_text("mine")
    (shared / "deep/link").symlink_to(outside)
    (shared / "file").touch()
    gid = host.home.work_dir.stat().st_gid
    for path in (shared, shared / "deep", shared / "deep/link", shared / "file", outside):
        os.chown(path, host.uid, gid, follow_symlinks=False)
    (host.home.work_dir / "way").symlink_to(shared)
    flags = ("--userns", "auto:size=2000", "-u", "100:200", "-v", "./way:/s:U")
    script = "stat -c %u:%g /s /s/deep /s/file; touch /s/deep/new"
    host.firkin("run", "--name", "given", *APART, *flags, "busybox", "sh", "-c", script, check=True)
    assert host.firkin("logs", "given", check=True).stdout.split() == ["100:200"] * 3
    mapped = json.loads(host.firkin("inspect", "given", check=True).stdout)[0]["HostConfig"]["IDMappings"]
    first = int(mapped["UidMap"][0].split(":")[1])
    assert [path.lstat().st_uid - first for path in (shared / "file", shared / "deep/link")] == [100, 100]
    assert (outside.stat().st_uid, outside.read_text()) == (host.uid, "mine")
    os.chown(shared / "file", host.uid, -1)
    host.firkin("start", "given", check=True)
    host.firkin("wait", "given", check=True)
    assert (shared / "file").stat().st_uid == host.uid, "it has run before"
    host.firkin("rm", "-f", "given", check=True)


def test_the_owners_of_a_mount_are_mapped_for_root_and_refused_to_others(root: Host, user: Host) -> None:
    shared = root.home.work_dir / "idmapped"
    shared.mkdir(mode=0o777)
    shared.chmod(0o777)
    (shared / "file").touch()
    os.chown(shared / "file", 77, 88)
    flags = ("--userns", "auto:size=2000", "-v", f"{shared}:/s:idmap", "-v", f"{shared}:/plain:ro")
    script = "stat -c %u:%g /s/file; stat -c %u /plain/file; touch /s/made; chown 5 /s/made"
    assert root.run("sh", "-c", script, flags=flags).split() == ["77:88", "65534"]
    assert (shared / "made").stat().st_uid == 5
    refused = user.firkin("run", "--rm", *APART, "-v", f"{user.home.work_dir}:/s:idmap", "busybox", "true")
    assert (refused.status, "root alone" in refused.stderr) == (125, True)


CHANGES = (
    "echo new > /added; chown 1000:1000 /added; rm /bin/wc; chmod 700 /root; mkdir /dir; ln /added /dir/hard;"
    "rm -r /var/spool 2>/dev/null; ln -s added /soft; echo more >> /etc/group"
)
TOLD = ["A /added", "C /bin", "D /bin/wc", "A /dir", "A /dir/hard", "C /root", "A /soft"]


@pytest.mark.parametrize(
    ("who", "driver"),
    [
        ("root", "overlay"),
        ("user", "overlay"),
        ("user", "copy"),
        ("user", "fuse-overlayfs"),
        ("root", "fuse-overlayfs"),
    ],
)
def test_what_was_changed_is_told_and_becomes_an_image(
    who: str, driver: str, request: pytest.FixtureRequest
) -> None:
    if driver == "fuse-overlayfs" and not shutil.which(driver) and not os.environ.get("CI"):
        pytest.skip("needs fuse-overlayfs: apt install fuse-overlayfs")
    host: Host = request.getfixturevalue(who)
    firkin = Command(
        host.firkin.program,
        host.firkin.environ | {"FIRKIN_STORAGE_DRIVER": driver},
        *(host.firkin.cwd, host.firkin.user, host.firkin.group),
    )
    script = f"{CHANGES}; trap 'exit 3' TERM; while :; do sleep 0.05; done"
    firkin("run", "-d", "--name", driver, *APART, "busybox", "sh", "-c", script, check=True)
    firkin("exec", driver, "sh", "-c", "until [ -L /soft ]; do sleep 0.05; done", check=True)
    facts = json.loads(firkin("inspect", driver, check=True).stdout)[0]
    assert facts["GraphDriver"]["Name"] == driver
    assert (Path(facts["GraphDriver"]["Data"]["UpperDir"]) / "bin/sh").exists() == (driver == "copy")
    told = firkin("diff", driver, check=True).stdout.splitlines()
    assert [line for line in told if "/etc" not in line and "/var" not in line] == TOLD
    firkin("stop", driver, check=True)
    assert firkin("inspect", "-f", "{{.State.ExitCode}}", driver, check=True).stdout == "3\n", "it went on"
    assert firkin("diff", driver, check=True).stdout.splitlines() == told
    firkin("commit", "-c", 'CMD ["sh"]', driver, f"of-{driver}", check=True)
    looks = (
        "cat /added; stat -c %u:%g:%h /added; readlink /soft; stat -c %a /root; ls /bin/wc 2>&1 | grep -c No"
    )
    said = host.firkin("run", "--rm", *APART, f"of-{driver}", "sh", "-c", looks, check=True).stdout
    assert said.split() == ["new", "1000:1000:2", "added", "700", "1"]
    firkin("start", driver, check=True)
    assert firkin("exec", driver, "cat", "/added", check=True).stdout == "new\n"
    firkin("rm", "-f", driver, check=True)


# ---- the table of docs/reference/users.md ----

MODES = {
    "root": [(), ("--userns", "auto"), ("--uidmap", "0:100000:65536")],
    "user": [
        (), ("--userns", "keep-id"), ("--userns", "nomap"), ("--userns", "auto"), ("--uidmap", "0:0:1"),
    ],
}  # fmt: skip


def named(host: Host, uid: int) -> str:
    """An id of the host, as the page calls it."""
    if uid == host.uid:
        return "root" if uid == 0 else "you"
    (own,) = of("/etc/subuid", (host.firkin.environ["USER"],)) if host.uid else (None,)
    if own is not None and own.first <= uid < own.first + own.count:
        return f"subordinate {uid - own.first + 1}"
    return f"0x70000000 + {uid - 0x70000000}" if uid >= 0x70000000 else str(uid)


ASKS = (
    "for at in /bind /volume; do stat -c %u $at/yours; touch $at/by-root 2>/dev/null && echo made || echo no;"
    "touch $at/by-500 2>/dev/null && chown 500:500 $at/by-500 2>/dev/null && echo made || echo no; done"
)


def seen(host: Host, text: str) -> str:
    return {str(host.uid): "root" if host.uid == 0 else "your uid", "0": "root", "65534": "nobody"}[text]


def owners(host: Host, bind: Path, volume: Path, flags: tuple[str, ...]) -> list[str]:
    """Who the owner of the directory is inside, and who root and user 500 of inside are on this host: of a
    bind mount, which has to be the same as of a volume.
    """
    for shared in (bind, volume):
        for name in ("yours", "by-root", "by-500"):
            (shared / name).unlink(missing_ok=True)
        (shared / "yours").touch()
        os.chown(shared / "yours", host.uid, host.uid)
        shared.chmod(0o1777)
    mounts = ("-v", f"{bind}:/bind", "-v", "owners:/volume")
    run = ("run", "--rm", "--network", "none", *flags, "-u", "0", *mounts, "busybox", "sh", "-c", ASKS)
    said = host.firkin(*run, check=True).stdout.split()
    found = [_owners(host, bind, said[:3]), _owners(host, volume, said[3:])]
    assert found[0] == found[1]
    return found[0]


def _owners(host: Host, shared: Path, said: list[str]) -> list[str]:
    yours, *made = said
    uids = [(shared / name).stat().st_uid for name in ("by-root", "by-500") if (shared / name).exists()]
    named_ids = [named(host, uid) for uid in (*uids, host.uid)]
    return [
        seen(host, yours),
        *(named_ids[n] if done == "made" else "refused" for n, done in enumerate(made)),
    ]


def rows(host: Host, who: str) -> Iterator[str]:
    bind = host.home.work_dir / "owners"
    bind.mkdir()
    os.chown(bind, host.uid, host.uid)
    host.firkin("volume", "create", "--driver", "dir", "owners", check=True)
    volume = host.firkin("volume", "inspect", "-f", "{{.Mountpoint}}", "owners", check=True).stdout.strip()
    for flags in (*(("--isolation", "namespace", *mode) for mode in MODES[who]), ()):
        found = owners(host, bind, Path(volume), flags)
        said = f"`{' '.join(flags[2:]) or '--userns host'}`" if flags else "(a machine)"
        yield f"| {who} | {said} | {' | '.join(found)} |"
    host.firkin("volume", "rm", "owners", check=True)


@pytest.mark.machine
@pytest.mark.parametrize("who", ["root", "user"])
def test_the_page_says_who_owns_what_on_both_sides(who: str, request: pytest.FixtureRequest) -> None:
    table = "\n".join(rows(request.getfixturevalue(who), who))
    assert table in PAGE.read_text(), f"the table is:\n{table}"
