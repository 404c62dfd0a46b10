"""Rules with a schedule: rules that fire, and what they do when they are changed, moved in time or restarted."""

from __future__ import annotations

import json
from typing import Any


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


def test_each_moment_of_a_schedule_is_an_event_of_its_own(platform: Any) -> None:
    events = platform.client("events")
    platform.client("sqs").create_queue(QueueName="q")
    platform.freeze()
    events.put_rule(Name="tick", ScheduleExpression="rate(1 minute)")
    events.put_targets(Rule="tick", Targets=[{"Id": "q", "Arn": "arn:aws:sqs:us-east-1:000000000000:q"}])
    platform.advance(seconds=5 * 60)
    ticks = [each["eventId"] for each in platform.call("self", "ListEvents", {"kind": "events:Schedule"})["events"]]
    assert len(ticks) == 5
    for tick in ticks:
        found = platform.call("self", "TraceEvent", {"eventId": tick, "fromRoots": True})
        assert (found["causes"], [each["eventId"] for each in found["events"]]) == ([], [tick])
        assert [hop["state"] for hop in found["hops"] if hop["target"].endswith(":q")] == ["delivered"]
