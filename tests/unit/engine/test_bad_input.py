"""What could never be is refused before anything is pulled or made, naming the field and the rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from firkin.container import names
from firkin.engine import rules
from firkin.engine.words import run_options
from firkin.errors import UsageError
from firkin.paths import Paths

CASES: list[tuple[dict[str, Any], str]] = [
    ({"hostname": "a_b"}, "^hostname: 'a_b' is not a host name"),
    ({"hostname": "-a"}, "^hostname: "),
    ({"hostname": "x" * 65}, "^hostname: "),
    ({"domainname": "a b"}, "^domainname: "),
    ({"memory": "0"}, "^memory: 0 bytes are too few"),
    ({"memory": "1m"}, "^memory: .* too few for a machine"),
    ({"memory": "99999t"}, "^memory: .* more than a machine can have"),
    ({"memory": "lots"}, "^memory: 'lots' is not a size"),
    ({"memory": -1}, "^memory: "),
    ({"disk": "1k"}, "^disk: 1024 bytes are too few"),
    ({"shm_size": 0}, "^shm_size: "),
    ({"cpus": 0}, "^cpus: 0 is not a number of CPUs"),
    ({"cpus": -1}, "^cpus: "),
    ({"cpus": 257}, "^cpus: "),
    ({"cpus": float("nan")}, "^cpus: "),
    ({"pids_limit": "few"}, "^pids_limit: "),
    ({"publish": ["0"]}, "^cannot publish '0': '0' is not a port"),
    ({"publish": ["65536:80"]}, "^cannot publish .* not a port"),
    ({"publish": ["80-90:80-99"]}, "^cannot publish "),
    ({"cap_add": ["moon"]}, "^cap_add: 'moon' is not a capability"),
    ({"cap_drop": ["CAP_"]}, "^cap_drop: "),
    ({"capabilities": ["kill"], "cap_add": ["chown"]}, "^capabilities: the exact set stands alone"),
    ({"ulimits": {"moon": 1}}, "^ulimit: 'moon' is not one of cpu, "),
    ({"ulimits": {"nofile": (5, 2)}}, "^ulimit: of nofile the soft limit is above the hard one"),
    ({"umask": "0999"}, "^umask: "),
    ({"oom_score_adj": 1001}, "^oom_score_adj: "),
    ({"scheduler": "moon"}, "^scheduler: "),
    ({"io_priority": "best-effort:9"}, "^io_priority: "),
    ({"user": "a b"}, "^user: "),
    ({"user": "1:2:3"}, "^user: "),
    ({"groups": ["a b"]}, "^groups: 'a b' is not a group"),
    ({"workdir": "here"}, "^workdir: 'here' is not an absolute path"),
    ({"env": {"A=": "1"}}, "^env: 'A=' is no name of a variable"),
    ({"env": ["=1"]}, "environment variable '=1' has no name"),
    ({"sysctls": {"kernel.panic": "1"}}, "^sysctl: 'kernel.panic' is not one of a container's own"),
    ({"dns": ["nowhere"]}, "^dns: "),
    ({"add_hosts": ["db"]}, "^add_host: "),
    ({"mac_address": "01:00:00:00:00:01"}, "^mac_address: "),
    ({"stop_signal": "MOON"}, "^stop_signal: 'MOON' is not a signal"),
    ({"stop_timeout": -1}, "^stop_timeout: "),
    ({"restart": "sometimes"}, "^restart: "),
    ({"restart": "always", "auto_remove": True}, "^restart: |^auto_remove: "),
    ({"isolation": "none"}, "^isolation: "),
    ({"kernel_args": ["init=/x"]}, "^kernel_arg: "),
    ({"volumes": ["/etc:/x/../../y"]}, "^volume: .* leads out of the container"),
    ({"volumes": ["/etc:here"]}, "^volume: 'here' is not a place in the container"),
    ({"volumes": ["/etc:/proc/x"]}, "^volume: /proc/x is the kernel's own"),
    ({"volumes": ["/no/such:/x"]}, "^volume: host path /no/such does not exist"),
    ({"volumes": ["/etc:/a", "/usr:/a/"]}, "^volume: two mounts at /a"),
    ({"volumes": ["/etc:/a"], "tmpfs": ["/a"]}, "^volume: two mounts at /a"),
    ({"volumes": ["/etc/passwd:/a", "/usr:/a/b"]}, "^volume: /a/b and /a overlap"),
    ({"tmpfs": ["/a:size=much"]}, "^tmpfs '/a:size=much': 'much' is not a size"),
    ({"tmpfs": ["/a:moon"]}, "^tmpfs '/a:moon': option 'moon' cannot be honoured"),
    ({"mounts": ["type=tmpfs,dst=/a,tmpfs-size=much"]}, "tmpfs-size: 'much' is not a size"),
    ({"terminal": True, "stderr": -1}, "^stderr: a terminal has one output"),
    ({"terminal": True, "stdout": -3}, "^stdout: "),
    ({"writable_layer": "1k"}, "^writable_layer: "),
    ({"writable_layer": "1g", "read_only": True}, "^writable_layer: "),
    ({"writable_layer": "1g", "disk": "1g"}, "^disk: "),
]


@pytest.mark.parametrize(("words", "said"), CASES, ids=lambda each: str(each)[:50])
def test_what_cannot_be_is_refused_by_field_and_rule(words: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        rules.check(run_options("x", ["sh"], **words))
    assert refused.value.hint


@pytest.mark.parametrize(("name", "strange"), [("bad/id", "/"), ("a b*", " *"), ("é!", "!é")])
def test_a_name_is_refused_with_the_characters_that_it_cannot_have(
    tmp_path: Path, name: str, strange: str
) -> None:
    naming = names.of(Paths(tmp_path / "data", tmp_path / "run"))
    with pytest.raises(UsageError, match=r"is not a container name: it has ") as refused:
        naming.validate(name)
    assert str(refused.value).endswith(repr(strange))
    for short in ("", "a", "-a"):
        with pytest.raises(UsageError, match=r"is not a container name$"):
            naming.validate(short)
