"""Rules with a schedule: expressions as the EventBridge User Guide describes them, and rules that fire."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.services.events import cron


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


@pytest.mark.parametrize(
    ("expression", "now", "expected"),
    [
        ("cron(0 10 * * ? *)", "2026-11-21T09:59:59", "2026-11-21T10:00"),
        ("cron(0 10 * * ? *)", "2026-11-21T10:00:00", "2026-11-22T10:00"),
        ("cron(15 12 * * ? *)", "2026-11-21T12:30", "2026-11-22T12:15"),
        ("cron(0 18 ? * MON-FRI *)", "2026-11-20T18:00", "2026-11-23T18:00"),
        ("cron(0 8 1 * ? *)", "2026-11-21T00:00", "2026-12-01T08:00"),
        ("cron(0/10 * ? * MON-FRI *)", "2026-11-20T23:50", "2026-11-23T00:00"),
        ("cron(0/5 8-17 ? * MON-FRI *)", "2026-11-20T17:55", "2026-11-23T08:00"),
        ("cron(0 9 ? * 2#1 *)", "2026-11-21T00:00", "2026-12-07T09:00"),
        ("cron(0 9 L * ? *)", "2026-02-01T00:00", "2026-02-28T09:00"),
        ("cron(0 9 LW * ? *)", "2026-02-01T00:00", "2026-02-27T09:00"),
        ("cron(0 9 15W * ? *)", "2026-11-01T00:00", "2026-11-16T09:00"),
        ("cron(0 9 ? * 6L *)", "2026-11-01T00:00", "2026-11-27T09:00"),
        ("cron(0 0 29 2 ? *)", "2026-11-21T00:00", "2028-02-29T00:00"),
        ("cron(30 6 1,15 JAN,JUL ? 2027)", "2026-11-21T00:00", "2027-01-01T06:30"),
    ],
)
def test_the_next_moment_of_a_cron_expression(expression: str, now: str, expected: str) -> None:
    assert cron.parse(expression).next_after(at(now), at(now)) == at(expected)


def test_a_cron_expression_may_have_no_moment_left() -> None:
    assert cron.parse("cron(0 0 1 1 ? 2020)").next_after(at("2026-11-21T00:00"), at("2026-11-21T00:00")) is None


@pytest.mark.parametrize(
    "expression",
    [
        "rate(0 minutes)", "rate(1 minutes)", "rate(5 minute)", "rate(5 weeks)", "cron(0 10 * * *)", "", "at(2026)",
        "cron(0 10 * * * *)", "cron(0 10 ? * ? *)", "cron(60 10 * * ? *)", "cron(0 10 32 * ? *)", "cron(0 10 ? * 8 *)",
    ],
)  # fmt: skip
def test_what_is_no_schedule_is_refused(expression: str) -> None:
    with pytest.raises(ValueError):
        cron.parse(expression)


@given(st.integers(1, 100), st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_rate_keeps_its_beat(minutes: int, begin: int, passed: int) -> None:
    rate = cron.Rate(minutes * 60_000)
    due = rate.next_after(begin, begin + passed)
    assert due > begin + passed
    assert due - (begin + passed) <= rate.every_ms
    assert (due - begin) % rate.every_ms == 0


@given(st.integers(0, 59), st.integers(0, 23), st.integers(at("2020-01-01T00:00"), at("2030-01-01T00:00")))
def test_a_daily_cron_comes_within_a_day(minute: int, hour: int, now: int) -> None:
    due = cron.parse(f"cron({minute} {hour} * * ? *)").next_after(now, now)
    assert due is not None
    assert now < due <= now + 86_400_000
    moment = datetime.fromtimestamp(due / 1000, UTC)
    assert (moment.hour, moment.minute, moment.second) == (hour, minute, 0)


def test_a_rule_fires_at_its_rate_until_it_is_disabled(platform: Any) -> None:
    events, sqs = platform.client("events"), platform.client("sqs")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    platform.freeze()
    arn = events.put_rule(Name="tick", ScheduleExpression="rate(5 minutes)")["RuleArn"]
    events.put_targets(Rule="tick", Targets=[{"Id": "q", "Arn": "arn:aws:sqs:us-east-1:000000000000:q"}])
    platform.advance(seconds=16 * 60)
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    bodies = [json.loads(message["Body"]) for message in messages]
    assert len(bodies) == 3
    assert bodies[0] | {"id": "", "time": ""} == {
        "version": "0", "id": "", "detail-type": "Scheduled Event", "source": "aws.events", "account": "000000000000",
        "time": "", "region": "us-east-1", "resources": [arn], "detail": {},
    }  # fmt: skip
    events.disable_rule(Name="tick")
    platform.advance(seconds=3600)
    events.enable_rule(Name="tick")
    platform.advance(seconds=6 * 60)
    count = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    assert count["ApproximateNumberOfMessages"] == "4"  # those three are visible again, and one more


def test_a_schedule_goes_on_after_a_restart(own_platform: Any) -> None:
    events, sqs = own_platform.client("events"), own_platform.client("sqs")
    sqs.create_queue(QueueName="q")
    own_platform.freeze()
    events.put_rule(Name="tick", ScheduleExpression="rate(1 hour)")
    events.put_targets(Rule="tick", Targets=[{"Id": "q", "Arn": "arn:aws:sqs:us-east-1:000000000000:q"}])
    own_platform.advance(seconds=3601)
    own_platform.restart()
    own_platform.advance(seconds=3600)
    sqs = own_platform.client("sqs")
    url = sqs.get_queue_url(QueueName="q")["QueueUrl"]
    count = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])["Attributes"]
    assert count["ApproximateNumberOfMessages"] == "2"
