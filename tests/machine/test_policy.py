"""What a container's processes may do: /proc and util-linux say that each word took effect."""

from __future__ import annotations

import json

import pytest

from firkin.pytest.command import Command
from firkin.pytest.home import Home

pytestmark = [pytest.mark.machine, pytest.mark.slow]

_LOOK = """
status() { sed -n "s/^$1:[[:space:]]*//p" /proc/self/status; }
echo $(status CapBnd) $(status Seccomp) $(status NoNewPrivs) $(status Umask)
echo $(cat /proc/self/oom_score_adj) $(chrt -p $$ | sed 's/.*: //') $(nice) $(ionice -p $$)
prlimit --noheadings --raw --output=SOFT,HARD --nofile --core; id -G
"""


def look(firkin: Command, *words: str) -> list[str]:
    return firkin(*words, "bash", "-c", _LOOK, check=True).stdout.splitlines()


def test_each_word_takes_effect_and_stays_over_exec_start_and_fork(firkin: Command, stocked: Home) -> None:
    asked = (
        "--cap-drop=ALL --cap-add=net_admin --security-opt=no-new-privileges --umask=0027 "
        "--oom-score-adj=300 --scheduler=batch:3 --io-priority=best-effort:6 --ulimit=nofile=100:200 "
        "--group-add=audio --init --security-opt=seccomp=default"
    )
    said = [
        "0000000000001000 2 1 0027", "300 SCHED_BATCH 0 3 best-effort: prio 6", "100 200", "0 unlimited",
        "0 29",
    ]  # fmt: skip
    firkin("run", "-d", "--name", "told", *asked.split(), "debian", "sleep", "inf", check=True)
    assert look(firkin, "exec", "told") == said
    first = "tr '\\0' '\\n' < /proc/1/cmdline; sed -n 's/^CapBnd:[[:space:]]*//p' /proc/*/status | sort -u"
    seen = firkin("exec", "told", "bash", "-c", first, check=True).stdout.split()
    assert seen == ["firkin-init", "2", "0000000000001000"]
    firkin("fork", "--name", "fork", "told", check=True)
    assert look(firkin, "exec", "fork") == said
    firkin("rm", "-f", "fork", check=True)
    firkin("stop", "-t", "0", "told", check=True)
    firkin("start", "told", check=True)
    assert look(firkin, "exec", "told") == said
    facts = json.loads(firkin("inspect", "told", check=True).stdout)[0]["HostConfig"]
    assert facts["CapAdd"] == ["CAP_NET_ADMIN"]
    assert len(facts["CapDrop"]) == 14
    assert facts["Ulimits"] == [{"Name": "nofile", "Soft": 100, "Hard": 200}]
    assert (facts["SecurityOpt"], facts["Init"], facts["Umask"]) == (
        ["no-new-privileges", "seccomp=default"],
        True,
        "0027",
    )
    more = look(firkin, "exec", "--cap-add=chown", "--ulimit=core=0", "--umask=77", "told")
    assert more[0] == "0000000000001001 2 1 0077"
    assert more[2:4] == ["100 200", "0 0"]
    firkin("rm", "-f", "told", check=True)


def test_the_default_profile_denies_what_containers_have_no_use_for(firkin: Command, stocked: Home) -> None:
    tries = "unshare --mount true; unshare --user true; mount -t tmpfs none /mnt 2>&1 | head -n 1"
    calls = {41: "40, 1, 0", 425: "1, 0", 56: "0x10000000, 0", 435: "0, 0", 272: "0x10000000"}  # x86-64
    script = "; ".join(
        f"print syscall({number}, {args}) < 0 ? qq($!\\n) : qq(done\\n)" for number, args in calls.items()
    )
    visit = f"exec 2>&1{_LOOK}{tries}; perl -e '{script}'; perl -e 'print fork ? qq(forked\\n) : q()'"
    asked = ("run", "--rm", "--security-opt", "seccomp=default", "debian", "bash", "-c", visit)
    lines = firkin(*asked, check=True).stdout.splitlines()
    first = ["00000000a80425fb 2 0 0022", "0 SCHED_OTHER 0 0 none: prio 0", "1024 524288", "0 unlimited", "0"]
    assert lines[:5] == first
    refused = ["Operation not permitted", "Operation not permitted", "permission denied"]
    assert [line.rpartition(": ")[2].rstrip(".") for line in lines[5:8]] == refused
    denied, absent = "Operation not permitted", "Function not implemented"
    assert lines[8:] == [denied, absent, denied, absent, denied, "forked"]


def test_a_privileged_container_may_do_all_that_its_machine_can(firkin: Command, stocked: Home) -> None:
    visit = (
        "sed -n 's/^\\(CapEff\\|Seccomp\\):[[:space:]]*//p' /proc/self/status; "
        "mount -t tmpfs none /mnt && echo mounted; unshare --mount true && echo unshared; "
        "echo 1 > /proc/sys/kernel/panic && echo written; grep -q CPU0 /proc/interrupts && echo seen"
    )
    ended = firkin("run", "--rm", "--privileged", "debian", "bash", "-c", visit, check=True)
    assert ended.stdout.split() == ["000001ffffffffff", "0", "mounted", "unshared", "written", "seen"]


def test_a_profile_of_ones_own_is_enforced_and_a_label_that_cannot_be_is_refused(
    firkin: Command, stocked: Home
) -> None:
    profile = stocked.work_dir / "profile.json"
    rule = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}))
    asked = ("--security-opt", f"seccomp={profile}")
    ended = firkin("run", "--rm", *asked, "debian", "bash", "-c", "mkdir /tmp/d; unshare --mount true; id -u")
    assert ended.stdout == "0\n"
    assert "mkdir: cannot create directory '/tmp/d': No space left on device" in ended.stderr.replace(
        "‘", "'"
    ).replace("’", "'")
    profile.write_text(
        json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{**rule, "names": ["mkdri"]}]})
    )
    refused = firkin("run", "--rm", *asked, "debian", "true")
    assert refused.status == 125
    assert "system call 'mkdri' is unknown" in refused.stderr
    for label, module in (("label=type:mine_t", "SELinux"), ("apparmor=mine", "AppArmor")):
        refused = firkin("run", "--rm", "--security-opt", label, "debian", "true")
        assert refused.status == 125
        assert module in refused.stderr
        assert "cannot label a process" in refused.stderr


def test_words_may_be_bytes_that_are_no_text(firkin: Command, stocked: Home) -> None:
    raw = b"bytes \xff\xfe".decode(errors="surrogateescape")
    ended = firkin(
        "run",
        "--rm",
        "-e",
        f"RAW={raw}",
        "debian",
        "bash",
        "-c",
        'printf %s "$RAW$1" | od -An -tx1',
        "-",
        raw,
    )
    assert ended.stdout.split() == ["62", "79", "74", "65", "73", "20", "ff", "fe"] * 2
