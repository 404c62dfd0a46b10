"""Buses, rules and targets, with boto3; errors as AWS words them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

PATTERN = json.dumps({"source": ["shop"]})
QUEUE = "arn:aws:sqs:us-east-1:000000000000:queue"


@pytest.fixture
def events(platform: Any) -> Any:
    return platform.client("events")


@contextmanager
def refused(code: str, message: str) -> Iterator[None]:
    with pytest.raises(ClientError) as error:
        yield
    assert error.value.response["Error"]["Code"] == code
    assert message in error.value.response["Error"]["Message"]


def test_the_default_bus_is_there(events: Any) -> None:
    assert events.describe_event_bus()["Arn"] == "arn:aws:events:us-east-1:000000000000:event-bus/default"
    assert [bus["Name"] for bus in events.list_event_buses()["EventBuses"]] == ["default"]
    with refused("ValidationException", "Cannot delete event bus default."):
        events.delete_event_bus(Name="default")


def test_a_bus_is_made_described_listed_and_deleted(events: Any) -> None:
    made = events.create_event_bus(Name="shop", Description="orders", Tags=[{"Key": "team", "Value": "a"}])
    assert made["EventBusArn"] == "arn:aws:events:us-east-1:000000000000:event-bus/shop"
    assert events.describe_event_bus(Name=made["EventBusArn"])["Description"] == "orders"
    assert events.list_tags_for_resource(ResourceARN=made["EventBusArn"])["Tags"] == [{"Key": "team", "Value": "a"}]
    with refused("ResourceAlreadyExistsException", "Event bus shop already exists."):
        events.create_event_bus(Name="shop")
    events.update_event_bus(Name="shop", Description="more")
    assert [bus["Name"] for bus in events.list_event_buses(NamePrefix="sh")["EventBuses"]] == ["shop"]
    events.put_rule(Name="r", EventBusName="shop", EventPattern=PATTERN)
    with refused("ValidationException", "since it has rules"):
        events.delete_event_bus(Name="shop")
    events.delete_rule(Name="r", EventBusName="shop")
    events.delete_event_bus(Name="shop")
    events.delete_event_bus(Name="shop")
    with refused("ResourceNotFoundException", "Event bus shop does not exist."):
        events.describe_event_bus(Name="shop")


def test_a_logging_bus_is_refused_by_name(events: Any) -> None:
    with refused("NotImplemented", "LogConfig of CreateEventBus"):
        events.create_event_bus(Name="shop", LogConfig={"Level": "INFO"})


def test_permissions_are_kept(events: Any) -> None:
    arn = events.create_event_bus(Name="shop")["EventBusArn"]
    events.put_permission(EventBusName="shop", Action="events:PutEvents", Principal="111111111111", StatementId="one")
    events.put_permission(EventBusName="shop", Action="events:PutEvents", Principal="*", StatementId="two",
                          Condition={"Type": "StringEquals", "Key": "aws:PrincipalOrgID", "Value": "o-1"})  # fmt: skip
    policy = json.loads(events.describe_event_bus(Name="shop")["Policy"])
    assert [one["Principal"] for one in policy["Statement"]] == [{"AWS": "arn:aws:iam::111111111111:root"}, "*"]
    assert policy["Statement"][0]["Resource"] == arn
    assert policy["Statement"][1]["Condition"] == {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}
    events.remove_permission(EventBusName="shop", StatementId="one")
    with refused("ResourceNotFoundException", "Statement with the provided id does not exist."):
        events.remove_permission(EventBusName="shop", StatementId="one")
    events.remove_permission(EventBusName="shop", RemoveAllPermissions=True)
    assert "Policy" not in events.describe_event_bus(Name="shop")
    with refused("ResourceNotFoundException", "Statement with the provided id does not exist."):
        events.remove_permission(EventBusName="shop", StatementId="two")


def test_a_rule_is_replaced_by_putting_it_again(events: Any) -> None:
    arn = events.put_rule(Name="r", EventPattern=PATTERN, Description="first")["RuleArn"]
    assert arn == "arn:aws:events:us-east-1:000000000000:rule/r"
    events.put_targets(Rule="r", Targets=[{"Id": "q", "Arn": QUEUE}])
    events.put_rule(Name="r", EventPattern=json.dumps({"source": ["other"]}), State="DISABLED")
    rule = events.describe_rule(Name="r")
    assert "Description" not in rule
    assert (rule["State"], rule["EventBusName"], rule["CreatedBy"]) == ("DISABLED", "default", "000000000000")
    assert events.list_targets_by_rule(Rule="r")["Targets"] == [{"Id": "q", "Arn": QUEUE}]
    events.enable_rule(Name="r")
    assert events.describe_rule(Name="r")["State"] == "ENABLED"
    with refused("ValidationException", "Rule can't be deleted since it has targets."):
        events.delete_rule(Name="r")
    events.remove_targets(Rule="r", Ids=["q"])
    events.delete_rule(Name="r")
    events.delete_rule(Name="r")
    with refused("ResourceNotFoundException", "Rule r does not exist on EventBus default."):
        events.describe_rule(Name="r")


def test_a_rule_needs_a_valid_pattern_or_schedule(events: Any) -> None:
    with refused("ValidationException", "Parameter(s) EventPattern or ScheduleExpression must be specified."):
        events.put_rule(Name="r")
    with refused("InvalidEventPatternException", 'Event pattern is not valid. Reason: "source" must be an object or'):
        events.put_rule(Name="r", EventPattern='{"source": "shop"}')
    texts = [{"wildcard": f"*/datasync/*.{kind}"} for kind in ("bif", "tif", "tiff", "svs")]
    with refused("InvalidEventPatternException", "Rule is too complex - try using fewer wildcard characters or fewer"):
        events.put_rule(Name="r", EventPattern=json.dumps({"detail": {"key": texts}}))
    with refused("ValidationException", "Parameter ScheduleExpression is not valid."):
        events.put_rule(Name="r", ScheduleExpression="rate(1 minutes)")
    events.create_event_bus(Name="shop")
    with refused("ValidationException", "ScheduleExpression is supported only on the default event bus."):
        events.put_rule(Name="r", EventBusName="shop", ScheduleExpression="rate(1 minute)")


def test_lists_have_pages(events: Any) -> None:
    for name in ("a1", "a2", "a3", "b1"):
        events.put_rule(Name=name, EventPattern=PATTERN)
        events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": QUEUE}])
    first = events.list_rules(NamePrefix="a", Limit=2)
    assert [rule["Name"] for rule in first["Rules"]] == ["a1", "a2"]
    rest = events.list_rules(NamePrefix="a", NextToken=first["NextToken"])
    assert [rule["Name"] for rule in rest["Rules"]] == ["a3"]
    assert "NextToken" not in rest
    assert events.list_rule_names_by_target(TargetArn=QUEUE)["RuleNames"] == ["a1", "a2", "a3", "b1"]
    with refused("ValidationException", "NextToken"):
        events.list_rules(NextToken="é")


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        (
            {"Arn": "queue"},
            "ValidationException",
            "Parameter queue is not valid. Reason: Provided Arn is not in correct",
        ),
        (
            {"Arn": QUEUE + ".fifo"},
            "ValidationException",
            "Parameter(s) SqsParameters must be specified for target: t.",
        ),
        (
            {"Arn": QUEUE, "DeadLetterConfig": {"Arn": QUEUE + ".fifo"}},
            "ValidationException",
            f"Parameter DeadLetterConfig.Arn is not valid. Reason: {QUEUE}.fifo is not the ARN of a standard",
        ),
        ({"Arn": "arn:aws:sns:us-east-1:000000000000:t"}, "NotImplemented", "targets here are SQS queues, Lambda"),
        ({"Arn": "arn:aws:events:us-east-1:000000000000:target/create-snapshot"}, "NotImplemented", "is not supported"),
        ({"Arn": "arn:aws:events:us-east-1:000000000000:api-destination/a/b"}, "NotImplemented", "is not supported"),
        ({"Arn": QUEUE, "KinesisParameters": {"PartitionKeyPath": "$.a"}}, "NotImplemented", "KinesisParameters of"),
        ({"Arn": QUEUE, "Input": "{"}, "ValidationException", "JSON syntax error in input for target t"),
        ({"Arn": QUEUE, "Input": "1", "InputPath": "$"}, "ValidationException", "Only one of Input, InputPath, or"),
        ({"Arn": QUEUE, "InputPath": "detail"}, "ValidationException", "Invalid InputPath for target t"),
        (
            {"Arn": QUEUE, "InputTransformer": {"InputTemplate": '{"a": <b>}'}},
            "ValidationException",
            "InputTemplate for target t contains invalid placeholder b.",
        ),
        (
            {"Arn": QUEUE, "InputTransformer": {"InputPathsMap": {"b": "$.x"}, "InputTemplate": "<b> and <b>"}},
            "ValidationException",
            "Invalid InputTemplate for target t : [Source: (String)",
        ),
        (
            {"Arn": "arn:aws:events:us-east-1:000000000000:event-bus/x", "Input": "1"},
            "NotImplemented",
            "an event bus takes the event as it is",
        ),
    ],
)
def test_a_target_that_cannot_be_is_refused(events: Any, target: dict[str, Any], code: str, message: str) -> None:
    events.put_rule(Name="r", EventPattern=PATTERN)
    with refused(code, message):
        events.put_targets(Rule="r", Targets=[{"Id": "fine", "Arn": QUEUE}, {"Id": "t", **target}])
    assert events.list_targets_by_rule(Rule="r")["Targets"] == []


def test_what_aws_refuses_too_is_told_before_what_only_penstock_refuses(events: Any) -> None:
    events.put_rule(Name="r", EventPattern=PATTERN)
    with refused("ValidationException", "Parameter bucket is not valid. Reason: Provided Arn is not in correct"):
        events.put_targets(Rule="r", Targets=[{"Id": "1", "Arn": "arn:aws:s3:::bucket"}, {"Id": "2", "Arn": "bucket"}])


def test_a_rule_has_a_hundred_targets_at_most(events: Any) -> None:
    events.put_rule(Name="r", EventPattern=PATTERN)
    events.put_targets(Rule="r", Targets=[{"Id": str(number), "Arn": QUEUE} for number in range(100)])
    with refused("LimitExceededException", "The requested resource exceeds the maximum number allowed."):
        events.put_targets(Rule="r", Targets=[{"Id": "more", "Arn": QUEUE}])


def test_tags_of_a_rule(events: Any) -> None:
    arn = events.put_rule(Name="r", EventPattern=PATTERN, Tags=[{"Key": "a", "Value": "1"}])["RuleArn"]
    events.tag_resource(ResourceARN=arn, Tags=[{"Key": "b", "Value": "2"}])
    events.untag_resource(ResourceARN=arn, TagKeys=["a"])
    assert events.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    with refused("ResourceNotFoundException", "Rule none does not exist on EventBus default."):
        events.list_tags_for_resource(ResourceARN=arn.replace("/r", "/none"))


def test_a_pattern_is_tested_against_a_whole_event(events: Any) -> None:
    event = {
        "id": "1", "account": "000000000000", "source": "shop", "time": "2026-11-21T12:00:00Z", "region": "us-east-1",
        "resources": [], "detail-type": "OrderPlaced", "detail": {"total": 12},
    }  # fmt: skip
    assert events.test_event_pattern(EventPattern=PATTERN, Event=json.dumps(event))["Result"] is True
    other = json.dumps(event | {"source": "other"})
    assert events.test_event_pattern(EventPattern=PATTERN, Event=other)["Result"] is False
    del event["resources"]
    assert events.test_event_pattern(EventPattern=PATTERN, Event=json.dumps(event))["Result"] is True, "as AWS does"
    del event["region"]
    with refused("ValidationException", "region is a required field of an event"):
        events.test_event_pattern(EventPattern=PATTERN, Event=json.dumps(event))
    wild = json.dumps({"source": [{"wildcard": "a*a*a*a*a*a*a*a*a*a*a*a*"}]})
    with refused("InvalidEventPatternException", "Rule is too complex"):
        events.test_event_pattern(EventPattern=wild, Event=json.dumps(event))


@pytest.mark.parametrize("operation", ["create_archive", "start_replay", "create_connection", "create_api_destination"])
def test_what_comes_later_is_refused_by_name(events: Any, operation: str) -> None:
    requests: dict[str, dict[str, Any]] = {
        "create_archive": {"ArchiveName": "a", "EventSourceArn": "arn:aws:events:us-east-1:000000000000:event-bus/x"},
        "start_replay": {
            "ReplayName": "r", "EventSourceArn": "arn:aws:events:us-east-1:000000000000:archive/a", "EventStartTime": 0,
            "EventEndTime": 1, "Destination": {"Arn": "arn:aws:events:us-east-1:000000000000:event-bus/x"},
        },
        "create_connection": {
            "Name": "c", "AuthorizationType": "API_KEY",
            "AuthParameters": {"ApiKeyAuthParameters": {"ApiKeyName": "n", "ApiKeyValue": "v"}},
        },
        "create_api_destination": {
            "Name": "d",
            "ConnectionArn": "arn:aws:events:us-east-1:000000000000:connection/c/11111111-1111-1111-1111-111111111111",
            "InvocationEndpoint": "https://example.com", "HttpMethod": "POST",
        },
    }  # fmt: skip
    with refused("NotImplemented", "is not supported by this version of Penstock"):
        getattr(events, operation)(**requests[operation])
