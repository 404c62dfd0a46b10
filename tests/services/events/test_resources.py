"""EventBridge's CloudFormation types, applied one by one as ``deploy`` does."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from typing import Any

import pytest

from penstock.base.names import DEFAULT_ACCOUNT, DEFAULT_REGION
from penstock.engine.access import root
from penstock.engine.context import Call, WaitingContext
from penstock.engine.resource import Declared, Physical, ResourceType

PREFIX = f"arn:aws:events:{DEFAULT_REGION}:{DEFAULT_ACCOUNT}"
QUEUE = f"arn:aws:sqs:{DEFAULT_REGION}:{DEFAULT_ACCOUNT}:q"


class Applied:
    """Applies resources."""

    def __init__(self, platform: Any) -> None:
        self.platform = platform
        self.events = platform.client("events")

    def run(self, work: Any) -> Any:
        call = Call("self", "Deploy", {}, DEFAULT_ACCOUNT, DEFAULT_REGION, root(DEFAULT_ACCOUNT), "")

        async def carry_out() -> Any:
            outcome: Coroutine[Any, Any, Any] = work(WaitingContext(self.platform.platform.parts, call))
            return await outcome

        return self.platform.run(carry_out())

    def create(self, kind: str, **properties: Any) -> tuple[Physical, Declared]:
        declared = Declared("Logical", f"AWS::Events::{kind}", properties, "stack-Logical-ABC", tags={"stack": "s"})
        return self.run(lambda cx: self.type(kind).create(cx, declared)), declared

    def update(self, old: Declared, physical: Physical, **properties: Any) -> Physical:
        new = Declared("Logical", old.type, properties, old.generated_name, tags=old.tags)
        updated: Physical = self.run(lambda cx: self.type(old.type.split("::")[2]).update(cx, new, old, physical))
        return updated

    def delete(self, kind: str, physical: Physical) -> None:
        self.run(lambda cx: self.type(kind).delete(cx, physical))

    def type(self, kind: str) -> ResourceType:
        resources = self.platform.platform.registry.service("events").resources
        return next(each for each in resources if each.name == f"AWS::Events::{kind}")


@pytest.fixture
def applied(platform: Any) -> Applied:
    return Applied(platform)


def test_a_rule_with_its_targets(applied: Applied) -> None:
    targets = [{"Id": "a", "Arn": QUEUE, "RetryPolicy": {"MaximumRetryAttempts": "3"}}, {"Id": "b", "Arn": QUEUE}]
    rule, declared = applied.create("Rule", EventPattern={"source": ["shop"]}, Targets=targets, Description="d")
    assert rule == Physical("stack-Logical-ABC", {"Arn": f"{PREFIX}:rule/stack-Logical-ABC"})
    described = applied.events.describe_rule(Name=rule.id)
    assert json.loads(described["EventPattern"]) == {"source": ["shop"]}
    listed = applied.events.list_targets_by_rule(Rule=rule.id)["Targets"]
    assert listed == [{"Id": "a", "Arn": QUEUE, "RetryPolicy": {"MaximumRetryAttempts": 3}}, {"Id": "b", "Arn": QUEUE}]
    tags = applied.events.list_tags_for_resource(ResourceARN=rule.attributes["Arn"])["Tags"]
    assert tags == [{"Key": "stack", "Value": "s"}]
    applied.update(declared, rule, EventPattern={"source": ["other"]}, Targets=[{"Id": "b", "Arn": QUEUE}])
    assert [one["Id"] for one in applied.events.list_targets_by_rule(Rule=rule.id)["Targets"]] == ["b"]
    applied.delete("Rule", rule)
    applied.delete("Rule", rule)
    assert applied.events.list_rules()["Rules"] == []


def test_a_bus_with_a_rule_and_a_policy(applied: Applied) -> None:
    bus, declared = applied.create("EventBus", Name="shop", Description="d", Tags=[{"Key": "k", "Value": "v"}])
    assert bus.id == "shop"
    assert bus.attributes["Arn"] == f"{PREFIX}:event-bus/shop"
    rule, _ = applied.create("Rule", Name="r", EventBusName=bus.attributes["Arn"], EventPattern='{"source": ["shop"]}')
    assert rule == Physical("shop|r", {"Arn": f"{PREFIX}:rule/shop/r"})
    statement = {"Effect": "Allow", "Principal": "*", "Action": "events:PutEvents", "Resource": bus.attributes["Arn"]}
    one, _ = applied.create("EventBusPolicy", EventBusName="shop", StatementId="one", Statement=statement)
    two, _ = applied.create(
        "EventBusPolicy", EventBusName="shop", StatementId="two", Action="events:PutEvents", Principal="111111111111"
    )
    policy = json.loads(applied.events.describe_event_bus(Name="shop")["Policy"])
    assert [each["Sid"] for each in policy["Statement"]] == ["one", "two"]
    for each in (one, two):
        applied.delete("EventBusPolicy", each)
    applied.update(declared, bus, Name="shop", Description="new")
    assert applied.events.describe_event_bus(Name="shop")["Description"] == "new"
    applied.update(declared, bus, Name="shop")
    assert "Description" not in applied.events.describe_event_bus(Name="shop"), "the template says none any more"
    applied.delete("Rule", rule)
    applied.delete("EventBus", bus)
    assert len(applied.events.list_event_buses()["EventBuses"]) == 1


def test_a_scheduled_rule(applied: Applied) -> None:
    rule, _ = applied.create("Rule", ScheduleExpression="rate(1 day)", State="DISABLED")
    described = applied.events.describe_rule(Name=rule.id)
    assert (described["ScheduleExpression"], described["State"]) == ("rate(1 day)", "DISABLED")
