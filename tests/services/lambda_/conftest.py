"""Lambda without processes, for tests that need no HTTP."""

from __future__ import annotations

from functools import partial

import pytest

from tests.coverage.recorder import Recorder
from tests.services.lambda_.bench import Benches, bench_of


@pytest.fixture
def bench(recorder: Recorder) -> Benches:
    """Makes benches: ``async with bench(tmp_path) as on``."""
    return partial(bench_of, recorder.service)
