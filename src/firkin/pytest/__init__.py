"""firkin's plugin for pytest: containers, machines and registries for tests, and nothing left behind.

Fixtures are in firkin.pytest.fixtures; this module is the hooks. It is loaded into every session of pytest
where firkin is installed, so it imports nothing that a session without those fixtures does not need.
PYTEST_DONT_REWRITE: nothing is asserted here.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from firkin.pytest.session import WORKERS_DIR, session_of
from firkin.pytest.words import add_marker, add_options

_LEFT = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    from firkin.pytest import fixtures

    add_marker(config)
    config.pluginmanager.register(fixtures, fixtures.__name__)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Let a worker of xdist have the session of its controller."""
    node.workerinput[WORKERS_DIR] = str(session_of(node.config).dir)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failure what its containers said."""
    report = yield
    if report.failed:
        from firkin.pytest.failures import sections

        report.sections += sections(item)
    return report


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
