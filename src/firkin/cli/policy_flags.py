"""Flags about what a process may do, for `run` and `exec`. Named as Docker's and podman's."""

from __future__ import annotations

from functools import partial

import click

from firkin.cli.sections import Headed

_policy = partial(click.option, cls=Headed, heading="What the process may do")
_several = partial(_policy, multiple=True)

POLICY_FLAGS = (
    _several("--cap-add", metavar="NAME", help="Give it this capability, such as NET_ADMIN; ALL for all."),
    _several("--cap-drop", metavar="NAME", help="Take this capability from it; ALL for all."),
    _policy("--privileged", is_flag=True, help="Give it all capabilities, hide and filter nothing."),
    _several("--security-opt", "security_opts", metavar="NAME[=VALUE]",
             help="no-new-privileges, seccomp=FILE|unconfined|default, apparmor=PROFILE, label=type:TYPE, "
             "or for a container systempaths=unconfined."),
    _several("--group-add", "groups", metavar="GROUP", help="Make it a member of this group, too."),
    _several("--ulimit", "ulimits", metavar="NAME=SOFT[:HARD]", help="Limit it, such as nofile=1024:4096."),
    _policy("--umask", default=None, metavar="MODE", help="Take these bits from what it makes; else 0022."),
    _policy("--oom-score-adj", default=None, metavar="NUMBER",
            help="How gladly it is ended when memory is short, from -1000 to 1000."),
    _policy("--scheduler", default=None, metavar="POLICY[:NUMBER]",
            help="other, batch, idle and a nice value, or fifo, rr and a priority."),
    _policy("--io-priority", default=None, metavar="CLASS[:NUMBER]",
            help="realtime, best-effort or idle, and a priority from 0 to 7."),
)  # fmt: skip
