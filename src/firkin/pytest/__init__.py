"""firkin's plugin for pytest: containers, machines and registries for tests, and nothing left behind.

Fixtures are in firkin.pytest.fixtures; this module is the hooks. It is loaded into every session of pytest
where firkin is installed, so it imports nothing that a session without those fixtures does not need.
PYTEST_DONT_REWRITE: nothing is asserted here.
"""

from __future__ import annotations

from typing import Any

import pytest

from firkin.pytest.session import Session

SESSION = pytest.StashKey[Session]()
_LEFT = pytest.StashKey[list[str]]()
_WORKERS_DIR = "firkin_session_dir"


def session_of(config: pytest.Config) -> Session:
    """The session of `config`, begun where nobody has asked for it yet."""
    if SESSION not in config.stash:
        config.stash[SESSION] = Session(getattr(config, "workerinput", {}).get(_WORKERS_DIR, ""))
    return config.stash[SESSION]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Let a worker of xdist have the session of its controller."""
    node.workerinput[_WORKERS_DIR] = str(session_of(node.config).dir)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Whatever is still there when all fixtures and workers are gone is a leak, and fails the session."""
    left = session_of(session.config).end()
    session.config.stash[_LEFT] = left
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if left := config.stash.get(_LEFT, []):
        terminalreporter.section("left behind by the tests", red=True)
        for line in left:
            terminalreporter.line(line)
