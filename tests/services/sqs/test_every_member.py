"""Members of requests and properties that the other tests have no use for: each is executed, kept or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from penstock.testing.platform import PlatformThread
from tests.coverage.recorder import Recorder
from tests.services.applied import Applied

ARN = "arn:aws:sqs:us-east-1:000000000000:"
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}]}
KEPT = {"KmsMasterKeyId": "alias/a", "KmsDataKeyReusePeriodSeconds": "60"}


@pytest.fixture
def sqs(platform: PlatformThread) -> Any:
    return platform.client("sqs")


def told(sqs: Any, url: str, *names: str) -> dict[str, str]:
    return dict(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(names))["Attributes"])


def test_every_attribute_of_a_queue_is_given_back(sqs: Any) -> None:
    given = {"ReceiveMessageWaitTimeSeconds": "3", "SqsManagedSseEnabled": "false", "Policy": json.dumps(POLICY)}
    url = sqs.create_queue(QueueName="q", Attributes=given)["QueueUrl"]
    assert told(sqs, url, "ReceiveMessageWaitTimeSeconds", "SqsManagedSseEnabled") == {
        "ReceiveMessageWaitTimeSeconds": "3", "SqsManagedSseEnabled": "false",
    }  # fmt: skip
    assert json.loads(told(sqs, url, "Policy")["Policy"]) == POLICY
    allow = {"RedriveAllowPolicy": json.dumps({"redrivePermission": "denyAll"})}
    changed = {"MessageRetentionPeriod": "600", "ReceiveMessageWaitTimeSeconds": "1", **KEPT, **allow}
    sqs.set_queue_attributes(QueueUrl=url, Attributes=changed)
    answer = told(sqs, url, *changed)
    assert answer | allow == changed and json.loads(answer["RedriveAllowPolicy"]) == {"redrivePermission": "denyAll"}


def test_the_throughput_of_a_fifo_queue_can_be_changed_and_its_kind_cannot(sqs: Any, recorder: Recorder) -> None:
    url = sqs.create_queue(QueueName="q.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    changed = {"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
    sqs.set_queue_attributes(QueueUrl=url, Attributes=changed)
    assert told(sqs, url, *changed) == changed
    with pytest.raises(ClientError):
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"FifoQueue": "false"})
    recorder.refusal("sqs", "SetQueueAttributes", "Attributes.FifoQueue")


def test_sources_and_moves_are_listed_a_page_at_a_time(sqs: Any) -> None:
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    policy = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": f"{ARN}dead", "maxReceiveCount": 1})}
    urls = [sqs.create_queue(QueueName=name, Attributes=policy)["QueueUrl"] for name in ("a", "b", "c")]
    first = sqs.list_dead_letter_source_queues(QueueUrl=dead, MaxResults=2)
    rest = sqs.list_dead_letter_source_queues(QueueUrl=dead, MaxResults=2, NextToken=first["NextToken"])
    assert first["queueUrls"] + rest["queueUrls"] == urls and "NextToken" not in rest
    for _ in range(2):
        sqs.start_message_move_task(SourceArn=f"{ARN}dead")
    assert len(sqs.list_message_move_tasks(SourceArn=f"{ARN}dead", MaxResults=1)["Results"]) == 1


def test_entries_of_a_batch_have_attributes(sqs: Any) -> None:
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    attributes = {
        "text": {"DataType": "String", "StringValue": "a"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"b"},
    }
    header = "Root=1-5759e988-bd862e3fe1be46a994272793"
    system = {"AWSTraceHeader": {"DataType": "String", "StringValue": header}}
    entry = {"Id": "1", "MessageBody": "x", "MessageAttributes": attributes, "MessageSystemAttributes": system}
    sqs.send_message_batch(QueueUrl=url, Entries=[entry])
    [message] = sqs.receive_message(
        QueueUrl=url, MessageAttributeNames=["All"], MessageSystemAttributeNames=["AWSTraceHeader"]
    )["Messages"]
    assert message["MessageAttributes"] == attributes
    assert message["Attributes"] == {"AWSTraceHeader": header}


@pytest.mark.parametrize("member", ["StringListValues", "BinaryListValues"])
def test_lists_in_attributes_are_refused_as_on_aws(sqs: Any, member: str, recorder: Recorder) -> None:
    """API_MessageAttributeValue.html: "Not implemented. Reserved for future use."."""
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    attributes = {"a": {"DataType": "String", "StringValue": "a", member: ["b"]}}
    system = {"AWSTraceHeader": attributes["a"]}
    for given in ({"MessageAttributes": attributes}, {"MessageSystemAttributes": system}):
        with pytest.raises(ClientError) as raised:
            sqs.send_message(QueueUrl=url, MessageBody="x", **given)
        assert raised.value.response["Error"]["Code"] == "InvalidParameterValue"
        entry = {"Id": "1", "MessageBody": "x", **given}
        answer = sqs.send_message_batch(QueueUrl=url, Entries=[entry])
        assert [failed["Code"] for failed in answer["Failed"]] == ["InvalidParameterValue"]
    for place in ("MessageAttributes", "MessageSystemAttributes.AWSTraceHeader"):
        recorder.refusal("sqs", "SendMessage", f"{place}.{member}")
        recorder.refusal("sqs", "SendMessageBatch", f"Entries.{place}.{member}")


def test_a_trace_header_is_text(sqs: Any, recorder: Recorder) -> None:
    """API_MessageSystemAttributeValue.html: AWSTraceHeader must be a string."""
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    system = {"AWSTraceHeader": {"DataType": "Binary", "BinaryValue": b"x"}}
    with pytest.raises(ClientError):
        sqs.send_message(QueueUrl=url, MessageBody="x", MessageSystemAttributes=system)
    entry = {"Id": "1", "MessageBody": "x", "MessageSystemAttributes": system}
    assert sqs.send_message_batch(QueueUrl=url, Entries=[entry])["Failed"]
    recorder.refusal("sqs", "SendMessage", "MessageSystemAttributes.AWSTraceHeader.BinaryValue")
    recorder.refusal("sqs", "SendMessageBatch", "Entries.MessageSystemAttributes.AWSTraceHeader.BinaryValue")


def test_every_property_of_a_templates_queue(platform: PlatformThread, sqs: Any) -> None:
    applied = Applied(platform, "sqs")
    dead, _ = applied.create("AWS::SQS::Queue", QueueName="dead.fifo", FifoQueue=True)
    policy = {"deadLetterTargetArn": dead.attributes["Arn"], "maxReceiveCount": 2}
    given = {
        "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId", "FifoQueue": "true",
        "MaximumMessageSize": 2048, "MessageRetentionPeriod": 600, "ReceiveMessageWaitTimeSeconds": 2,
        "KmsMasterKeyId": "alias/a", "KmsDataKeyReusePeriodSeconds": 60,
    }  # fmt: skip
    made, _ = applied.create(
        "AWS::SQS::Queue", **given, QueueName="q.fifo", RedrivePolicy=policy,
        RedriveAllowPolicy={"redrivePermission": "denyAll"},
    )  # fmt: skip
    answer = told(sqs, made.id, "All")
    assert {name: answer[name] for name in given} == {name: str(value) for name, value in given.items()}
    assert json.loads(answer["RedrivePolicy"]) == policy
    assert json.loads(answer["RedriveAllowPolicy"]) == {"redrivePermission": "denyAll"}
    managed, _ = applied.create("AWS::SQS::Queue", QueueName="managed", SqsManagedSseEnabled=False)
    assert told(sqs, managed.id, "SqsManagedSseEnabled") == {"SqsManagedSseEnabled": "false"}
