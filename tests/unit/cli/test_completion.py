"""Completion: what firkin answers to a shell, and what real shells make of it."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest

from firkin.cli.completing import answer
from firkin.cli.group import firkin as root
from firkin.cli.known_names import known
from firkin.cli.verbs import HIDDEN, VERBS
from firkin.container import record
from firkin.container.naming import new_id
from firkin.container.pod import Sandbox
from firkin.container.spec import ContainerSpec
from firkin.oci.descriptor import Descriptor
from firkin.oci.digest import Digest
from firkin.oci.media_types import OCI_MANIFEST
from firkin.oci.reference import Reference
from firkin.process.spec import ProcessSpec
from firkin.pytest.command import FIRKIN, Command
from firkin.pytest.home import Home
from firkin.settings import Settings
from firkin.store.refs import Refs

IMAGES = ("alpine:3.19", "alpine:3.20", "debian:12", "registry.test:5000/tools/gcc:13")


@pytest.fixture
def host(settings: Settings) -> Settings:
    """One of everything that has a name, without a machine."""
    paths = settings.paths
    for name, pod in (("web", None), ("worker", None), ("shop", Sandbox())):
        spec = ContainerSpec(
            id=new_id(),
            name=name,
            image="i",
            image_digest="sha256:" + "0" * 64,
            rootfs_key="k",
            process=ProcessSpec(args=("x",)),
            created_ns=time.time_ns(),
            hostname="h",
            pod=pod,
        )
        record.create(paths, spec)[1].close()
    descriptor = Descriptor(OCI_MANIFEST, Digest("sha256:" + "1" * 64), 1)
    for image in IMAGES:
        Refs(paths.refs_dir).write(Reference.parse(image), descriptor)
    (paths.volumes_dir / "cache").mkdir(parents=True)
    paths.networks_dir.mkdir()
    paths.network_path("backend").touch()
    paths.snapshot_names_dir.mkdir(parents=True)
    (paths.snapshot_names_dir / "before").symlink_to(new_id())
    (paths.names_dir / "two words\n").symlink_to(new_id())  # of no container
    return settings


def values(line: str, shell: str = "fish", **more: str) -> list[str]:
    rows = answer(root, shell, {"COMP_LINE": f"firkin {line}"} | more).splitlines()
    return [row.split("\t")[1] if "\t" in row else f"<{row}>" for row in rows]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("stop ", ["web", "worker"]),
        ("stop wo", ["worker"]),
        ("stop web ", ["worker"]),
        ("pod stop ", ["shop"]),
        ("kube generate ", ["shop", "web", "worker"]),
        ("rmi deb", ["debian:12"]),
        ("run alpine:3.2", ["alpine:3.20"]),
        ("run -it --rm docker.io/library/alp", [f"docker.io/library/alpine:3.{n}" for n in (19, 20)]),
        ("run alpine:3.20 w", []),
        ("exec web w", []),
        ("exec w", ["web", "worker"]),
        ("volume rm ", ["cache"]),
        ("network rm ", ["backend"]),
        ("network connect ", ["backend"]),
        ("network connect backend ", ["web", "worker"]),
        ("snapshot rm ", ["before"]),
        ("snapshot rollback web ", ["before"]),
        ("push ", [*IMAGES, *(f"docker.io/library/{each}" for each in IMAGES[:3]), "before"]),
        ("run --network ", ["user", "none", "backend"]),
        ("run --network=b", ["--network=backend"]),
        ("run -v ca", ["cache:"]),
        ("run -v ./", ["<dir>"]),
        ("run --isolation ", ["vm", "namespace"]),
        ("run --restart ", ["no", "on-failure", "always", "unless-stopped"]),
        ("run --pull m", ["missing"]),
        ("run --env-file ", ["<file>"]),
        ("cp w", ["web:", "worker:"]),
        ("cp web:/etc/hosts /t", ["<file>"]),
        ("cp nothing", ["<file>"]),
        ("cp web:/etc/ho", []),
        ("run -v cache:/va", []),
        ("kill -s TE", ["TERM"]),
        ("doctor --explain qemu-", ["qemu-missing", "qemu-old", "qemu-broken"]),
        ("doctor --only cgroups", ["cgroups", "cgroups-absent", "cgroups-v1", "cgroups-hybrid",
                                   "cgroups-undelegated", "cgroups-controllers"]),
        ("completion ", ["bash", "zsh", "fish"]),
        ("pod l", ["logs"]),
        ("container sto", ["stop"]),
        ("inspect ", ["web", "worker", "shop", *IMAGES,
                      *(f"docker.io/library/{each}" for each in IMAGES[:3]), "cache", "backend", "before"]),
        ("docto", ["doctor"]),
        ("logs --fol", ["--follow"]),
        ("--deb", ["--debug"]),
        ("nonsense ", []),
        ('stop "wor', ["worker"]),
    ],
)  # fmt: skip
def test_what_may_follow_is_proposed(host: Settings, line: str, expected: list[str]) -> None:
    assert sorted(values(line)) == sorted(expected)


def test_a_verb_is_proposed_with_its_line() -> None:
    rows = [row.split("\t") for row in answer(root, "zsh", {"COMP_LINE": "firkin "}).splitlines()]
    assert rows == [["word", name, verb.line] for name, verb in VERBS.items()]


@pytest.mark.parametrize(
    ("word", "breaks", "expected"),
    [
        ("alpine:3", " :=", ["3.19", "3.20"]),
        ("alpine:", " :=", ["3.19", "3.20"]),
        ("alpine:3", " =", ["alpine:3.19", "alpine:3.20"]),
        ('"alpine:3', " :=", ["alpine:3.19", "alpine:3.20"]),
        ("registry.test:5000/", " :=", ["5000/tools/gcc:13"]),
        ("al", " :=", ["alpine:3.19", "alpine:3.20"]),
    ],
)
def test_bash_gets_what_is_behind_the_last_place_where_it_breaks(
    host: Settings, word: str, breaks: str, expected: list[str]
) -> None:
    assert values(f"rmi {word}", "bash", COMP_BREAKS=breaks) == expected


def test_nothing_is_made_or_started_and_what_cannot_be_read_proposes_nothing(
    home: Home, firkin: Command
) -> None:
    before = sorted(home.root.rglob("*"))
    for line in ("stop ", "rmi ", "volume rm ", "snapshot rm "):
        ended = firkin(_FIRKIN_COMPLETE="bash", COMP_LINE=f"firkin {line}")
        assert (ended.status, ended.stdout, ended.stderr) == (0, "", "")
    assert sorted(home.root.rglob("*")) == before
    home.config_path.parent.mkdir(parents=True)
    home.config_path.write_text("memory = 'much'\n")
    ended = firkin(_FIRKIN_COMPLETE="bash", COMP_LINE="firkin stop ")
    assert (ended.status, ended.stdout, ended.stderr) == (0, "", "")


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            if (each := command.get_command(context, name)) is not None:
                yield from commands(each, f"{path} {name}")


def test_every_argument_that_names_what_there_is_proposes_it() -> None:
    """A new verb whose metavar is a new word for an old thing is found here."""
    things = ("CONTAINER", "IMAGE", "VOLUME", "NETWORK", "POD", "SNAPSHOT")
    context = click.Context(root)
    unknown = [
        f"{path} {param.metavar or param.name}"
        for name in (*VERBS, *HIDDEN)
        for path, command in commands(root.get_command(context, name) or root, name)
        for param in command.params
        if isinstance(param, click.Argument)
        and any(thing in (param.metavar or param.name or "").upper() for thing in things)
        and known(param) is None
    ]
    assert unknown == []


# --- real shells


def environ(home: Home) -> dict[str, str]:
    return home.environ() | {"PATH": f"{Path(FIRKIN[0]).parent}:{os.environ['PATH']}", "TERM": "dumb"}


def test_bash_is_told_what_may_follow(host: Settings, home: Home, firkin: Command) -> None:
    host.paths.network_path("backend").unlink()  # no network, but a name of one
    firkin("volume", "create", "made", check=True)
    firkin("network", "create", "made", check=True)
    asked = (
        "firkin docto",
        "firkin rmi alpine:3",
        "firkin stop we",
        "firkin cp we",
        "firkin volume rm m",
        "firkin network rm m",
    )
    script = """\
source <(firkin completion bash)
complete -p firkin
for COMP_LINE; do
    COMP_POINT=${#COMP_LINE}
    _firkin_completion firkin 2>/dev/null
    printf '%s|' "${COMPREPLY[@]}"; echo
done
"""
    command = ["bash", "-c", script, "bash", *asked]
    said = subprocess.run(command, env=environ(home), capture_output=True, text=True, timeout=60)
    assert said.stdout.splitlines() == [
        "complete -o nosort -F _firkin_completion firkin",
        "doctor|",
        "3.19|3.20|",
        "web|",
        "web:|",
        "made|",
        "made|",
    ], said.stderr


@contextmanager
def terminal(command: list[str], variables: dict[str, str], cwd: Path) -> Iterator[Any]:
    """A shell on a terminal: `typed(keys, until)` types, and reads until that is shown."""
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=variables, cwd=cwd, start_new_session=True
    )
    os.close(theirs)

    def typed(keys: str, until: str) -> str:
        os.write(ours, keys.encode())
        shown, end = "", time.monotonic() + 60
        while until not in shown:
            ready = select.select([ours], [], [], max(0.0, end - time.monotonic()))[0]
            assert ready, shown
            shown += os.read(ours, 65536).decode(errors="replace")
        return shown

    try:
        yield typed
    finally:
        shell.kill()
        shell.wait()
        os.close(ours)


CASES = [
    ("firkin rmi debian:", "firkin rmi debian:12 "),
    ("firkin rmi alpine:3.2", "firkin rmi alpine:3.20 "),
    ("firkin run --network=back", "firkin run --network=backend "),
    ("firkin cp web:/etc/hosts some", "firkin cp web:/etc/hosts somefile "),
    ("firkin cp wor", "firkin cp worker:"),
]


def test_a_press_of_tab_in_bash_completes_names_with_colons(host: Settings, home: Home) -> None:
    (home.work_dir / "somefile").touch()
    shell = ["bash", "--norc", "--noprofile", "-i"]
    with terminal(shell, environ(home), home.work_dir) as typed:
        typed('source <(firkin completion bash); echo re"ady"\n', "\nready")
        for line, completed in CASES:  # TAB; then to the beginning and the end, to have the line printed
            typed(f"{line}\t\x01echo '[\x05]'\n", f"\n[{completed}]")


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
def test_a_press_of_tab_in_zsh_completes_names_with_colons(host: Settings, home: Home) -> None:
    (home.work_dir / "somefile").touch()
    with terminal(["zsh", "-f", "-i"], environ(home), home.work_dir) as typed:
        typed("bindkey -e; autoload -Uz compinit; compinit -u -D; PS1=; unsetopt prompt_cr prompt_sp\n", "")
        typed('source <(firkin completion zsh); echo re"ady"\n', "ready\r\n")
        for line, completed in CASES:
            typed(
                f"{line}\t\x01echo '[\x05]'\n", f"\n[{completed.strip()}]"
            )  # it takes a space of its own back


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
def test_fish_is_told_what_may_follow(host: Settings, home: Home) -> None:
    script = "firkin completion fish | source; for line in $argv; complete --do-complete $line; end"
    command = ["fish", "--no-config", "-c", script, "firkin docto", "firkin rmi alpine:3", "firkin cp we"]
    said = subprocess.run(command, env=environ(home), capture_output=True, text=True, timeout=60)
    assert [line.split("\t")[0] for line in said.stdout.splitlines()] == [
        "doctor",
        "alpine:3.19",
        "alpine:3.20",
        "web:",
    ], said.stderr
