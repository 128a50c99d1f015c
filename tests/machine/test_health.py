"""Health checks: what a command in the container says is told by ps, inspect, wait and events."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

import firkin as api
from firkin.pytest.command import Command
from firkin.pytest.home import Home
from firkin.pytest.leaks import SUPERVISOR, processes_of, wait_until_gone
from firkin.settings import Settings

pytestmark = pytest.mark.machine

STUCK = "echo stuck; sleep 424242 & wait"


def statuses(firkin: Command, *options: str) -> str:
    return firkin("ps", "-a", "--format", "{{.Status}}", *options, check=True).stdout


def health_of(firkin: Command) -> dict[str, object]:
    found: dict[str, object] = json.loads(firkin("inspect", "-f", "{{json .State.Health}}", "web").stdout)
    return found


def test_a_detached_container_is_checked_by_whoever_has_it(stocked: Home, firkin: Command) -> None:
    firkin(
        "run", "-d", "--name", "web", "--health-cmd", "test -e /ok && echo fine", "--health-interval",
        "100ms", "--health-retries", "2", "busybox", "sleep", "1000000", check=True,
    )  # fmt: skip
    assert firkin("wait", "--condition", "unhealthy", "web", check=True).stdout == "0\n"
    assert statuses(firkin).endswith(" (unhealthy)\n")
    firkin("exec", "web", "touch", "/ok", check=True)
    firkin("wait", "--condition", "healthy", "web", check=True)
    assert statuses(firkin, "--filter", "health=healthy").endswith(" (healthy)\n")
    assert statuses(firkin, "--filter", "health=starting", "--filter", "health=none") == ""
    health = health_of(firkin)
    assert (health["Status"], health["FailingStreak"]) == ("healthy", 0)
    log = health["Log"]
    assert isinstance(log, list)
    assert 1 <= len(log) <= 5
    assert (log[-1]["ExitCode"], log[-1]["Output"]) == (0, "fine\n")

    firkin("pause", "web", check=True)
    paused = health_of(firkin)
    assert statuses(firkin).endswith(" (Paused)\n")
    refused = firkin("healthcheck", "run", "web")
    assert (refused.status, "is paused" in refused.stderr) == (125, True)
    assert health_of(firkin) == paused, "nobody looks while it stands still"
    firkin("unpause", "web", check=True)

    (pid,) = (found.pid for found in processes_of(str(stocked.root)) if SUPERVISOR in found.command)
    os.kill(pid, signal.SIGKILL)
    wait_until_gone([pid], 30)
    assert health_of(firkin)["Status"] == "healthy"
    firkin("exec", "web", "rm", "/ok", check=True)
    assert firkin("healthcheck", "run", "web").stdout == "unhealthy: exit status 1\n"
    firkin("wait", "--condition", "unhealthy", "web", check=True)

    firkin("exec", "web", "touch", "/ok", check=True)
    firkin("wait", "--condition", "healthy", "web", check=True)
    firkin("restart", "-t", "0", "web", check=True)
    firkin("wait", "--condition", "healthy", "web", check=True)
    firkin("stop", "-t", "0", "web", check=True)
    assert statuses(firkin).startswith("Exited (137)")
    assert health_of(firkin)["Status"] == "unhealthy", "as docker says of what does not run"
    gone = firkin("wait", "--condition", "healthy", "web")
    assert (gone.status, "does not run" in gone.stderr) == (125, True)
    told = firkin("events", "--since", "1h", "--until", "0s", "--filter", "event=health_status", "--format",
                  "{{.Action}}", check=True).stdout.splitlines()  # fmt: skip
    changes = ["unhealthy", "healthy", "unhealthy", "healthy", "healthy"]
    assert told == [f"health_status: {word}" for word in changes]
    firkin("rm", "web", check=True)


async def test_a_check_is_a_process_like_the_first_bounded_in_time_and_output(
    stocked: Home, settings: Settings
) -> None:
    script = (
        f"echo $WHO $(id -u) $(pwd); case $(cat /mode) in stuck) {STUCK};; long) yes | head -n 9999;; esac"
    )
    async with api.AsyncEngine(settings) as engine:
        async with await engine.run(
            "busybox", ["sleep", "1000000"], env=["WHO=me"], user=1000, workdir="/bin", health_cmd=script,
            health_interval="1h", health_timeout=2, health_retries=1,
        ) as box:  # fmt: skip
            assert box.health == "starting"
            await box.exec(["sh", "-c", "echo well > /mode"], user="0").output(check=True)
            well = await box.check_health()
            assert (well.ok, well.output) == (True, "me 1000 /bin\n")
            assert box.health == "healthy"
            await box.exec(["sh", "-c", "echo long > /mode"], user="0").output(check=True)
            assert len((await box.check_health()).output) == 4096
            await box.exec(["sh", "-c", "echo stuck > /mode"], user="0").output(check=True)
            stuck = await box.check_health()
            assert stuck.exit_code == -1
            assert stuck.output == "Health check exceeded timeout (2s): me 1000 /bin\nstuck\n"
            assert box.health == "unhealthy"
            await box.wait(60, condition="unhealthy")
            gone = ["sh", "-c", "while ps | grep -q '[4]24242'; do sleep 0.05; done"]
            await box.exec(gone).output(check=True, timeout=60)  # it was killed with what it had started
            forks = await box.fork()
            async with forks[0] as fork:
                assert fork.health == "starting", "a container of its own"
                assert (await fork.check_health()).exit_code == -1
        async with await engine.run(
            "busybox", ["sleep", "1000000"], health_cmd=["no-such-command"], health_interval="1h",
            health_start_period="1h", health_start_interval="1h", health_retries=1,
        ) as box:  # fmt: skip
            missing = await box.check_health()
            assert missing.exit_code == -1
            assert "no-such-command" in missing.output
            assert box.health == "starting", "a failure in the start period does not count"
        async with await engine.run("busybox", ["sleep", "1000000"]) as box:
            assert box.health == ""
            with pytest.raises(api.WrongState, match="has no health check"):
                await box.check_health()


def test_a_port_is_asked_without_a_network_and_who_fails_is_started_again(
    stocked: Home, firkin: Command
) -> None:
    serves = "mkdir -p /www; touch /www/ready; exec httpd -f -p 8080 -h /www"
    firkin(
        "run", "-d", "--name", "web", "--network", "none", "--restart", "always",
        "--health-interval", "200ms", "--health-retries", "1", "--health-http", "http://localhost:8080/ready",
        "--health-on-failure=restart", "--stop-timeout", "1", "busybox", "sh", "-c", serves, check=True,
    )  # fmt: skip
    firkin("wait", "--condition", "healthy", "web", check=True)
    assert firkin("inspect", "-f", "{{.RestartCount}}", "web", check=True).stdout == "0\n"
    firkin("exec", "web", "rm", "/www/ready", check=True)
    deadline = time.monotonic() + 120
    while firkin("inspect", "-f", "{{.RestartCount}}", "web", check=True).stdout == "0\n":
        assert time.monotonic() < deadline
    firkin("wait", "--condition", "healthy", "web", check=True)
    told = firkin("events", "--since", "1h", "--until", "0s", "--filter", "event=health_status", "--format",
                  "{{.Action}}", check=True).stdout.splitlines()  # fmt: skip
    assert told[:3] == [f"health_status: {word}" for word in ("healthy", "unhealthy", "healthy")]
    firkin("rm", "-f", "web", check=True)


def test_a_member_of_a_pod_is_checked_and_limited_as_others_are(stocked: Home, firkin: Command) -> None:
    firkin("pod", "create", "--name", "pod", check=True)
    firkin(
        "run", "-d", "--pod", "pod", "--name", "member", "--health-cmd", "test -e /ok", "--health-interval",
        "200ms", "--health-retries", "1", "busybox", "sleep", "1000000", check=True,
    )  # fmt: skip
    firkin("wait", "--condition", "unhealthy", "member", check=True)
    firkin("exec", "member", "touch", "/ok", check=True)
    firkin("wait", "--condition", "healthy", "member", check=True)
    firkin("pod", "pause", "pod", check=True)
    firkin("pod", "unpause", "pod", check=True)
    firkin("exec", "member", "rm", "/ok", check=True)
    firkin("wait", "--condition", "unhealthy", "member", check=True)
    firkin("update", "--pids-limit", "33", "member", check=True)
    assert firkin("exec", "member", "cat", "/sys/fs/cgroup/pids.max").stdout == "33\n"
    firkin("pod", "rm", "-f", "pod", check=True)


def test_health_is_kept_with_a_container_on_the_disk_and_a_check_with_its_image(
    stocked: Home, firkin: Command
) -> None:
    firkin("run", "-d", "--name", "kept", "--health-cmd", "true", "--health-interval", "200ms", "busybox",
           "sleep", "1000000", check=True)  # fmt: skip
    firkin("wait", "--condition", "healthy", "kept", check=True)
    firkin("suspend", "kept", check=True)
    assert firkin("inspect", "-f", "{{.State.Health.Status}}", "kept").stdout == "healthy\n"
    assert firkin("update", "--memory", "64m", "kept").status == 125, "its machine is what it was"
    firkin("resume", "kept", check=True)
    assert statuses(firkin).endswith(" (healthy)\n")
    assert firkin("healthcheck", "run", "kept").status == 0
    firkin("commit", "kept", "checked:1", check=True)
    firkin("create", "--name", "new", "checked:1", check=True)
    of_both = firkin("inspect", "-f", "{{json .Config.Healthcheck}}", "kept", "new", check=True)
    one, other = of_both.stdout.splitlines()
    assert one == other
    firkin("rm", "-f", "kept", "new", check=True)
