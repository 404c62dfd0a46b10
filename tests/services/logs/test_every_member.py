"""Members of requests and properties that the other tests have no use for: each is executed, kept or refused."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from penstock.engine.resource import Physical
from penstock.testing.platform import PlatformThread
from tests.coverage.recorder import Recorder
from tests.services.applied import Applied

KEY = "arn:aws:kms:us-east-1:000000000000:key/1"
ARN = "arn:aws:logs:us-east-1:000000000000:log-group:{}"


@pytest.fixture
def logs(platform: PlatformThread) -> Any:
    client = platform.client("logs")
    for name in ("app", "app-two", "job"):
        client.create_log_group(logGroupName=name, tags={"team": "red" if name == "job" else "blue"})
    return client


def names(answer: dict[str, Any]) -> list[str]:
    return [group["logGroupName"] for group in answer["logGroups"]]


def test_groups_are_chosen_by_identifier_class_and_tag_a_page_at_a_time(logs: Any) -> None:
    assert names(logs.describe_log_groups(logGroupIdentifiers=["job", ARN.format("app")])) == ["app", "job"]
    assert names(logs.describe_log_groups(logGroupClass="STANDARD")) == ["app", "app-two", "job"]
    assert names(logs.list_log_groups(logGroupClass="STANDARD")) == ["app", "app-two", "job"]
    assert names(logs.list_log_groups(logGroupTags=[{"key": "team", "values": ["red"]}])) == ["job"]
    first = logs.list_log_groups(limit=2)
    assert names(first) == ["app", "app-two"]
    assert names(logs.list_log_groups(limit=2, nextToken=first["nextToken"])) == ["job"]


@pytest.mark.parametrize("operation", ["describe_log_streams", "filter_log_events", "get_log_events"])
def test_the_arn_of_a_groups_streams_is_no_identifier_of_the_group(logs: Any, operation: str) -> None:
    stream = {"logStreamName": "s"} if operation == "get_log_events" else {}
    with pytest.raises(ClientError) as error:
        getattr(logs, operation)(logGroupIdentifier=ARN.format("app:*"), **stream)
    assert error.value.response["Error"] == {
        "Code": "InvalidParameterException",
        "Message": "1 validation error detected: Value at 'logGroupIdentifier' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [\\w#+=/:,.@-]*",
    }


def test_there_are_no_export_tasks(logs: Any, recorder: Recorder) -> None:
    assert logs.describe_export_tasks(taskId="t", statusCode="FAILED", limit=5)["exportTasks"] == []
    with pytest.raises(logs.exceptions.InvalidParameterException, match="nextToken"):
        logs.describe_export_tasks(nextToken="any")
    recorder.refusal("logs", "DescribeExportTasks", "nextToken")


def test_a_standard_group_can_be_asked_for(logs: Any) -> None:
    logs.create_log_group(logGroupName="standard", logGroupClass="STANDARD")
    assert logs.describe_log_groups(logGroupNamePrefix="standard")["logGroups"][0]["logGroupClass"] == "STANDARD"


def test_a_groups_key_is_kept_until_it_is_taken_away(logs: Any) -> None:
    logs.associate_kms_key(logGroupName="job", kmsKeyId=KEY)
    assert logs.describe_log_groups(logGroupNamePrefix="job")["logGroups"][0]["kmsKeyId"] == KEY
    logs.disassociate_kms_key(logGroupName="job")
    assert "kmsKeyId" not in logs.describe_log_groups(logGroupNamePrefix="job")["logGroups"][0]


def test_groups_are_read_by_identifier_with_what_aws_ignores(platform: PlatformThread, logs: Any) -> None:
    now = platform.freeze()
    logs.create_log_stream(logGroupName="app", logStreamName="s")
    events = [{"timestamp": now + number, "message": str(number)} for number in range(3)]
    logs.put_log_events(logGroupName="app", logStreamName="s", logEvents=events, sequenceToken="whatever")
    arn = ARN.format("app")
    assert [each["logStreamName"] for each in logs.describe_log_streams(logGroupIdentifier=arn)["logStreams"]] == ["s"]
    read = logs.get_log_events(logGroupIdentifier=arn, logStreamName="s", startFromHead=True, unmask=False)
    assert [each["message"] for each in read["events"]] == ["0", "1", "2"]
    found = logs.filter_log_events(logGroupIdentifier=arn, limit=2, interleaved=True, unmask=False)
    assert [each["message"] for each in found["events"]] == ["0", "1"]
    found = logs.filter_log_events(logGroupIdentifier=arn, limit=2, nextToken=found["nextToken"])
    assert [each["message"] for each in found["events"]] == ["2"]


def test_a_templates_group_and_stream(platform: PlatformThread) -> None:
    applied, logs = Applied(platform, "logs"), platform.client("logs")
    given = {"LogGroupName": "mine", "RetentionInDays": "7", "KmsKeyId": KEY, "LogGroupClass": "STANDARD"}
    group, declared = applied.create(
        "AWS::Logs::LogGroup", **given, DeletionProtectionEnabled="true", Tags=[{"Key": "team", "Value": "red"}]
    )
    found = logs.describe_log_groups()["logGroups"][0]
    assert (group.id, found["retentionInDays"], found["kmsKeyId"]) == ("mine", 7, KEY)
    assert found["deletionProtectionEnabled"] is True
    arn = ARN.format("mine")
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"stack": "orders", "team": "red"}
    stream, _ = applied.create("AWS::Logs::LogStream", LogGroupName="mine", LogStreamName="s")
    assert stream == Physical("s", {"LogGroupName": "mine"})
    applied.update(declared, group, LogGroupName="mine")
    found = logs.describe_log_groups()["logGroups"][0]
    assert "retentionInDays" not in found and "kmsKeyId" not in found
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"stack": "orders"}
    for type_, physical in (("AWS::Logs::LogStream", stream), ("AWS::Logs::LogGroup", group)):
        applied.delete(type_, physical)
    assert logs.describe_log_groups()["logGroups"] == []
