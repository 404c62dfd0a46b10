"""EventBridge's CloudFormation types, applied one by one as ``deploy`` does."""

from __future__ import annotations

import json

import pytest

from penstock.base.names import DEFAULT_ACCOUNT, DEFAULT_REGION
from penstock.engine.resource import Physical
from penstock.testing.platform import PlatformThread
from tests.services.applied import Applied

PREFIX = f"arn:aws:events:{DEFAULT_REGION}:{DEFAULT_ACCOUNT}"
RULE, BUS, POLICY = "AWS::Events::Rule", "AWS::Events::EventBus", "AWS::Events::EventBusPolicy"
QUEUE = f"arn:aws:sqs:{DEFAULT_REGION}:{DEFAULT_ACCOUNT}:q"


@pytest.fixture
def applied(platform: PlatformThread) -> Applied:
    return Applied(platform, "events")


def test_a_rule_with_its_targets(applied: Applied) -> None:
    targets = [{"Id": "a", "Arn": QUEUE, "RetryPolicy": {"MaximumRetryAttempts": "3"}}, {"Id": "b", "Arn": QUEUE}]
    rule, declared = applied.create(RULE, EventPattern={"source": ["shop"]}, Targets=targets, Description="d")
    assert rule == Physical("stack-Logical-ABC", {"Arn": f"{PREFIX}:rule/stack-Logical-ABC"})
    described = applied.client.describe_rule(Name=rule.id)
    assert json.loads(described["EventPattern"]) == {"source": ["shop"]}
    listed = applied.client.list_targets_by_rule(Rule=rule.id)["Targets"]
    assert listed == [{"Id": "a", "Arn": QUEUE, "RetryPolicy": {"MaximumRetryAttempts": 3}}, {"Id": "b", "Arn": QUEUE}]
    tags = applied.client.list_tags_for_resource(ResourceARN=rule.attributes["Arn"])["Tags"]
    assert tags == [{"Key": "stack", "Value": "orders"}]
    applied.update(declared, rule, EventPattern={"source": ["other"]}, Targets=[{"Id": "b", "Arn": QUEUE}])
    assert [one["Id"] for one in applied.client.list_targets_by_rule(Rule=rule.id)["Targets"]] == ["b"]
    applied.delete(RULE, rule)
    applied.delete(RULE, rule)
    assert applied.client.list_rules()["Rules"] == []


def test_a_bus_with_a_rule_and_a_policy(applied: Applied) -> None:
    bus, declared = applied.create(BUS, Name="shop", Description="d", Tags=[{"Key": "k", "Value": "v"}])
    assert bus.id == "shop"
    assert bus.attributes["Arn"] == f"{PREFIX}:event-bus/shop"
    rule, _ = applied.create(RULE, Name="r", EventBusName=bus.attributes["Arn"], EventPattern='{"source": ["shop"]}')
    assert rule == Physical("shop|r", {"Arn": f"{PREFIX}:rule/shop/r"})
    statement = {"Effect": "Allow", "Principal": "*", "Action": "events:PutEvents", "Resource": bus.attributes["Arn"]}
    one, _ = applied.create(POLICY, EventBusName="shop", StatementId="one", Statement=statement)
    two, _ = applied.create(
        POLICY, EventBusName="shop", StatementId="two", Action="events:PutEvents", Principal="111111111111"
    )
    policy = json.loads(applied.client.describe_event_bus(Name="shop")["Policy"])
    assert [each["Sid"] for each in policy["Statement"]] == ["one", "two"]
    for each in (one, two):
        applied.delete(POLICY, each)
    applied.update(declared, bus, Name="shop", Description="new")
    assert applied.client.describe_event_bus(Name="shop")["Description"] == "new"
    applied.update(declared, bus, Name="shop")
    assert "Description" not in applied.client.describe_event_bus(Name="shop"), "the template says none any more"
    applied.delete(RULE, rule)
    applied.delete(BUS, bus)
    assert len(applied.client.list_event_buses()["EventBuses"]) == 1


def test_a_scheduled_rule(applied: Applied) -> None:
    rule, _ = applied.create(RULE, ScheduleExpression="rate(1 day)", State="DISABLED")
    described = applied.client.describe_rule(Name=rule.id)
    assert (described["ScheduleExpression"], described["State"]) == ("rate(1 day)", "DISABLED")
