"""The record of several processes is one record, and what it says fails the run."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUITE = """
from hypothesis import given, strategies
from penstock.engine.operation import operation
from penstock.engine.service import Service

def put(recorder, **request):
    @operation(name="PutEvents")
    def put_events(cx, request):
        return {"read": [entry.get("Source") for entry in request["Entries"]]}
    service = recorder.service(Service("events", {"PutEvents": put_events.operation}))
    service.operations["PutEvents"].function(None, request)

def test_what_is_read_is_fine(recorder):
    put(recorder, Entries=[{"Source": "a"}])

def test_what_is_not_read_is_told(recorder):
    put(recorder, Entries=[{"Detail": "{}"}], EndpointId="abcde.veo")

@given(strategies.booleans())
def test_what_chance_does_is_not_recorded(recorder, _):
    put(recorder, Entries=[{"Time": 1}])
"""


def test_a_setting_that_nobody_read_fails_a_run_in_which_every_test_passed(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile(SUITE)
    result = pytester.runpytest_subprocess("-p", "tests.coverage.plugin", "-n", "1", "-q")
    result.assert_outcomes(passed=3)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    told = [line for line in result.outlines if line.startswith("silently ignored")]
    assert [line.split(":")[1].strip() for line in told] == [
        "EndpointId of PutEvents (events)",
        "Entries.Detail of PutEvents (events)",
    ]
