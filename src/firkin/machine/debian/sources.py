"""Where apt fetches from on this host: sources.list(5) in both its formats, and apt.conf(5)'s proxies.

The rule: read as apt reads it, but for `trusted=yes`: what is not signed is not used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from firkin.errors import Corrupt
from firkin.machine.debian.control import Paragraph, paragraphs

_OPTIONS = re.compile(r"\[([^]]*)\]")
_MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Source:
    """One suite of one archive. `signed_by` holds paths of keyrings or an armored key; empty means apt's
    trusted ones. A flat archive has a suite that ends in / and no components."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: tuple[str, ...] = ()

    @property
    def release_uri(self) -> str:
        """The directory of Release and InRelease, ending in /."""
        base = self.uri.rstrip("/") + "/"
        if self.suite.endswith("/"):
            return base + self.suite.lstrip("./")
        return f"{base}dists/{self.suite}/"

    def __str__(self) -> str:
        return f"{self.uri} {self.suite}"


@dataclass(frozen=True, slots=True)
class AptConfig:
    """The settings of apt.conf that matter here, by name in lower case: `acquire::http::proxy`."""

    values: dict[str, str] = field(default_factory=dict)

    def proxy(self, uri: str) -> str:
        """The proxy for `uri`; empty for none."""
        scheme, _, rest = uri.partition("://")
        host = rest.partition("/")[0].rpartition("@")[2].partition(":")[0]
        for name in (
            f"acquire::{scheme}::proxy::{host}",
            f"acquire::{scheme}::proxy",
            "acquire::http::proxy",
        ):
            if name in self.values:
                value = self.values[name]
                return "" if value.upper() in ("DIRECT", "FALSE") else value
        return ""

    @property
    def checks_valid_until(self) -> bool:
        return self.values.get("acquire::check-valid-until", "true").lower() not in (
            "false",
            "no",
            "0",
            "off",
        )


def read_sources(apt_dir: Path, architecture: str = "amd64") -> list[Source]:
    """Every suite that apt would read binary packages of `architecture` from. Raises Corrupt, OSError."""
    found: list[Source] = []
    for path in (apt_dir / "sources.list", *sorted((apt_dir / "sources.list.d").glob("*"))):
        if path.suffix == ".list" and path.is_file():
            for line in _read(path).splitlines():
                found += _one_line(line, path, architecture)
        elif path.suffix == ".sources" and path.is_file():
            for paragraph in paragraphs(_read(path), what=str(path)):
                found += _deb822(paragraph, architecture)
    return found


def read_config(apt_dir: Path) -> AptConfig:
    """apt.conf and apt.conf.d under `apt_dir`. Raises OSError."""
    values: dict[str, str] = {}
    for path in [*sorted((apt_dir / "apt.conf.d").glob("*")), apt_dir / "apt.conf"]:
        if path.is_file() and re.fullmatch(r"[\w-]+(\.conf)?", path.name):
            values |= parse_config(_read(path))
    return AptConfig(values)


def parse_config(text: str) -> dict[str, str]:
    """The values of an apt.conf(5) text, flat (`A::B "v";`) and nested (`A { B "v"; };`)."""
    values: dict[str, str] = {}
    scopes: list[str] = []
    words: list[str] = []
    for token in _tokens(text):
        if token == "{":
            scopes.append("::".join(words[:1]))
            words = []
        elif token in ("}", ";"):
            if token == ";" and len(words) == 2:
                values["::".join([*scopes, words[0]]).lower()] = words[1]
            if token == "}" and scopes:
                scopes.pop()
            words = []
        else:
            words.append(token)
    return values


def _tokens(text: str) -> Iterator[str]:
    without_comments = re.sub(r'("[^"\n]*")|//[^\n]*|#[^\n]*|/\*.*?\*/', r"\1", text, flags=re.DOTALL)
    for match in re.finditer(r'"([^"\n]*)"|([{};])|([^\s{};"]+)', without_comments):
        yield match[1] if match[1] is not None else match[0]


def _one_line(line: str, path: Path, architecture: str) -> list[Source]:
    """`deb [option=value ...] uri suite [component ...]`"""
    line = line.partition("#")[0]
    bracketed = _OPTIONS.search(line)
    options = dict(option.partition("=")[::2] for option in (bracketed[1].split() if bracketed else ()))
    words = _OPTIONS.sub(" ", line, count=1).split()
    if not words or words[0] == "deb-src":
        return []
    if len(words) < 3 or words[0] != "deb":
        raise Corrupt(f"{path} has a line that is no source: {line.strip()!r}", hint="mend it")
    if architecture not in options.get("arch", architecture).split(","):
        return []
    signed_by = tuple(filter(None, options.get("signed-by", "").split(",")))
    return [Source(words[1], words[2], tuple(words[3:]), signed_by)]


def _deb822(paragraph: Paragraph, architecture: str) -> list[Source]:
    enabled = paragraph.get("enabled", "yes").lower() not in ("no", "false", "0", "off")
    if not enabled or "deb" not in paragraph.get("types", "").split():
        return []
    if architecture not in paragraph.get("architectures", architecture).split():
        return []
    key = paragraph.get("signed-by", "")
    signed_by = (_inline_key(key),) if "BEGIN PGP" in key else tuple(key.replace(",", " ").split())
    return [
        Source(uri, suite, tuple(paragraph.get("components", "").split()), signed_by)
        for uri in paragraph.get("uris", "").split()
        for suite in paragraph.get("suites", "").split()
    ]


def _inline_key(value: str) -> str:
    """An armored key as deb822 has it: its empty lines are written as a dot."""
    return "\n".join("" if line.strip() == "." else line.strip() for line in value.strip().splitlines())


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_MAX_FILE_BYTES).decode("utf-8", "replace")
