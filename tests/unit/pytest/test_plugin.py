"""The plugin in projects of other people: sessions of pytest in processes of their own, no machines."""

from __future__ import annotations

import pytest

from firkin.pytest.home import Home

pytest_plugins = ["pytester"]


@pytest.fixture
def project(pytester: pytest.Pytester, home: Home, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project whose sessions live in this test's home."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]\naddopts = -p firkin.pytest\n")
    return pytester


def run(project: pytest.Pytester, *words: str) -> pytest.RunResult:
    return project.runpytest_subprocess(*words, timeout=120)


def test_a_home_knows_of_the_host_and_of_nobody_else(
    project: pytest.Pytester, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRKIN_QEMU", "/opt/qemu")
    monkeypatch.setenv("FIRKIN_MEMORY_BYTES", "1g")
    home.config_path.parent.mkdir(parents=True)
    home.config_path.write_text('accelerator = "tcg"\ncpus = 3\n')
    project.makepyfile("""
        import os
        from firkin.settings import Settings

        def test_settings(firkin_home):
            here = Settings.load(firkin_home.environ())
            assert (here.qemu, here.accelerator) == ("/opt/qemu", "tcg")
            assert (here.memory_bytes, here.cpus) == (256 << 20, 1)
            assert here.data_dir.startswith(str(firkin_home.root))
            assert len(str(firkin_home.run_dir)) < 60

        def test_environ(firkin_environ, firkin_home):
            assert os.environ["HOME"] == firkin_environ["HOME"] == str(firkin_home.root / "home")

        def test_scopes(firkin_home, firkin_module_home, firkin_session_home, firkin_session_engine):
            homes = {firkin_home.root, firkin_module_home.root, firkin_session_home.root}
            assert len(homes) == 3
            assert firkin_session_engine.images() == []
    """)
    run(project).assert_outcomes(passed=3)
    assert not [path for path in home.root.iterdir() if path.name.startswith("fk")], "its directory is gone"


def test_what_is_left_behind_fails_the_test_that_left_it(project: pytest.Pytester, home: Home) -> None:
    project.makepyfile("""
        import socket, subprocess, sys

        def test_process(firkin_home):
            subprocess.Popen(["sleep", "1000"], env=firkin_home.environ())

        def test_open_file(firkin_home):
            with open(firkin_home.root / "file", "w") as file:
                subprocess.Popen(["tail", "-f", "/dev/null"], stdout=file)

        def test_socket(firkin_home):
            firkin_home.run_dir.mkdir()
            socket.socket(socket.AF_UNIX).bind(str(firkin_home.run_dir / "left.sock"))

        def test_nothing(firkin_home):
            assert firkin_home.work_dir.is_dir()
    """)
    ended = run(project)
    ended.assert_outcomes(passed=4, errors=3)
    ended.stdout.fnmatch_lines_random(
        ["  process *: sleep 1000", "  process *: tail -f /dev/null", "  socket: */run/firkin/left.sock"]
    )


@pytest.mark.parametrize("words", [(), ("-p", "xdist", "-n", "2")], ids=["alone", "workers"])
def test_what_is_left_of_a_session_fails_it(
    project: pytest.Pytester, home: Home, words: tuple[str, ...]
) -> None:
    project.makepyfile("""
        import subprocess
        from firkin.pytest.session import session_of

        def test_left(pytestconfig):
            directory = session_of(pytestconfig).dir / "left"
            directory.mkdir()
            subprocess.Popen(["sleep", "1000"], cwd=directory)
    """)
    ended = run(project, *words)
    assert ended.ret == pytest.ExitCode.TESTS_FAILED
    ended.stdout.fnmatch_lines_random(
        ["*left behind by the tests*", "process *: sleep 1000", "directory: */left"]
    )
    assert not [path for path in home.root.iterdir() if path.name.startswith("fk")]


def test_a_host_that_lacks_something_skips_and_in_ci_fails(
    project: pytest.Pytester, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.makepyfile("""
        def test_registry(firkin_registry):
            assert False

        def test_unsupported(pytestconfig):
            from firkin.errors import HostUnsupported
            from firkin.pytest.words import unsupported
            unsupported(pytestconfig, HostUnsupported("there is no QEMU", hint="apt install it"))
    """)
    monkeypatch.setenv("PATH", str(home.work_dir))
    ended = run(project, "-rs")
    ended.assert_outcomes(skipped=2)
    ended.stdout.fnmatch_lines_random(
        ["SKIPPED *apt install docker-registry*", "SKIPPED *there is no QEMU (apt install it)*"]
    )
    monkeypatch.setenv("CI", "true")
    run(project).assert_outcomes(failed=1, errors=1)


def test_words_that_mean_nothing_are_refused(project: pytest.Pytester, home: Home) -> None:
    project.makepyfile("""
        import pytest

        @pytest.mark.firkin("debian")
        def test_marker(firkin_container):
            pass

        @pytest.mark.firkin(image="nosuch image")
        def test_image(firkin_machine):
            pass

        @pytest.mark.firkin(colour="red")
        def test_word(firkin_machine):
            pass
    """)
    ended = run(project, "--strict-markers")
    ended.assert_outcomes(errors=3)
    ended.stdout.fnmatch_lines_random(
        ["*test_marker: pytest.mark.firkin takes words, such as image='debian'*"]
    )
    refused = run(project, "-o", "firkin_images=name =", "-k", "image")
    refused.stdout.fnmatch_lines_random(["*firkin_images: 'name =' is not NAME, nor NAME = ARCHIVE*"])


def test_an_archive_becomes_an_image_of_every_engine(project: pytest.Pytester, home: Home) -> None:
    from tests.support.images import tar_of

    (project.path / "root.tar").write_bytes(tar_of({"bin": None, "etc/hostname": b"box\n"}))
    project.makepyfile("""
        def test_images(firkin_engine, firkin_module_engine):
            for engine in (firkin_engine, firkin_module_engine):
                assert [each.repository for each in engine.images()] == ["box"]

        def test_saved(firkin_engine):
            firkin_engine.save_images(["box"], "saved.tar")
    """)
    run(project, "-o", "firkin_images=box = root.tar").assert_outcomes(passed=2)
    run(project, "-o", "firkin_images=box = saved.tar", "-k", "images").assert_outcomes(passed=1)


def test_a_failure_shows_what_containers_and_registries_said(project: pytest.Pytester, home: Home) -> None:
    project.makepyfile("""
        from firkin.container.log import LogWriter
        from firkin.container.naming import new_id
        from firkin.container.record import create
        from firkin.container.spec import ContainerSpec
        from firkin.process.spec import ProcessSpec
        from firkin.settings import Settings

        def test_failing(firkin_home, firkin_registry):
            spec = ContainerSpec(
                id=new_id(), name="web", image="i", image_digest="sha256:" + "0" * 64, rootfs_key="k",
                process=ProcessSpec(args=("x",)), created_ns=1, hostname="h",
            )
            record, lock = create(Settings.load(firkin_home.environ()).paths, spec)
            log = LogWriter(record.log_path)
            log.append("stdout", b"said\\x1b[2J\\n", 1)
            log.close()
            lock.close()
            (record.dir / "console.log").write_text("Kernel panic\\n")
            assert False
    """)
    ended = run(project)
    ended.assert_outcomes(failed=1)
    ended.stdout.fnmatch_lines(
        [
            "*firkin: log of container web*",
            "said\\x1b[[]2J",
            "*firkin: console of container web*",
            "Kernel panic",
        ]
    )
    ended.stdout.fnmatch_lines_random(["*firkin: log of the registry*"])
