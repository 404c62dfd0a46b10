"""The pure rules: whatever an entry's detail is, it is an event or malformed, never a failure."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.engine.path import Transformer
from penstock.engine.pattern import Index, compile
from penstock.services.events.rules import (
    detail_of,
    entry_bytes,
    error_code,
    new_event,
    retry_wait_ms,
    rule_arn,
    rule_of_arn,
    timestamp,
)

VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(),
        st.sampled_from([10**25, -(2**63), 0.1 + 0.2, "10.0.0.1"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)),
    max_leaves=12,
)  # fmt: skip


def event_of(text: str, detail: Any) -> tuple[dict[str, Any], bytes]:
    return new_event(
        "id", source="s", detail_type="t", account="000000000000", region="us-east-1", time_ms=0, resources=[],
        detail=detail, detail_text=text,
    )  # fmt: skip


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
def test_every_object_is_a_detail_that_reaches_its_target_unchanged(detail: dict[str, Any]) -> None:
    text = json.dumps(detail, indent=1)
    parsed = detail_of(text)
    assert parsed is not None
    value, payload = event_of(text, parsed)
    assert json.loads(payload)["detail"] == detail
    index: Index[str] = Index()
    index.add("all", compile({"source": ["s"]}))
    index.add("some", compile({"detail": {"a": [{"exists": True}], "b": [{"anything-but": "x"}]}}))
    assert "all" in index.matching(value)
    made = Transformer({"d": "$.detail"}, '{"d": <d>}').transform(json.loads(payload), {})
    assert json.loads(made) == {"d": detail}


@given(st.text(max_size=30))
def test_any_other_text_is_malformed(text: str) -> None:
    parsed = detail_of(text)
    assert parsed is None or isinstance(json.loads(text), dict)


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", '"x"', "{", '{"a": NaN}', '{"a": 1e400}', '{"a": "\\ud800"}',
        '{"a": 1234567890123456789012, }',
        '{"a":' * 501 + "1" + "}" * 501, '{"a":' + "[" * 20_000 + "]" * 20_000 + "}",
        '{"b": 12345678901234567890, "a":' + "[" * 5000 + "]" * 5000 + "}",
    ],
)  # fmt: skip
def test_what_is_no_object_is_malformed(text: str) -> None:
    assert detail_of(text) is None


def test_a_deep_detail_is_matched_and_transformed() -> None:
    text = '{"a":' + "[" * 498 + "1" + "]" * 498 + "}"
    detail = detail_of(text)
    value, payload = event_of(text, detail)
    assert compile({"detail": {"a": [1]}}).matches(value)
    assert Transformer({"d": "$.detail"}, "<d>").transform(json.loads(payload), {}) == text


def test_an_entry_counts_what_aws_counts() -> None:
    entry = {"Source": "äb", "DetailType": "t", "Detail": "{}", "Time": 1.0, "Resources": ["abc"]}
    assert entry_bytes(entry) == 3 + 1 + 2 + 14 + 3


def test_retries_wait_longer_and_longer_and_end_within_a_day() -> None:
    waits = [retry_wait_ms(attempts) for attempts in range(1, 186)]
    assert waits[:10] == [1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000, 256000, 480000]
    assert sum(waits) < 86_400_000


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("AWS.SimpleQueueService.NonExistentQueue", "NO_RESOURCE"), ("ResourceNotFoundException", "NO_RESOURCE"),
        ("QueueDoesNotExist", "NO_RESOURCE"), ("InvalidParameterValue", "INVALID_PARAMETER"),
        ("ThrottlingException", "THROTTLING"), ("THIRD_ACCOUNT_HOP_DETECTED", "THIRD_ACCOUNT_HOP_DETECTED"),
        ("", "UNKNOWN"), ("Odd", "ERROR_FROM_TARGET"),
    ],
)  # fmt: skip
def test_errors_of_targets_have_eventbridges_codes(code: str, expected: str) -> None:
    assert error_code(code) == expected


@given(st.sampled_from(["default", "shop", "aws.partner/x/y"]), st.from_regex(r"[.\-_A-Za-z0-9]{1,20}", fullmatch=True))
def test_a_rules_arn_can_be_taken_apart(bus: str, rule: str) -> None:
    assert rule_of_arn(rule_arn("111111111111", "eu-west-1", bus, rule)) == ("111111111111", "eu-west-1", bus, rule)


def test_times_are_told_in_seconds() -> None:
    assert timestamp(1_700_000_000_999) == "2023-11-14T22:13:20Z"
    assert orjson.dumps(timestamp(0)) == b'"1970-01-01T00:00:00Z"'
