"""FIFO queues: order, locks, deduplication, attempts, throughput."""

from __future__ import annotations

from typing import Any

import pytest

from tests.services.sqs.alone import Alone


@pytest.fixture
def url(sqs: Alone) -> str:
    """A FIFO queue that deduplicates by content."""
    return sqs.queue("q.fifo", ContentBasedDeduplication="true")


def handles(messages: list[dict[str, Any]]) -> list[str]:
    return [message["ReceiptHandle"] for message in messages]


def test_a_group_is_given_in_order_and_waits_for_what_is_held_of_it(sqs: Alone, url: str) -> None:
    for body in ("a1", "a2", "b1", "a3"):
        sqs.send(url, body, MessageGroupId=body[0])
    first = sqs.receive(url, 2)
    assert [message["Body"] for message in first] == ["a1", "a2"]
    assert sqs.bodies(url) == ["b1"]
    assert sqs.bodies(url) == []
    sqs.call("DeleteMessage", QueueUrl=url, ReceiptHandle=first[0]["ReceiptHandle"])
    assert sqs.bodies(url) == [], "a2 is still held"
    sqs.call("DeleteMessage", QueueUrl=url, ReceiptHandle=first[1]["ReceiptHandle"])
    assert sqs.bodies(url) == ["a3"]


def test_a_message_given_back_is_given_again_though_one_behind_it_is_held(sqs: Alone, url: str) -> None:
    for body in ("a1", "a2", "b1"):
        sqs.send(url, body, MessageGroupId=body[0])
    both = sqs.receive(url, 2)
    sqs.pass_time(1)
    sqs.call("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=both[0]["ReceiptHandle"], VisibilityTimeout=0)
    assert sqs.bodies(url) == ["b1", "a1"], "the group that has waited longest comes first"


@pytest.mark.parametrize(("hidden", "given"), [(0, []), (1, ["a1"]), (2, ["a1", "a2"])])
def test_a_group_is_given_up_to_the_first_message_that_is_held(sqs: Alone, hidden: int, given: list[str]) -> None:
    url = sqs.queue("short.fifo", ContentBasedDeduplication="true", VisibilityTimeout="1")
    for body in ("a1", "a2", "a3", "a4"):
        sqs.send(url, body, MessageGroupId="a")
    held = handles(sqs.receive(url, 3))[hidden]
    sqs.call("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=held, VisibilityTimeout=4)
    sqs.pass_time(2)
    assert sqs.bodies(url) == given


def test_an_expired_receipt_handle_deletes_nothing(sqs: Alone) -> None:
    url = sqs.queue("short.fifo", ContentBasedDeduplication="true", VisibilityTimeout="1")
    sqs.send(url, "x", MessageGroupId="g")
    (old,) = handles(sqs.receive(url))
    sqs.pass_time(1)
    error = sqs.fails("DeleteMessage", QueueUrl=url, ReceiptHandle=old)
    assert (error.code, error.message) == (
        "InvalidParameterValue",
        f"Value {old} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.",
    )
    (new,) = handles(sqs.receive(url))
    assert sqs.fails("DeleteMessage", QueueUrl=url, ReceiptHandle=old).code == "InvalidParameterValue"
    sqs.call("DeleteMessage", QueueUrl=url, ReceiptHandle=new)
    sqs.call("DeleteMessage", QueueUrl=url, ReceiptHandle=old)


def test_duplicates_are_accepted_and_not_put_for_five_minutes(sqs: Alone, url: str) -> None:
    first = sqs.send(url, "x", MessageGroupId="a")
    (handle,) = handles(sqs.receive(url))
    sqs.call("DeleteMessage", QueueUrl=url, ReceiptHandle=handle)
    again = sqs.send(url, "x", MessageGroupId="b")
    assert (again["MessageId"], again["SequenceNumber"]) == (first["MessageId"], first["SequenceNumber"])
    sqs.pass_time(299.999)
    sqs.send(url, "x", MessageGroupId="a")
    assert sqs.counts(url) == (0, 0, 0)
    sqs.pass_time(0.001)
    later = sqs.send(url, "x", MessageGroupId="a")
    assert sqs.counts(url) == (1, 0, 0)
    assert len(later["SequenceNumber"]) == 20 and later["SequenceNumber"] > first["SequenceNumber"]


def test_an_explicit_id_goes_before_the_content(sqs: Alone, url: str) -> None:
    sqs.send(url, "same", MessageGroupId="a", MessageDeduplicationId="1")
    sqs.send(url, "same", MessageGroupId="a", MessageDeduplicationId="2")
    sqs.send(url, "other", MessageGroupId="a", MessageDeduplicationId="1")
    assert sqs.bodies(url) == ["same", "same"]


def test_deduplication_can_be_per_message_group(sqs: Alone) -> None:
    url = sqs.queue("groups.fifo", ContentBasedDeduplication="true", DeduplicationScope="messageGroup")
    for group in "aab":
        sqs.send(url, "x", MessageGroupId=group)
    assert sqs.counts(url) == (2, 0, 0)


def test_a_purge_forgets_duplicates_too(sqs: Alone, url: str) -> None:
    purged = sqs.send(url, "x", MessageGroupId="a")
    sqs.call("PurgeQueue", QueueUrl=url)
    assert sqs.send(url, "x", MessageGroupId="a")["MessageId"] != purged["MessageId"]
    assert sqs.bodies(url) == ["x"]


def test_what_a_fifo_queue_needs_is_said(sqs: Alone) -> None:
    url = sqs.queue("explicit.fifo")
    error = sqs.fails("SendMessage", QueueUrl=url, MessageBody="x", MessageDeduplicationId="1")
    assert (error.code, error.message) == ("MissingParameter", "The request must contain the parameter MessageGroupId.")
    error = sqs.fails("SendMessage", QueueUrl=url, MessageBody="x", MessageGroupId="g")
    assert error.message.startswith("The queue should either have ContentBasedDeduplication enabled")
    request = {"QueueUrl": url, "MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": "1"}
    error = sqs.fails("SendMessage", **request, DelaySeconds=5)
    assert error.message == (
        "Value 5 for parameter DelaySeconds is invalid."
        " Reason: The request include parameter that is not valid for this queue type."
    )
    sqs.call("SendMessage", **request, DelaySeconds=0)
    assert "1 to 128 in length" in sqs.fails("SendMessage", **{**request, "MessageGroupId": "a b"}).message
    error = sqs.fails("SendMessageBatch", QueueUrl=url, Entries=[{"Id": "1", "MessageBody": "x"}])
    assert error.message == "The request must contain the parameter MessageGroupId."


def test_the_queues_delay_holds_a_group_up(sqs: Alone) -> None:
    url = sqs.queue("slow.fifo", ContentBasedDeduplication="true", DelaySeconds="10")
    sqs.send(url, "a1", MessageGroupId="a")
    sqs.pass_time(6)
    sqs.send(url, "a2", MessageGroupId="a")
    sqs.send(url, "b1", MessageGroupId="b")
    assert sqs.bodies(url) == []
    sqs.pass_time(4)
    assert sqs.bodies(url) == ["a1"]
    sqs.pass_time(6)
    assert sqs.bodies(url) == ["b1"]


def test_another_delay_of_a_queue_is_that_of_the_messages_already_in_it(sqs: Alone) -> None:
    url = sqs.queue("slow.fifo", ContentBasedDeduplication="true", DelaySeconds="10")

    def delay(seconds: int) -> None:
        sqs.call("SetQueueAttributes", QueueUrl=url, Attributes={"DelaySeconds": str(seconds)})

    sqs.send(url, "a1", MessageGroupId="a")
    delay(0)
    assert sqs.bodies(url, VisibilityTimeout=2) == ["a1"]
    sqs.send(url, "a2", MessageGroupId="a")
    sqs.send(url, "b1", MessageGroupId="b")
    delay(20)
    assert sqs.counts(url) == (0, 1, 2)
    sqs.pass_time(2)
    assert sqs.bodies(url, VisibilityTimeout=0) == ["a1"]  # it was received, so no delay holds it up any more
    sqs.pass_time(8)
    delay(10)
    assert sorted(sqs.bodies(url)) == ["a1", "a2", "b1"]


def test_expired_messages_do_not_hold_a_group_up(sqs: Alone) -> None:
    url = sqs.queue("brief.fifo", ContentBasedDeduplication="true", MessageRetentionPeriod="60")
    for body in ("a1", "a2"):
        sqs.send(url, body, MessageGroupId="a")
    sqs.pass_time(60)
    sqs.send(url, "a3", MessageGroupId="a")
    assert sqs.bodies(url) == ["a3"]


def test_an_attempt_that_is_made_again_gets_the_same_messages(sqs: Alone, url: str) -> None:
    for body in ("a1", "a2"):
        sqs.send(url, body, MessageGroupId="a")
    attempt = {"ReceiveRequestAttemptId": "attempt-1", "VisibilityTimeout": 20}
    first = sqs.receive(url, 10, **attempt)
    sqs.pass_time(15)
    again = sqs.receive(url, 10, **attempt)
    assert again == first, "the same messages under the same receipt handles"
    sqs.pass_time(15)
    assert sqs.bodies(url) == [], "the timeout counts from the second attempt"
    sqs.call("DeleteMessage", QueueUrl=url, ReceiptHandle=first[0]["ReceiptHandle"])
    assert sqs.receive(url, 10, **attempt) == [], "something of it has changed: an attempt like any other"


def test_system_attributes_of_a_fifo_message(sqs: Alone, url: str) -> None:
    sent = sqs.send(url, "x", MessageGroupId="g", MessageDeduplicationId="d")
    told = sqs.receive(url, MessageSystemAttributeNames=["All"])[0]["Attributes"]
    now = str(sqs.clock.now())
    assert told == {
        "SenderId": "000000000000", "SentTimestamp": now, "ApproximateReceiveCount": "1",
        "ApproximateFirstReceiveTimestamp": now, "MessageGroupId": "g", "MessageDeduplicationId": "d",
        "SequenceNumber": sent["SequenceNumber"],
    }  # fmt: skip


def test_a_queue_is_throttled_and_high_throughput_only_by_group(sqs: Alone) -> None:
    class Still:
        def monotonic_ms(self) -> float:
            return 0.0

    sqs.parts.machine = Still()  # type: ignore[assignment]
    slow = sqs.queue("slow.fifo", ContentBasedDeduplication="true")
    fast = sqs.queue(
        "fast.fifo", ContentBasedDeduplication="true", DeduplicationScope="messageGroup",
        FifoThroughputLimit="perMessageGroupId",
    )  # fmt: skip
    for number in range(300):
        sqs.send(slow, str(number), MessageGroupId=str(number))
        sqs.send(fast, str(number), MessageGroupId=str(number))
    request = {"MessageBody": "x", "MessageGroupId": "x"}
    assert sqs.fails("SendMessage", QueueUrl=slow, **request).code == "RequestThrottled"
    sqs.call("SendMessage", QueueUrl=fast, **request)
    assert len(sqs.receive(slow)) == 10, "another action has its own limit"
