"""Bundles that crun and umoci made run in machines; what their config.json says is read inside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from firkin.pytest.command import Command
from firkin.pytest.home import Home

pytestmark = [pytest.mark.machine, pytest.mark.slow]

_LOOK = """
status() { sed -n "s/^$1:[[:space:]]*//p" /proc/self/status; }
echo $(status CapBnd) $(status CapEff) $(status Seccomp) $(status NoNewPrivs) $(status Umask) $(status Groups)
id -u; id -g; pwd; hostname; echo $(cat /proc/sys/kernel/domainname /proc/self/oom_score_adj)
ulimit -Sn; ulimit -Hn; stat -c '%u %g %a %s' /etc/mine; readlink /etc/link
cat /sys/fs/cgroup/pids.max /proc/sys/net/ipv4/ip_forward; ls /proc/fs 2>&1 | wc -l
touch /here 2>&1 | sed 's/.*: //'; mkdir /dev/shm/d 2>&1 | sed 's/.*: //'
df -k /dev/shm | sed -n '2s/  */ /gp' | cut -d' ' -f2; cat /given/file; echo no > /given/file
ls /sys/class/net; env | grep -v -e SHLVL -e PWD | sort
"""


def filled(bundle: Path) -> dict[str, Any]:
    """The bundle's config, its root file system filled with busybox and files of its own."""
    root = bundle / "rootfs"
    for name in ("bin", "etc", "proc", "sys", "dev"):
        (root / name).mkdir(parents=True, exist_ok=True)
    shutil.copy(shutil.which("busybox") or "busybox", root / "bin" / "busybox")
    applets = "sh sed cat id hostname stat readlink ls wc grep touch mkdir df cut env sort sleep"
    for name in applets.split():
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc" / "mine").write_text("four")
    (root / "etc" / "mine").chmod(0o640)
    (root / "etc" / "link").symlink_to("/outside/of/it")
    if os.geteuid() == 0:
        os.chown(root / "etc" / "mine", 1234, 5678)
    config: dict[str, Any] = json.loads((bundle / "config.json").read_text())
    return config


@pytest.mark.skipif(shutil.which("crun") is None, reason="crun is not installed")
def test_all_that_a_config_says_is_so_inside(firkin: Command, stocked: Home) -> None:
    bundle = stocked.work_dir / "crun"
    bundle.mkdir()
    subprocess.run(["crun", "spec"], cwd=bundle, check=True)
    config = filled(bundle)
    (bundle / "file").write_text("given\n")
    assert config["root"] == {"path": "rootfs", "readonly": True}
    kill, shm = 1 << 5 | 1 << 10 | 1 << 29, next(m for m in config["mounts"] if m["source"] == "shm")
    shm["options"] = ["nosuid", "noexec", "nodev", "mode=1777", "size=128k"]
    config["mounts"] += [
        {"destination": "/given/file", "type": "bind", "source": "file", "options": ["bind", "ro"]}
    ]
    config["process"] |= {
        "terminal": False, "args": ["sh", "-c", _LOOK], "cwd": "/etc", "env": ["PATH=/bin", "ONE=1"],
        "user": {"uid": 0, "gid": 7, "umask": 0o27, "additionalGids": [9]}, "oomScoreAdj": 55,
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 300, "hard": 400}],
    }  # fmt: skip
    config |= {"hostname": "box", "domainname": "home"}
    config["linux"] |= {
        "sysctl": {"net.ipv4.ip_forward": "1"}, "maskedPaths": ["/proc/fs"], "cgroupsPath": "/a/b",
        "resources": {"pids": {"limit": 33}, "devices": [{"allow": False, "access": "rwm"}]},
        "seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]},
    }  # fmt: skip
    (bundle / "config.json").write_text(json.dumps(config))
    ended = firkin("run", "--rm", "--bundle", str(bundle), check=True)
    lines = ended.stdout.splitlines()
    owner = "1234 5678" if os.geteuid() == 0 else f"{os.geteuid()} {os.getegid()}"
    assert lines == [
        f"{kill:016x} {kill:016x} 2 1 0027 7 9", "0", "7", "/etc", "box", "home 55", "300", "400",
        f"{owner} 640 4", "/outside/of/it", "33", "1", "0", "Read-only file system",
        "No space left on device", "128", "given", "lo", "HOME=/", "ONE=1", "PATH=/bin",
    ]  # fmt: skip
    assert "can't create /given/file: Read-only file system" in ended.stderr
    assert "linux.cgroupsPath is not used" in ended.stderr
    config["process"]["apparmorProfile"] = "mine"
    (bundle / "config.json").write_text(json.dumps(config))
    refused = firkin("run", "--rm", "--bundle", str(bundle))
    assert refused.status == 125
    assert "AppArmor" in refused.stderr


@pytest.mark.skipif(shutil.which("umoci") is None, reason="umoci is not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="umoci wants user namespaces where it is not root")
def test_an_image_that_umoci_unpacked_runs_and_its_disk_is_followed(firkin: Command, stocked: Home) -> None:
    layout, bundle = stocked.work_dir / "layout", stocked.work_dir / "umoci"
    for words in (
        ("init", "--layout", layout),
        ("new", "--image", f"{layout}:t"),
        ("unpack", "--image", f"{layout}:t", bundle),
    ):
        subprocess.run(["umoci", *map(str, words)], check=True, capture_output=True)
    config = filled(bundle)
    config["process"] |= {"terminal": False, "args": ["sh", "-c", "exec sleep 1000"]}
    (bundle / "config.json").write_text(json.dumps(config))
    firkin("run", "-d", "--name", "first", "--bundle", str(bundle), check=True)
    seen = firkin("exec", "first", "sh", "-c", "hostname; sed -n 's/^CapBnd:.//p' /proc/1/status", check=True)
    assert seen.stdout.split() == ["umoci-default", "0000000020000420"]
    (bundle / "rootfs" / "etc" / "new").write_text("changed")
    config["process"]["args"][-1] = "cat /etc/new"
    (bundle / "config.json").write_text(json.dumps(config))
    assert firkin("run", "--rm", "--bundle", str(bundle), check=True).stdout == "changed"
    named = firkin("images", "--format", "{{.Repository}}", check=True).stdout.split()
    assert named.count("localhost/bundle") == 1
    firkin("rm", "-f", "first", check=True)
