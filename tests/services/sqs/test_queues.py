"""Queues: what is answered, kept, and refused."""

from __future__ import annotations

import json

import pytest

from tests.services.sqs.alone import Alone, redrive


def test_creating_a_queue_again_gives_it_back_and_differences_are_refused(sqs: Alone) -> None:
    url = sqs.queue("q", DelaySeconds="5")
    assert sqs.queue("q", DelaySeconds="5") == sqs.queue("q") == url
    error = sqs.fails("CreateQueue", QueueName="q", Attributes={"DelaySeconds": "6"})
    assert error.code == "QueueNameExists"
    assert error.message == "A queue already exists with the same name and a different value for attribute DelaySeconds"


def test_a_new_standard_queue_has_aws_defaults(sqs: Alone) -> None:
    url = sqs.queue("q")
    told = sqs.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]
    now = str(sqs.clock.now() // 1000)
    assert told == {
        "QueueArn": "arn:aws:sqs:us-east-1:000000000000:q", "ApproximateNumberOfMessages": "0",
        "ApproximateNumberOfMessagesNotVisible": "0", "ApproximateNumberOfMessagesDelayed": "0",
        "CreatedTimestamp": now, "LastModifiedTimestamp": now, "VisibilityTimeout": "30",
        "MaximumMessageSize": "1048576", "MessageRetentionPeriod": "345600", "DelaySeconds": "0",
        "ReceiveMessageWaitTimeSeconds": "0", "SqsManagedSseEnabled": "true",
    }  # fmt: skip


def test_a_new_fifo_queue_tells_what_it_does(sqs: Alone) -> None:
    url = sqs.queue("q.fifo")
    told = sqs.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert {name: told[name] for name in told if "Fifo" in name or "Dedup" in name} == {
        "FifoQueue": "true", "ContentBasedDeduplication": "false", "DeduplicationScope": "queue",
        "FifoThroughputLimit": "perQueue",
    }  # fmt: skip


def test_encryption_settings_are_kept_and_exclude_each_other(sqs: Alone) -> None:
    url = sqs.queue("q", KmsMasterKeyId="testKeyId", KmsDataKeyReusePeriodSeconds="6000")
    names = ["KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled"]

    def told() -> dict[str, str]:
        answer: dict[str, str] = sqs.call("GetQueueAttributes", QueueUrl=url, AttributeNames=names)["Attributes"]
        return answer

    assert told() == {
        "KmsMasterKeyId": "testKeyId", "KmsDataKeyReusePeriodSeconds": "6000", "SqsManagedSseEnabled": "false",
    }  # fmt: skip
    sqs.call("SetQueueAttributes", QueueUrl=url, Attributes={"SqsManagedSseEnabled": "true"})
    assert told() == {"SqsManagedSseEnabled": "true"}


def test_white_space_around_the_name_of_an_attribute_is_no_part_of_it(sqs: Alone) -> None:
    url = sqs.call("CreateQueue", QueueName="q", Attributes={"VisibilityTimeout ": "2"})["QueueUrl"]
    sqs.call("SetQueueAttributes", QueueUrl=url, Attributes={"\tDelaySeconds": "3"})
    told = sqs.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (told["VisibilityTimeout"], told["DelaySeconds"]) == ("2", "3")
    assert {name.strip() for name in told} == set(told)
    sqs.send(url, "once")
    sqs.pass_time(3)
    assert sqs.bodies(url) == ["once"]
    sqs.pass_time(1)
    assert sqs.bodies(url) == []
    sqs.pass_time(1)
    assert sqs.bodies(url) == ["once"]
    error = sqs.fails("CreateQueue", QueueName="other", Attributes={"Visibility Timeout": "2"})
    assert (error.code, error.message) == ("InvalidAttributeName", "Unknown Attribute Visibility Timeout.")


def test_truth_values_may_be_capitalised(sqs: Alone) -> None:
    attributes = {"FifoQueue": "True", "ContentBasedDeduplication": "False", "SqsManagedSseEnabled": "FALSE"}
    url = sqs.call("CreateQueue", QueueName="q.fifo", Attributes=attributes)["QueueUrl"]
    told = sqs.call("GetQueueAttributes", QueueUrl=url, AttributeNames=list(attributes))["Attributes"]
    assert told == {"FifoQueue": "true", "ContentBasedDeduplication": "false", "SqsManagedSseEnabled": "false"}
    error = sqs.fails("CreateQueue", QueueName="other.fifo", Attributes={"FifoQueue": "tru"})
    assert error.code in ("InvalidAttributeName", "InvalidParameterValue")


def test_attributes_take_effect_at_once(sqs: Alone) -> None:
    url = sqs.queue("q")
    sqs.send(url, "before")
    sqs.pass_time(5)
    sqs.call("SetQueueAttributes", QueueUrl=url, Attributes={"DelaySeconds": "9", "MaximumMessageSize": "1024"})
    sqs.send(url, "after")
    assert sqs.counts(url) == (1, 0, 1)
    assert "1024 bytes" in sqs.fails("SendMessage", QueueUrl=url, MessageBody="x" * 1025).message
    told = sqs.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert int(told["LastModifiedTimestamp"]) == int(told["CreatedTimestamp"]) + 5


def test_the_kind_of_a_queue_cannot_be_changed(sqs: Alone) -> None:
    standard, fifo = sqs.queue("q"), sqs.queue("q.fifo")
    error = sqs.fails("SetQueueAttributes", QueueUrl=standard, Attributes={"FifoQueue": "true"})
    assert (error.code, error.message) == ("InvalidAttributeName", "Unknown Attribute FifoQueue.")
    error = sqs.fails("SetQueueAttributes", QueueUrl=fifo, Attributes={"FifoQueue": "false"})
    assert error.message == "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported."


@pytest.mark.parametrize("value", ["", "-1", "1.0", "１", "43201", "9" * 20, "9" * 5000])
def test_a_number_that_an_attribute_cannot_have_is_refused(sqs: Alone, value: str) -> None:
    error = sqs.fails("SetQueueAttributes", QueueUrl=sqs.queue("q"), Attributes={"VisibilityTimeout": value})
    assert error.message == "Invalid value for the parameter VisibilityTimeout."


def test_unknown_attributes_are_named(sqs: Alone) -> None:
    url = sqs.queue("q")
    error = sqs.fails("GetQueueAttributes", QueueUrl=url, AttributeNames=["QueueArn", "nothing"])
    assert (error.code, error.message) == ("InvalidAttributeName", "Unknown Attribute nothing.")
    assert sqs.call("GetQueueAttributes", QueueUrl=url) == {}
    assert sqs.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["Policy"]) == {}


@pytest.mark.parametrize("url", ["http://whatever", "http://localhost/000000000000/other", "other", ""])
def test_a_queue_that_is_not_there_is_not_found(sqs: Alone, url: str) -> None:
    error = sqs.fails("SendMessage", QueueUrl=url, MessageBody="x")
    assert (error.code, error.message) == ("QueueDoesNotExist", "The specified queue does not exist.")


def test_a_queue_is_found_by_url_and_by_name(sqs: Alone) -> None:
    sqs.queue("q")
    for url in ("q", "http://localhost:4566/000000000000/q", "https://sqs.us-east-1.amazonaws.com/000000000000/q"):
        sqs.send(url, url)
    assert sqs.counts("q")[0] == 3


def test_queues_are_listed_by_name_a_page_at_a_time(sqs: Alone) -> None:
    for name in ("b1", "a2", "a1", "a3"):
        sqs.queue(name)
    assert sqs.call("ListQueues", QueueNamePrefix="x") == {}
    first = sqs.call("ListQueues", QueueNamePrefix="a", MaxResults=2)
    assert [url.rpartition("/")[2] for url in first["QueueUrls"]] == ["a1", "a2"]
    second = sqs.call("ListQueues", QueueNamePrefix="a", MaxResults=2, NextToken=first["NextToken"])
    assert [url.rpartition("/")[2] for url in second["QueueUrls"]] == ["a3"]
    assert "NextToken" not in second
    assert len(sqs.call("ListQueues")["QueueUrls"]) == 4


def test_a_deleted_queue_is_gone_at_once_and_its_name_free_after_a_minute(sqs: Alone) -> None:
    url = sqs.queue("q")
    sqs.send(url, "lost")
    sqs.call("DeleteQueue", QueueUrl=url)
    assert sqs.fails("SendMessage", QueueUrl=url, MessageBody="x").code == "QueueDoesNotExist"
    assert sqs.fails("CreateQueue", QueueName="q").code == "QueueDeletedRecently"
    sqs.pass_time(60)
    assert sqs.bodies(sqs.queue("q")) == []


def test_a_purge_removes_everything_once_a_minute(sqs: Alone) -> None:
    url = sqs.queue("q")
    for body in "abc":
        sqs.send(url, body)
    held = sqs.receive(url, 1)[0]
    sqs.send(url, "delayed", DelaySeconds=10)
    sqs.call("PurgeQueue", QueueUrl=url)
    assert sqs.counts(url) == (0, 0, 0)
    error = sqs.fails("PurgeQueue", QueueUrl=url)
    assert error.message == "Only one PurgeQueue operation on q is allowed every 60 seconds."
    sqs.call("DeleteMessage", QueueUrl=url, ReceiptHandle=held["ReceiptHandle"])
    sqs.send(url, "new")
    sqs.pass_time(60)
    assert sqs.bodies(url) == ["new"]
    sqs.call("PurgeQueue", QueueUrl=url)


def test_tags_are_kept(sqs: Alone) -> None:
    url = sqs.call("CreateQueue", QueueName="q", tags={"a": "1", "b": ""})["QueueUrl"]
    sqs.call("TagQueue", QueueUrl=url, Tags={"a": "2", "c": "3"})
    sqs.call("UntagQueue", QueueUrl=url, TagKeys=["b", "nothing"])
    assert sqs.call("ListQueueTags", QueueUrl=url) == {"Tags": {"a": "2", "c": "3"}}
    assert sqs.call("ListQueueTags", QueueUrl=sqs.queue("plain")) == {}, "as AWS answers"
    many = {str(number): "" for number in range(49)}
    assert sqs.fails("TagQueue", QueueUrl=url, Tags=many).message == "Too many tags added for queue q."
    assert sqs.fails("TagQueue", QueueUrl=url, Tags={}).code == "MissingParameter"
    assert sqs.fails("UntagQueue", QueueUrl=url, TagKeys=[]).code == "InvalidParameterValue"


def test_permissions_are_statements_of_the_policy(sqs: Alone) -> None:
    url = sqs.queue("q")

    def policy() -> dict[str, object] | None:
        told = sqs.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["Policy"])
        return json.loads(told["Attributes"]["Policy"]) if told else None

    accounts = ["111111111111", "222222222222"]
    sqs.call("AddPermission", QueueUrl=url, Label="one", AWSAccountIds=accounts, Actions=["ReceiveMessage"])
    assert policy() == {
        "Version": "2008-10-17",
        "Id": "arn:aws:sqs:us-east-1:000000000000:q/SQSDefaultPolicy",
        "Statement": [{
            "Sid": "one", "Effect": "Allow",
            "Principal": {"AWS": ["arn:aws:iam::111111111111:root", "arn:aws:iam::222222222222:root"]},
            "Action": "SQS:ReceiveMessage", "Resource": "arn:aws:sqs:us-east-1:000000000000:q",
        }],
    }  # fmt: skip
    request = {"QueueUrl": url, "AWSAccountIds": accounts}
    error = sqs.fails("AddPermission", Label="one", Actions=["*"], **request)
    assert error.message == "Value one for parameter Label is invalid. Reason: Already exists."
    error = sqs.fails("AddPermission", Label="two", Actions=["SendMessage"] * 8, **request)
    assert (error.code, error.status) == ("OverLimit", 403)
    assert sqs.fails("AddPermission", Label="two", Actions=["DeleteQueue"], **request).code == "InvalidParameterValue"
    error = sqs.fails("RemovePermission", QueueUrl=url, Label="two")
    assert error.message == "Value two for parameter Label is invalid. Reason: can't find label on existing policy."
    sqs.call("RemovePermission", QueueUrl=url, Label="one")
    assert policy() is None
    error = sqs.fails("RemovePermission", QueueUrl=url, Label="one")
    assert error.message == "Value one for parameter Label is invalid. Reason: can't find label."


def test_a_redrive_policy_needs_a_dead_letter_queue_that_fits_and_allows_it(sqs: Alone) -> None:
    sqs.queue("dead")
    sqs.queue("dead.fifo")
    sqs.queue("closed", RedriveAllowPolicy='{"redrivePermission":"denyAll"}')
    own = "arn:aws:sqs:us-east-1:000000000000:q"
    allow = json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [own]})
    sqs.queue("by-queue", RedriveAllowPolicy=allow)

    def reason(name: str, queue: str = "q") -> str:
        error = sqs.fails("CreateQueue", QueueName=queue, Attributes={"RedrivePolicy": redrive(name, 3)})
        assert error.code == "InvalidParameterValue"
        return error.message.partition("Reason: ")[2]

    assert reason("nothing") == "Dead letter target does not exist."
    assert reason("dead.fifo") == "Dead-letter queue must be same type of queue as the source."
    assert "does not permit" in reason("closed")
    assert "does not permit" in reason("by-queue", "other")
    elsewhere = '{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:000000000000:dead","maxReceiveCount":3}'
    error = sqs.fails("CreateQueue", QueueName="q", Attributes={"RedrivePolicy": elsewhere})
    assert error.message.endswith("Reason: Dead-letter target owner should be same as the source.")
    url = sqs.queue("q", RedrivePolicy=redrive("by-queue", 3))
    sqs.call("SetQueueAttributes", QueueUrl=url, Attributes={"RedrivePolicy": redrive("dead", 7)})
    told = sqs.call("GetQueueAttributes", QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]
    assert told["RedrivePolicy"] == (
        '{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":7}'
    )
    assert sqs.call("ListDeadLetterSourceQueues", QueueUrl="dead")["queueUrls"] == [url]
    sqs.call("SetQueueAttributes", QueueUrl=url, Attributes={"RedrivePolicy": ""})
    assert sqs.call("ListDeadLetterSourceQueues", QueueUrl="dead")["queueUrls"] == []
