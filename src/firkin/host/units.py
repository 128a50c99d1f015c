"""Units: what systemd of a user is told of the supervisor (systemd.socket(5), systemd.service(5)).

firkin.socket    made at login, or at boot for a user who lingers; starts the service for whoever connects
firkin.service   also started at boot: what is to run again then asks for nothing. It ends when it has
                 nothing to do, and the socket stays
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from firkin.linux.unix_socket import MAX_PATH_BYTES
from firkin.settings import Settings

_SOCKET = """\
[Unit]
Description=Where the supervisor of firkin's containers is asked

[Socket]
ListenStream={path}
SocketMode=0600
DirectoryMode=0700

[Install]
WantedBy=sockets.target
"""
_SERVICE = """\
[Unit]
Description=Supervisor of firkin's containers
{wants}
[Service]
Type=exec
ExecStart={command}
Restart=on-failure
# machines outlive their supervisor, and the next one takes them over
KillMode=process

[Install]
WantedBy=default.target
"""
_WANTS = """\
Wants=firkin.socket
After=firkin.socket
"""


def units(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Each unit: its name, its text, the target that it is wanted by. None where a path has a line's end.

    Where the socket's path is longer than systemd can bind, there is the service alone: it makes its socket.
    """
    path = str(settings.paths.supervisor_socket_path)
    words = (sys.executable, "-m", "firkin.supervisor", "--foreground", settings.data_dir, settings.run_dir)
    if any("\n" in word for word in (path, *words)):
        return
    bindable = len(path.encode(errors="surrogateescape")) <= MAX_PATH_BYTES
    if bindable:
        yield "firkin.socket", _SOCKET.format(path=path.replace("%", "%%")), "sockets.target"
    command = " ".join(map(_word, words))
    yield (
        "firkin.service",
        _SERVICE.format(command=command, wants=_WANTS if bindable else ""),
        "default.target",
    )


def _word(word: str) -> str:
    """Quoted for ExecStart=: % and $ are its own."""
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{word}"' if " " in word or "\t" in word else word
