"""Fixtures of every test: a platform with a clean state, driven by real clients."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.engine.resetting import void_accounts
from penstock.store.store import Reader
from penstock.testing.platform import PlatformThread
from tests.coverage.recorder import Recorder

NEVER_EMPTY = {"platform_value", "schema_script", "store_reserve"}  # the platform's own tables

pytest_plugins = ["pytester", "tests.coverage.plugin"]


@pytest.fixture(scope="session")
def shared_platform(tmp_path_factory: pytest.TempPathFactory, recorder: Recorder) -> Iterator[PlatformThread]:
    """One durable platform for the whole session (of one worker)."""
    data = tmp_path_factory.mktemp("platform")
    with PlatformThread(data, durability="os", registry=recorder.registry) as platform:
        yield platform
        platform.reset()
        platform.quiet()
        while platform.run(platform.platform.store.read(void_accounts)) or platform.run(
            platform.platform.store.read(lambda reader: reader.one("SELECT 1 FROM lambda_loose_code"))
        ):
            pass  # of much in the journal the rows go in slices afterwards, and code is swept a moment later
        left = platform.run(platform.platform.store.read(_rows))
        assert left == {}, "a reset left rows of what the tests of this platform made: its service has to delete them"


def _rows(reader: Reader) -> dict[str, int]:
    """How many rows each table has that should have none after a reset of everything."""
    tables = [name for (name,) in reader.all("SELECT name FROM sqlite_master WHERE type = 'table'")]
    counts = {name: reader.all(f"SELECT count(*) FROM {name}")[0][0] for name in tables if name not in NEVER_EMPTY}
    return {name: count for name, count in counts.items() if count}


@pytest.fixture
def platform(shared_platform: PlatformThread) -> Iterator[PlatformThread]:
    """A platform with nothing in it, whose clock flows."""
    shared_platform.reset()
    yield shared_platform
    shared_platform.resume()
    shared_platform.reset()


@pytest.fixture
def own_platform(tmp_path: Path, recorder: Recorder) -> Iterator[PlatformThread]:
    """A platform of the test's own, durable: to restart it, or to fill its disk."""
    with PlatformThread(tmp_path / "data", registry=recorder.registry) as platform:
        yield platform


@pytest.fixture(autouse=True)
def _answers_as_the_model_has_them(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No operation answers with a member that its model does not know, which would never reach anybody."""
    yield
    told = [record.getMessage() for record in caplog.get_records("call")]
    lost = [line for line in told if line.endswith("the answer goes out without it")]
    assert not lost, "\n".join(lost)
