"""RunOptions meet an image: who wins, and what is refused."""

import msgspec
import pytest

from firkin.engine.process_words import exec_options
from firkin.engine.resolve import container_spec, exec_process
from firkin.engine.rules import check
from firkin.engine.words import run_options
from firkin.errors import FirkinError, HostUnsupported, UsageError
from firkin.oci.digest import Digest
from firkin.oci.image import Image
from firkin.oci.image_config import ImageConfig
from firkin.oci.platform import Platform
from firkin.process.spec import ProcessSpec, TerminalSize

DIGEST = Digest.of(b"")
CONTAINER_ID = "0123456789abcdef" * 4


def image(**config):
    platform = config.pop("platform", Platform.host())
    return Image(DIGEST, DIGEST, ImageConfig(platform=platform, diff_ids=(DIGEST,), **config), (), 0)


@pytest.fixture
def resolved(settings):
    def resolve(of_image, *args, **words):
        options = run_options("i", *args, **words)
        check(options)
        return container_spec(
            options,
            of_image,
            rootfs_key="k",
            container_id=CONTAINER_ID,
            name="n",
            created_ns=1,
            settings=settings,
        )

    return resolve


@pytest.mark.parametrize(
    ("entrypoint", "command", "expected"),
    [
        (None, [], ("ep", "cmd")),
        (None, ["x"], ("ep", "x")),
        ("new", [], ("new",)),
        ("new", ["x"], ("new", "x")),
        (["new", "word"], ["x"], ("new", "word", "x")),
        ("", ["x"], ("x",)),
    ],
)
def test_entrypoint_and_command_combine_as_in_docker(resolved, entrypoint, command, expected):
    spec = resolved(image(entrypoint=("ep",), cmd=("cmd",)), command, entrypoint=entrypoint)
    assert spec.process.args == expected


@pytest.mark.parametrize("words", [{"entrypoint": ""}, {}])
def test_an_image_that_names_no_command_needs_one(resolved, words):
    with pytest.raises(UsageError, match="names no command"):
        resolved(image(cmd=() if not words else ("cmd",)), [], **words)


def test_the_environment_is_defaults_then_image_then_user(resolved):
    spec = resolved(
        image(cmd=("c",), env=("PATH=/image", "A=image", "B=image")), env=["A=user", "B"], hostname="h"
    )
    assert spec.process.env == ("PATH=/image", "HOSTNAME=h", "A=user")


def test_a_terminal_brings_term_and_its_absence_does_not(resolved):
    assert "TERM=xterm" in resolved(image(cmd=("c",)), terminal=True).process.env
    assert not any(word.startswith("TERM=") for word in resolved(image(cmd=("c",))).process.env)


def test_what_the_user_leaves_out_the_image_says(resolved):
    spec = resolved(
        image(cmd=("c",), user="web:www", working_dir="srv", stop_signal="SIGQUIT", labels={"a": "1"})
    )
    assert (spec.process.user, spec.process.cwd, spec.stop_signal, spec.labels) == (
        "web:www",
        "/srv",
        3,
        {"a": "1"},
    )


def test_what_the_user_says_wins_over_the_image(resolved):
    of_image = image(
        cmd=("c",), user="web", working_dir="/srv", stop_signal="SIGQUIT", labels={"a": "1", "b": "1"}
    )
    spec = resolved(of_image, user=0, workdir="/w", stop_signal="INT", labels=["a=2"], stop_timeout="1m")
    assert (spec.process.user, spec.process.cwd, spec.stop_signal) == ("0", "/w", 2)
    assert (spec.labels, spec.stop_timeout_s) == ({"a": "2", "b": "1"}, 60)


def test_what_nobody_says_the_settings_say(resolved, settings):
    spec = resolved(image(cmd=("c",)))
    assert (spec.cpus, spec.memory_bytes, spec.disk_bytes) == (
        settings.cpus,
        settings.memory_bytes,
        settings.disk_bytes,
    )
    assert (spec.hostname, spec.process.cwd, spec.stop_signal) == (CONTAINER_ID[:12], "/", 15)


def test_a_spec_survives_being_written_down(resolved, tmp_path):
    spec = resolved(
        image(cmd=("c",)),
        volumes=[f"{tmp_path}:/x:ro"],
        tmpfs=["/t"],
        publish=[8080],
        terminal=TerminalSize(5, 6),
    )
    assert msgspec.json.decode(msgspec.json.encode(spec), type=type(spec)) == spec


def test_an_image_for_another_processor_is_refused_with_both_names(resolved):
    with pytest.raises(HostUnsupported, match=r"linux/s390x.*this host runs"):
        resolved(image(cmd=("c",), platform=Platform("linux", "s390x")))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ({"hostname": "-x"}, "hostname"),
        ({"hostname": "a" * 64}, "hostname"),
        ({"user": "a b"}, "user"),
        ({"user": "a:b:c"}, "user"),
        ({"workdir": "rel"}, "workdir"),
        ({"memory": "1k"}, "memory"),
        ({"memory": "lots"}, "memory"),
        ({"disk": 0}, "disk"),
        ({"cpus": 0}, "cpus"),
        ({"cpus": "two"}, "cpus"),
        ({"cpus": 257}, "cpus"),
        ({"pids_limit": -2}, "pids_limit"),
        ({"cpu_shares": 512}, "cpu_shares"),
        ({"memory_swap": "1g"}, "memory_swap"),
        ({"memory_swap": "1g", "memory": "512m"}, "memory_swap"),
        ({"cpus": "nan"}, "cpus"),
        ({"volumes": ["/nowhere/at/all:/x"]}, "/nowhere/at/all does not exist"),
        ({"volumes": ["/dev/null:/x"]}, "neither a directory nor a file"),
        ({"volumes": ["/tmp:/x", "/etc:/x"]}, "two mounts at /x"),
        ({"volumes": ["/tmp:/x"], "tmpfs": ["/x"]}, "two mounts at /x"),
        ({"volumes": "/tmp:/x"}, "volumes"),
        ({"publish": ["80:80", "80:81"]}, "given twice"),
        ({"publish": [80], "network": "none"}, "publish"),
        ({"network": "host"}, "network"),
        ({"pull": "often"}, "pull"),
        ({"stop_signal": "NOPE"}, "NOPE"),
        ({"stop_timeout": -1}, "stop_timeout"),
        ({"env": ["=x"]}, "environment"),
        ({"labels": ["=x"]}, "label"),
        ({"command": "echo hi"}, "command"),
        ({"command": ["a\0b"]}, "command"),
        ({"command": ["\ud800"]}, "not a word"),
        ({"env": ["A=\ud800"]}, "environment variable"),
        ({"command": ["x" * 200_000]}, "128 KiB"),
        ({"command": ["x" * 100_000] * 6}, "512 KiB"),
    ],
)
def test_a_wrong_value_is_refused_before_anything_starts_naming_it(words, named):
    with pytest.raises(FirkinError) as refused:
        check(run_options("i", **words))
    assert named in str(refused.value)
    assert refused.value.hint


def test_exec_takes_the_first_process_as_its_model():
    first = ProcessSpec(
        args=("first",), env=("A=1", "B=1"), cwd="/srv", user="web", groups=("5",), stdin=True
    )
    process = exec_process(exec_options(["second"], env={"B": "2"}), first)
    assert process == ProcessSpec(args=("second",), env=("A=1", "B=2"), cwd="/srv", user="web", groups=("5",))
    other = exec_process(exec_options(["s"], user="0", workdir="/", terminal=True, stdin=True), first)
    assert (other.user, other.cwd, other.env[0], other.stdin) == ("0", "/", "TERM=xterm", True)


def test_exec_needs_a_command():
    with pytest.raises(UsageError, match="no command"):
        exec_options([])


def test_options_can_be_carried_to_another_process(tmp_path):
    options = run_options(
        "i", ["c"], volumes=[f"{tmp_path}:/x"], publish=["80:80"], terminal=True, env={"A": "1"}
    )
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(options), type=type(options)) == options
