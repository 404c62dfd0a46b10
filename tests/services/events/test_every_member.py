"""Members of requests and properties that the other tests have no use for: each is executed, kept or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from penstock.base.errors import ApiError
from penstock.engine.model import load
from penstock.testing.platform import PlatformThread
from tests.coverage.recorder import Recorder
from tests.coverage.test_refusals import sample
from tests.services.applied import Applied

QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
ROLE = "arn:aws:iam::000000000000:role/r"
KEY = "arn:aws:kms:us-east-1:000000000000:key/1"
DEAD = {"Arn": QUEUE}
PATTERN = json.dumps({"source": ["shop"]})


@pytest.fixture
def events(platform: PlatformThread) -> Any:
    client = platform.client("events")
    client.create_event_bus(Name="shop")
    for number in range(3):
        client.put_rule(Name=f"r{number}", EventBusName="shop", EventPattern=PATTERN, RoleArn=ROLE)
    client.put_targets(Rule="r0", EventBusName="shop", Targets=[{"Id": each, "Arn": QUEUE} for each in "abc"])
    client.put_targets(Rule="r1", EventBusName="shop", Targets=[{"Id": "a", "Arn": QUEUE, "RoleArn": ROLE}])
    return client


def test_what_a_bus_keeps_is_given_back_and_changed(events: Any) -> None:
    events.create_event_bus(Name="kept", KmsKeyIdentifier=KEY, DeadLetterConfig=DEAD)
    found = events.describe_event_bus(Name="kept")
    assert (found["KmsKeyIdentifier"], found["DeadLetterConfig"]) == (KEY, DEAD)
    events.update_event_bus(Name="shop", KmsKeyIdentifier=KEY, DeadLetterConfig=DEAD, Description="all orders")
    found = events.describe_event_bus(Name="shop")
    assert (found["KmsKeyIdentifier"], found["DeadLetterConfig"]) == (KEY, DEAD)
    events.update_event_bus(Name="shop", KmsKeyIdentifier="", DeadLetterConfig={})
    found = events.describe_event_bus(Name="shop")
    assert not {"KmsKeyIdentifier", "DeadLetterConfig"} & found.keys()
    assert found["Description"] == "all orders", "what is left out stays"


def test_a_partners_source_does_not_exist(events: Any, recorder: Recorder) -> None:
    source = "aws.partner/example.com/x"
    with pytest.raises(ClientError, match="does not exist"):
        events.create_event_bus(Name=source, EventSourceName=source)
    recorder.refusal("events", "CreateEventBus", "EventSourceName")


def test_rules_and_targets_of_a_bus_are_found_a_page_at_a_time(events: Any) -> None:
    bus = {"EventBusName": "shop"}
    rule = events.describe_rule(Name="r0", **bus)
    assert (rule["EventBusName"], rule["RoleArn"]) == ("shop", ROLE)
    events.disable_rule(Name="r0", **bus)
    assert [each["State"] for each in events.list_rules(**bus)["Rules"]] == ["DISABLED", "ENABLED", "ENABLED"]
    events.enable_rule(Name="r0", **bus)
    assert events.describe_rule(Name="r0", **bus)["State"] == "ENABLED"
    for method, request, member in (
        (events.list_event_buses, {}, "EventBuses"),
        (events.list_rule_names_by_target, {"TargetArn": QUEUE, **bus}, "RuleNames"),
        (events.list_targets_by_rule, {"Rule": "r0", **bus}, "Targets"),
    ):
        first = method(**request, Limit=1)
        rest = method(**request, NextToken=first["NextToken"])
        assert len(first[member]) == 1 and first[member] + rest[member] == method(**request)[member]
    assert events.list_targets_by_rule(Rule="r1", **bus)["Targets"] == [{"Id": "a", "Arn": QUEUE, "RoleArn": ROLE}]


def test_force_is_for_rules_of_aws_and_changes_nothing_here(events: Any) -> None:
    events.remove_targets(Rule="r0", EventBusName="shop", Ids=["a", "b", "c"], Force=True)
    events.delete_rule(Name="r0", EventBusName="shop", Force=True)
    assert [rule["Name"] for rule in events.list_rules(EventBusName="shop")["Rules"]] == ["r1", "r2"]


def test_a_whole_policy_is_kept(events: Any) -> None:
    arn = "arn:aws:events:us-east-1:000000000000:event-bus/shop"
    statement = {"Sid": "one", "Effect": "Allow", "Principal": "*", "Action": "events:PutEvents", "Resource": arn}
    events.put_permission(EventBusName="shop", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert json.loads(events.describe_event_bus(Name="shop")["Policy"])["Statement"] == [statement]


@pytest.mark.parametrize("policy", ["[]", '{"Statement": 1}', '{"Statement": ["Allow"]}', '{"Version": "1"}', "{"])
def test_a_policy_that_is_no_list_of_statements_is_refused(events: Any, policy: str) -> None:
    with pytest.raises(ClientError, match="give an object with a list of Statement"):
        events.put_permission(EventBusName="shop", Policy=policy)


def test_a_targets_longest_age_is_given_back(events: Any) -> None:
    policy = {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0}
    events.put_targets(Rule="r2", EventBusName="shop", Targets=[{"Id": "a", "Arn": QUEUE, "RetryPolicy": policy}])
    assert events.list_targets_by_rule(Rule="r2", EventBusName="shop")["Targets"][0]["RetryPolicy"] == policy


PARAMETERS = (
    "AppSyncParameters", "BatchParameters", "EcsParameters", "HttpParameters", "KinesisParameters",
    "RedshiftDataParameters", "RunCommandParameters", "SageMakerPipelineParameters",
)  # fmt: skip


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_of_other_kinds_of_target_are_refused_by_name(events: Any, name: str) -> None:
    target = load("events").shapes["Target"].members[name]
    with pytest.raises(ClientError, match=f"{name} of PutTargets") as raised:
        events.put_targets(
            Rule="r0", EventBusName="shop", Targets=[{"Id": "a", "Arn": QUEUE, name: sample(target)}]
        )
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_every_property_of_a_templates_bus_rule_and_policy(platform: PlatformThread, recorder: Recorder) -> None:
    applied, events = Applied(platform, "events"), platform.client("events")
    arn = "arn:aws:events:us-east-1:000000000000:event-bus/shop"
    statement = {"Sid": "one", "Effect": "Allow", "Principal": "*", "Action": "events:PutEvents", "Resource": arn}
    applied.create(
        "AWS::Events::EventBus", Name="shop", KmsKeyIdentifier=KEY, DeadLetterConfig=DEAD,
        Policy={"Version": "2012-10-17", "Statement": [statement]},
    )  # fmt: skip
    found = events.describe_event_bus(Name="shop")
    assert (found["KmsKeyIdentifier"], found["DeadLetterConfig"]) == (KEY, DEAD)
    assert json.loads(found["Policy"])["Statement"] == [statement]
    condition = {"Type": "StringEquals", "Key": "aws:PrincipalOrgID", "Value": "o-1234567890"}
    given = {"EventBusName": "shop", "StatementId": "two", "Action": "events:PutEvents", "Principal": "*"}
    applied.create("AWS::Events::EventBusPolicy", **given, Condition=condition)
    kept = json.loads(events.describe_event_bus(Name="shop")["Policy"])["Statement"][1]
    assert kept["Condition"] == {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}}
    tags = [{"Key": "team", "Value": "red"}]
    rule, _ = applied.create("AWS::Events::Rule", EventPattern={"source": ["shop"]}, RoleArn=ROLE, Tags=tags)
    assert events.describe_rule(Name=rule.id)["RoleArn"] == ROLE
    assert tags[0] in events.list_tags_for_resource(ResourceARN=rule.attributes["Arn"])["Tags"]
    with pytest.raises(ApiError, match="does not exist"):
        applied.create("AWS::Events::EventBus", Name="aws.partner/x/y", EventSourceName="aws.partner/x/y")
    recorder.refusal("events", "AWS::Events::EventBus", "EventSourceName")
