"""What --mount says, and -v where it names a volume."""

from __future__ import annotations

import pytest

from firkin.container.spec import Bind, Tmpfs
from firkin.engine import rules
from firkin.engine.mount_words import parse_mount
from firkin.engine.volumes import parse_volume
from firkin.engine.words import run_options
from firkin.errors import UsageError
from firkin.volume.mount import VolumeMount


@pytest.mark.parametrize(
    ("word", "mount"),
    [
        ("type=bind,source=/s,target=/t", Bind(source="/s", target="/t")),
        ("type=bind,src=/s,dst=/t,ro", Bind(source="/s", target="/t", readonly=True)),
        (
            "type=bind,src=/s,destination=/t,readonly=false,bind-propagation=rprivate",
            Bind(source="/s", target="/t"),
        ),
        (
            'type=bind,"src=/a,b",dst=/t,nosuid,noexec',
            Bind(source="/a,b", target="/t", options=("nosuid", "noexec")),
        ),
        ("src=data,dst=/t", VolumeMount(name="data", target="/t")),
        ("type=volume,dst=/t,volume-nocopy", VolumeMount(target="/t", copy=False)),
        (
            "type=volume,src=data,dst=/t,ro=1,nodev",
            VolumeMount(name="data", target="/t", readonly=True, options=("nodev",)),
        ),
        ("type=tmpfs,dst=/t", Tmpfs(target="/t", options=("nosuid", "nodev", "noexec", "mode=1777"))),
        (
            "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=0700,ro",
            Tmpfs(target="/t", options=("nosuid", "nodev", "noexec", "ro", "size=1048576", "mode=0700")),
        ),
    ],
)
def test_a_mount_reads_as_docker_reads_it(word: str, mount: object) -> None:
    assert parse_mount(word) == mount


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("", "no target"),
        ("type=bind,source=/s,target=/t,speed=1", "'speed' cannot be honoured"),
        ("type=npipe,dst=/t", "not one of bind, volume, tmpfs"),
        ("type=bind,dst=/t", "no source"),
        ("type=bind,src=/s", "no target"),
        ("type=bind,src=/s,dst=/t,dst=/u", "'target' is given twice"),
        ("type=bind,src=/s,dst=/t,bind-propagation=shared", "never appears"),
        ("type=bind,src=/s,dst=/t,ro=perhaps", "neither true nor false"),
        ("type=bind,src=/s,dst=/../t", "leads out"),
        ("type=tmpfs,dst=/t,src=/s", "'source' cannot be honoured for type=tmpfs"),
        ("type=tmpfs,dst=/t,tmpfs-mode=9", "not an octal mode"),
        ("type=volume,src=data,dst=/t,volume-driver=nfs", "'volume-driver' cannot be honoured"),
        ("type=volume,src=a b/c,dst=/t", "forbidden characters: ' ' /"),
        ('type=bind,"src=/s', "not a line of values"),
    ],
)
def test_a_mount_that_cannot_be_honoured_is_refused_with_the_reason(word: str, reason: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_mount(word)
    assert reason in str(refused.value)
    assert refused.value.hint


@pytest.mark.parametrize(
    ("word", "mount"),
    [
        ("/anonymous", VolumeMount(target="/anonymous")),
        ("data:/t", VolumeMount(name="data", target="/t")),
        (
            "data:/t/:ro,nocopy,noexec",
            VolumeMount(name="data", target="/t", readonly=True, options=("noexec",), copy=False),
        ),
        ("/s:/t:nosuid", Bind(source="/s", target="/t", options=("nosuid",))),
    ],
)
def test_v_names_volumes_and_places_of_the_host(word: str, mount: object) -> None:
    assert parse_volume(word) == mount


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("da ta:/t", "forbidden characters: ' '"),
        ("d:/t", "not a volume name"),
        ("_data:/t", "not a volume name"),
        ("data:/t:z", "'z' cannot be honoured"),
        ("data:/t:ro,rw", "both ro and rw"),
        ("data:/../../t", "leads out of the container"),
        ("data:t", "not a place in the container"),
        ("/", "not a place in the container"),
    ],
)
def test_a_volume_that_cannot_be_honoured_is_refused_with_the_reason(word: str, reason: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_volume(word)
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"volumes": ["/tmp:/t", "data:/t"]}, "two mounts at /t"),
        ({"volumes": ["data:/t"], "tmpfs": ["/t/"]}, "two mounts at /t"),
        ({"volumes": ["/etc/passwd:/t", "data:/t/x"]}, "/t/x and /t overlap"),
        ({"volumes": ["data:/proc/sys"]}, "the kernel's own"),
        ({"tmpfs": ["/sys"]}, "the kernel's own"),
        ({"volumes": ["/not/there:/t"]}, "does not exist"),
        ({"volumes": [f"v{n}:/t{n}" for n in range(70)]}, "more than 64 mounts"),
    ],
)
def test_mounts_that_contradict_each_other_are_refused(words: dict[str, list[str]], reason: str) -> None:
    with pytest.raises(UsageError) as refused:
        rules.check(run_options("image", **words))  # type: ignore[arg-type]
    assert reason in str(refused.value)
