"""pytest's part of the coverage pages: one record per process, merged at the end, compared with docs/coverage.

Each worker of pytest-xdist hands its record to the controller. Only a run of all tests that all passed is compared
(those of the committed pages aside): what was not run proves nothing. Such a run leaves its record behind, and
``make docs`` makes the pages from it; its own run (``--record-only``) leaves one although tests failed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.coverage.pages import RECORD, differences, ignored, pages
from tests.coverage.recorder import Recorder

RECORDER = pytest.StashKey[Recorder]()
FOUND = pytest.StashKey[list[str]]()
FAILED = pytest.StashKey[list[str]]()
_OF_THE_PAGES = "tests/coverage/test_pages.py"
_OUTPUT = "penstock_coverage"


def pytest_addoption(parser: pytest.Parser) -> None:
    """The option with which ``make docs`` runs the tests."""
    parser.addoption("--record-only", action="store_true", help="leave the coverage record, do not compare the pages")


def pytest_configure(config: pytest.Config) -> None:
    """A record that is empty yet."""
    config.stash[RECORDER] = Recorder()
    config.stash[FOUND] = []
    config.stash[FAILED] = []
    config.pluginmanager.register(_Failures(config.stash[FAILED]))


@pytest.fixture(scope="session")
def recorder(request: pytest.FixtureRequest) -> Recorder:
    """What this process's tests have had services do so far."""
    return request.config.stash[RECORDER]


class _Failures:
    """Collects what failed, of all workers."""

    def __init__(self, failed: list[str]) -> None:
        self._failed = failed

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure."""
        if report.failed and not report.nodeid.startswith(_OF_THE_PAGES):
            self._failed.append(report.nodeid)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of the committed pages while new ones are about to be made."""
    if config.getoption("--record-only"):
        items[:] = [item for item in items if not item.nodeid.startswith(_OF_THE_PAGES)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Record nothing of property tests: what they do is left to chance, and the pages are compared."""
    recorder = item.config.stash[RECORDER]
    recorder.muted = item.get_closest_marker("hypothesis") is not None
    try:
        return (yield)
    finally:
        recorder.muted = False


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: Any) -> None:
    """Add the record of a worker that has ended."""
    output = getattr(node, "workeroutput", {})
    if _OUTPUT in output:
        node.config.stash[RECORDER].add(json.loads(output[_OUTPUT]))
    else:
        node.config.stash[FOUND].append(f"the worker {node.gateway.id} ended without its record")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the record over, or compare it."""
    config = session.config
    recorder = config.stash[RECORDER]
    if hasattr(config, "workeroutput"):
        config.workeroutput[_OUTPUT] = json.dumps(recorder.plain())
        return
    found = config.stash[FOUND]
    found += [f"silently ignored: {each}" for each in ignored(recorder)]
    only = config.getoption("--record-only")
    if not found and _everything_ran(session) and (only or not config.stash[FAILED]):
        RECORD.parent.mkdir(exist_ok=True)
        RECORD.write_text(json.dumps(recorder.plain(), indent=1))
        if not only:
            found += differences(pages(recorder))
    if found and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what is wrong."""
    if found := config.stash[FOUND]:
        terminalreporter.section("coverage of the services", sep="=", red=True)
        for line in found:
            terminalreporter.write_line(line)


def _everything_ran(session: pytest.Session) -> bool:
    """Whether all tests there are ran to their end."""
    config = session.config
    asked = ("keyword", "markexpr", "lf", "deselect", "ignore", "ignore_glob", "collectonly", "stepwise")
    everything = config.args_source == config.ArgsSource.TESTPATHS
    whole = everything and not any(config.getoption(name, None) for name in asked)
    return whole and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)


def recorded(path: Path = RECORD) -> Recorder:
    """The record that the last run of all tests left."""
    recorder = Recorder()
    recorder.add(json.loads(path.read_text()))
    return recorder
