"""Progress on standard error: lines for logs, bars for people, silence when asked."""

import io
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import firkin
from firkin.cli.progress import progress
from firkin.events import event, stage

SOURCE_ENV = {**os.environ, "PYTHONPATH": str(Path(firkin.__path__[0]).parent)}
DIGEST = "sha256:" + "3f1c2b4a5d6e" + "0" * 52


def pull_something() -> None:
    with stage("pull", reference="alpine:3.20"):
        event("registry.waiting", host="docker.io", seconds=2.0)
        event("layer.cached", digest="sha256:" + "c" * 64, total=9)
        for done in (0, 1_500_000, 3_600_000):
            event("layer.progress", digest=DIGEST, done=done, total=3_600_000)
        event("layer.done", digest=DIGEST, total=3_600_000)
    with stage("rootfs", key="k"):
        event("rootfs.progress", done=5, total=10)


def test_a_log_gets_a_line_for_what_begins_and_for_each_whole_layer() -> None:
    out = io.StringIO()
    with progress(to=out):
        pull_something()
    assert out.getvalue() == (
        "firkin: pulling alpine:3.20\n"
        "firkin: docker.io asks to wait 2 s\n"
        "  layer cccccccccccc: already here\n"
        "  layer 3f1c2b4a5d6e: 3.6MB\n"
        "firkin: building the disk\n"
    )


def test_a_push_says_of_each_layer_how_it_came_there() -> None:
    out = io.StringIO()
    with progress(to=out), stage("push", reference="registry.example/x:1"):
        event("layer.present", digest="sha256:" + "a" * 64, total=5)
        event("layer.mounted", digest="sha256:" + "b" * 64, total=5, source="other")
        event("layer.sending", digest=DIGEST, done=1_000_000, total=3_600_000)
        event("layer.resumed", digest=DIGEST, done=500_000, total=3_600_000)
        event("layer.sending", digest=DIGEST, done=3_600_000, total=3_600_000)
        event("layer.sent", digest=DIGEST, total=3_600_000)
    assert out.getvalue() == (
        "firkin: pushing registry.example/x:1\n"
        "  layer aaaaaaaaaaaa: already there\n"
        "  layer bbbbbbbbbbbb: already there, in another repository\n"
        "  layer 3f1c2b4a5d6e: connection lost, going on\n"
        "  layer 3f1c2b4a5d6e: 3.6MB\n"
    )


def test_quiet_shows_nothing() -> None:
    out = io.StringIO()
    with progress(quiet=True, to=out):
        pull_something()
    assert out.getvalue() == ""


def test_a_closed_standard_error_does_not_fail_the_pull() -> None:
    with progress(to=Gone()):
        pull_something()


class Gone(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_terminal_gets_bars_that_are_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    shown = on_a_terminal(pull_something)
    assert "firkin: pulling alpine:3.20" in shown
    assert "layer 3f1c2b4a5d6e" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") > 0


def test_rich_is_not_imported_before_there_is_something_to_show() -> None:
    code = (
        "import sys, os, pty\nfrom firkin.cli.progress import progress\n"
        "master, slave = pty.openpty()\n"
        "with progress(to=os.fdopen(slave, 'w')): pass\n"
        "sys.exit('rich' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, env=SOURCE_ENV).returncode == 0


def on_a_terminal(action: object) -> str:
    master, slave = pty.openpty()
    chunks: list[bytes] = []

    def read() -> None:
        while True:
            try:
                data = os.read(master, 65536)
            except OSError:  # EIO: the last writer closed the terminal
                return
            chunks.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(slave, "w") as stream, progress(to=stream):
        action()  # type: ignore[operator]
    reader.join()
    os.close(master)
    return b"".join(chunks).decode()
