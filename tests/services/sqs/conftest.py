"""SQS alone, for tests that need no HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.coverage.recorder import Recorder
from tests.services.sqs.alone import Alone


@pytest.fixture
def sqs(recorder: Recorder) -> Iterator[Alone]:
    """SQS with nothing in it, on a clock that stands still."""
    alone = Alone(recorder.registry)
    yield alone
    alone.close()
