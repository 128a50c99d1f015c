"""apt's sources and configuration, with apt itself as the judge where it is there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from firkin.errors import Corrupt
from firkin.machine.debian.sources import Source, parse_config, read_config, read_sources

CONFIG = """
# a comment
Acquire::http::Proxy "http://proxy.example:3142"; // one more
Acquire { https { Proxy "http://other.example"; Verify-Peer "false"; }; Retries 3; };
Acquire::http::Proxy::direct.example "DIRECT";
/* Acquire::Check-Valid-Until "true"; */
Acquire::Check-Valid-Until "false";
DPkg::Post-Invoke { "rm -f /x || true"; };
"""


@pytest.fixture
def apt_dir(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "apt.conf.d").mkdir()
    return tmp_path


def test_the_one_line_format_is_read_with_its_options(apt_dir: Path) -> None:
    (apt_dir / "sources.list").write_text(
        "# deb http://no.example x main\n"
        "deb [arch=amd64,arm64 signed-by=/k.gpg] http://a.example/debian bookworm main contrib # why\n"
        "deb-src http://a.example/debian bookworm main\n"
        "deb [ arch=arm64 ] http://arm.example/debian bookworm main\n"
        "deb file:/srv/archive ./\n"
    )
    first, flat = read_sources(apt_dir)
    assert first == Source("http://a.example/debian", "bookworm", ("main", "contrib"), ("/k.gpg",))
    assert first.release_uri == "http://a.example/debian/dists/bookworm/"
    assert flat.release_uri == "file:/srv/archive/"


def test_the_deb822_format_multiplies_uris_and_suites_and_may_be_disabled(apt_dir: Path) -> None:
    (apt_dir / "sources.list.d" / "a.sources").write_text(
        "Types: deb deb-src\nURIs: http://a.example http://b.example\nSuites: one two\nComponents: main\n"
        "Signed-By: /k.gpg\n\n"
        "Enabled: no\nTypes: deb\nURIs: http://off.example\nSuites: x\nComponents: main\n\n"
        "Types: deb-src\nURIs: http://src.example\nSuites: x\nComponents: main\n"
    )
    found = [(source.uri, source.suite, source.signed_by) for source in read_sources(apt_dir)]
    hosts = ("http://a.example", "http://b.example")
    assert found == [(host, suite, ("/k.gpg",)) for host in hosts for suite in ("one", "two")]


def test_an_inline_key_is_read_as_armor(apt_dir: Path) -> None:
    (apt_dir / "sources.list.d" / "a.sources").write_text(
        "Types: deb\nURIs: http://a.example\nSuites: s\nComponents: main\nSigned-By:\n"
        " -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abcd\n -----END PGP PUBLIC KEY BLOCK-----\n"
    )
    (source,) = read_sources(apt_dir)
    key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nabcd\n-----END PGP PUBLIC KEY BLOCK-----"
    assert source.signed_by == (key,)


def test_files_that_apt_ignores_are_ignored(apt_dir: Path) -> None:
    (apt_dir / "sources.list.d" / "a.list.disabled").write_text("deb http://a.example s main\n")
    (apt_dir / "apt.conf.d" / "old.dpkg-old").write_text('Acquire::http::Proxy "http://no";')
    assert read_sources(apt_dir) == []
    assert read_config(apt_dir).values == {}


def test_a_line_that_is_no_source_is_corrupt_and_named(apt_dir: Path) -> None:
    (apt_dir / "sources.list").write_text("deb http://a.example\n")
    with pytest.raises(Corrupt, match=r"http://a\.example"):
        read_sources(apt_dir)


def test_the_proxy_depends_on_the_scheme_and_the_host(apt_dir: Path) -> None:
    (apt_dir / "apt.conf.d" / "50proxy").write_text(CONFIG)
    config = read_config(apt_dir)
    assert config.proxy("http://a.example/x") == "http://proxy.example:3142"
    assert config.proxy("https://a.example/x") == "http://other.example"
    assert config.proxy("http://direct.example:80/x") == ""
    assert config.checks_valid_until is False


def test_apt_reads_the_same_values_from_the_same_text(tmp_path: Path) -> None:
    if shutil.which("apt-config") is None:
        pytest.skip("needs apt")
    conf = tmp_path / "apt.conf"
    conf.write_text(CONFIG)
    dumped = subprocess.run(
        ["apt-config", "dump", "--no-empty"],
        env={"APT_CONFIG": str(conf)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    theirs = parse_config(dumped)
    for name, value in parse_config(CONFIG).items():
        assert theirs[name] == value, name
