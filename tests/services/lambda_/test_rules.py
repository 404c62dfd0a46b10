"""Lambda's pure rules."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.services.lambda_ import rules
from penstock.services.lambda_.errors import InvalidParameterValue, ResourceNotFound
from penstock.services.lambda_.rules import MalformedResponse, batch_failures, parse_reference

ACCOUNT, REGION = "123456789012", "eu-west-1"
ARN = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:orders"


@pytest.mark.parametrize(
    ("text", "qualifier", "qualified"),
    [
        ("orders", None, ARN),
        ("orders:$LATEST", None, f"{ARN}:$LATEST"),
        ("orders", "prod", f"{ARN}:prod"),
        ("function:orders", None, ARN),
        (f"{ACCOUNT}:function:orders", None, ARN),
        (ARN, None, ARN),
        (f"{ARN}:3", "3", f"{ARN}:3"),
        ("111122223333:function:orders", None, ARN.replace(ACCOUNT, "111122223333")),
    ],
)
def test_a_function_can_be_named_in_all_of_awss_ways(text: str, qualifier: str | None, qualified: str) -> None:
    assert parse_reference(text, qualifier, ACCOUNT, REGION).qualified_arn == qualified


def test_a_function_of_another_region_is_not_reachable() -> None:
    with pytest.raises(ResourceNotFound, match="Functions from 'us-east-1' are not reachable in this region"):
        parse_reference(ARN.replace(REGION, "us-east-1"), None, ACCOUNT, REGION)


def test_two_different_qualifiers_are_refused() -> None:
    with pytest.raises(InvalidParameterValue, match="derived qualifier"):
        parse_reference(f"{ARN}:1", "2", ACCOUNT, REGION)


IDS = frozenset({"a", "b", "c"})


@pytest.mark.parametrize(
    "payload", [b"", b"null", b"{}", b'{"batchItemFailures":[]}', b'{"batchItemFailures":null}', b'"done"']
)
def test_answers_that_report_no_failure_are_a_success(payload: bytes) -> None:
    assert batch_failures(payload, IDS) == set()


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b'{"batchItemFailures":{}}',
        b'{"batchItemFailures":["a"]}',
        b'{"batchItemFailures":[{"itemIdentifier":""}]}',
        b'{"batchItemFailures":[{"itemIdentifier":null}]}',
        b'{"batchItemFailures":[{"identifier":"a"}]}',
        b'{"batchItemFailures":[{"itemIdentifier":"nobody"}]}',
        b'{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"nobody"}]}',
    ],
)
def test_answers_that_make_no_sense_fail_the_whole_batch(payload: bytes) -> None:
    with pytest.raises(MalformedResponse):
        batch_failures(payload, IDS)


@given(st.sets(st.sampled_from(sorted(IDS))))
def test_exactly_the_reported_records_fail(reported: set[str]) -> None:
    answer = {"batchItemFailures": [{"itemIdentifier": each} for each in reported]}
    assert batch_failures(orjson.dumps(answer), IDS) == reported


def test_retries_wait_one_and_two_minutes() -> None:
    assert [rules.retry_wait_ms(attempts) for attempts in (1, 2)] == [60_000, 120_000]


def test_throttled_events_wait_twice_as_long_each_time_from_a_second_to_five_minutes() -> None:
    age, waits = 0, []
    for _ in range(12):
        waits.append(rules.throttle_wait_ms(age))
        age += waits[-1]
    assert waits[:4] == [1000, 1000, 2000, 4000]
    assert waits[-1] == 300_000


def test_the_tail_of_a_log_is_its_last_4_kb() -> None:
    tail = rules.log_tail(["x" * 5000, "end\n"])
    assert len(tail) == 4096
    assert tail.endswith(b"x\nend\n")
