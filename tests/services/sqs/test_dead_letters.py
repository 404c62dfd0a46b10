"""Messages that were received too often, deliveries to queues, and queues as a source."""

from __future__ import annotations

import pytest

from penstock.base.errors import Undeliverable
from penstock.base.names import id_of, uuid_of
from penstock.engine.journal import Delivery
from penstock.services.sqs import SERVICE
from penstock.services.sqs.errors import InvalidParameterValue, MissingParameter
from penstock.services.sqs.source import Queues
from penstock.services.sqs.target import QueueTarget
from tests.services.sqs.alone import ACCOUNT, REGION, Alone, redrive

ARN = f"arn:aws:sqs:{REGION}:{ACCOUNT}:"


def test_a_message_received_too_often_goes_to_the_dead_letter_queue(sqs: Alone) -> None:
    dead = sqs.queue("dead", DelaySeconds="900")
    url = sqs.queue("q", VisibilityTimeout="1", RedrivePolicy=redrive("dead", 2))
    sent = sqs.send(url, "x")
    started = sqs.clock.now()
    for _ in range(2):
        assert sqs.bodies(url) == ["x"]
        sqs.pass_time(1)
    assert sqs.counts(dead) == (0, 0, 0), "it moves when it would be received again"
    assert sqs.bodies(url) == []
    assert sqs.counts(url) == (0, 0, 0) and sqs.counts(dead) == (1, 0, 0)
    buried = sqs.receive(dead, MessageSystemAttributeNames=["All"])[0]
    assert buried["MessageId"] == sent["MessageId"]
    assert buried["Attributes"]["SentTimestamp"] == str(started)
    assert buried["Attributes"]["ApproximateReceiveCount"] == "3"
    assert buried["Attributes"]["DeadLetterQueueSourceArn"] == ARN + "q"
    hops = sqs.transact(lambda cx: cx.all("SELECT event, kind, source, target, state FROM delivery"))
    assert hops == [(id_of(sent["MessageId"]), "sqs:redrive", ARN + "q", ARN + "dead", 2)]


def test_retention_in_a_dead_letter_queue_counts_from_the_send_in_standard_queues_only(sqs: Alone) -> None:
    for suffix, left in (("", 0), (".fifo", 1)):
        dead = sqs.queue("dead" + suffix, MessageRetentionPeriod="100")
        url = sqs.queue("q" + suffix, VisibilityTimeout="0", RedrivePolicy=redrive("dead" + suffix, 1))
        extra = {"MessageGroupId": "g", "MessageDeduplicationId": "1"} if suffix else {}
        sqs.send(url, "x", **extra)
        sqs.pass_time(90)
        sqs.receive(url)
        assert sqs.bodies(url) == []
        assert sqs.counts(dead)[0] == 1
        sqs.pass_time(20)
        assert len(sqs.receive(dead)) == left


def test_a_group_goes_on_behind_a_message_that_was_given_up(sqs: Alone) -> None:
    sqs.queue("dead.fifo")
    url = sqs.queue("q.fifo", ContentBasedDeduplication="true", VisibilityTimeout="0",
                    RedrivePolicy=redrive("dead.fifo", 1))  # fmt: skip
    first, _ = (sqs.send(url, body, MessageGroupId="a") for body in ("a1", "a2"))
    assert sqs.bodies(url, 1) == ["a1"]
    assert sqs.bodies(url, 1) == ["a2"]
    buried = sqs.receive("dead.fifo", MessageSystemAttributeNames=["MessageDeduplicationId"])[0]
    assert (buried["Body"], buried["MessageId"]) == ("a1", first["MessageId"])
    assert buried["Attributes"]["MessageDeduplicationId"] == first["MessageId"], "as AWS replaces it"


def test_without_its_dead_letter_queue_a_message_goes_on_being_received(sqs: Alone) -> None:
    sqs.queue("dead")
    url = sqs.queue("q", VisibilityTimeout="0", RedrivePolicy=redrive("dead", 1))
    sqs.send(url, "x")
    sqs.call("DeleteQueue", QueueUrl="dead")
    assert [sqs.bodies(url) for _ in range(3)] == [["x"]] * 3


# --- deliveries


def deliver(sqs: Alone, to: str, *, payload: bytes | None = None, **detail: object) -> int:
    """Deliver an event with body "event" to a queue; the hop's id."""
    target = QueueTarget()

    def work(cx: object) -> int:
        event = cx.event("events:PutEvents", "arn:aws:events:::bus", b"event")  # type: ignore[attr-defined]
        delivery = Delivery(cx.names.id(), event, ACCOUNT, REGION, "events:target", "rule", ARN + to, payload=payload,  # type: ignore[attr-defined]
                            detail=dict(detail))  # fmt: skip
        target.accept(cx, delivery, payload if payload is not None else b"event")  # type: ignore[arg-type]
        return delivery.id

    return sqs.transact(work)


def test_a_delivery_is_a_message_that_refers_to_the_event(sqs: Alone) -> None:
    url = sqs.queue("q", DelaySeconds="3")
    hops = [deliver(sqs, "q"), deliver(sqs, "q")]
    sqs.pass_time(3)
    received = sqs.receive(url)
    assert [message["Body"] for message in received] == ["event", "event"]
    assert [message["MessageId"] for message in received] == [uuid_of(hop) for hop in hops]
    kinds = sqs.transact(lambda cx: cx.all("SELECT DISTINCT kind FROM event"))
    assert kinds == [("events:PutEvents",)], "nothing is copied"


def test_a_changed_payload_is_an_event_caused_by_the_hop(sqs: Alone) -> None:
    url = sqs.queue("q")
    attributes = {"RULE": {"DataType": "String", "StringValue": "r"}}
    hop = deliver(sqs, "q", payload=b"changed", MessageAttributes=attributes, AWSTraceHeader="Root=1")
    message = sqs.receive(url, MessageAttributeNames=["All"], AttributeNames=["AWSTraceHeader"])[0]
    assert (message["Body"], message["MessageAttributes"]) == ("changed", attributes)
    assert message["Attributes"] == {"AWSTraceHeader": "Root=1"}
    derived = sqs.transact(lambda cx: cx.all("SELECT cause, payload FROM event WHERE kind = 'events:target'"))
    assert derived == [(hop, b"changed")]


def test_a_delivery_to_a_fifo_queue_keeps_its_rules(sqs: Alone) -> None:
    url = sqs.queue("q.fifo", ContentBasedDeduplication="true")
    for _ in range(2):
        deliver(sqs, "q.fifo", MessageGroupId="g")
    assert sqs.counts(url) == (1, 0, 0), "the second one is a duplicate"
    with pytest.raises(MissingParameter, match="MessageGroupId"):
        deliver(sqs, "q.fifo")


def test_what_a_queue_would_refuse_and_a_queue_that_is_gone_cannot_be_delivered_to(sqs: Alone) -> None:
    sqs.queue("q", MaximumMessageSize="1024")
    with pytest.raises(Undeliverable) as error:
        deliver(sqs, "nothing")
    assert error.value.code == "AWS.SimpleQueueService.NonExistentQueue"
    with pytest.raises(InvalidParameterValue, match="1024 bytes"):
        deliver(sqs, "q", payload=b"x" * 1025)


# --- a source of batches


def test_a_claim_is_a_receive_and_what_failed_keeps_its_lease(sqs: Alone) -> None:
    source = Queues()
    dead = sqs.queue("dead")
    url = sqs.queue("q", RedrivePolicy=redrive("dead", 2))
    for body in ("good", "bad"):
        sqs.send(url, body, MessageAttributes={"b": {"DataType": "Binary", "BinaryValue": b"\x01"}})

    def claim() -> list[object]:
        return sqs.transact(  # type: ignore[return-value]
            lambda cx: source.claim(cx, ARN + "q", limit=10, lease_ms=5000, max_bytes=10**6)
        )

    good, bad = claim()
    record = good.record  # type: ignore[attr-defined]
    assert record["body"] == "good" and record["eventSourceARN"] == ARN + "q" and record["awsRegion"] == REGION
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["messageAttributes"] == {
        "b": {"binaryValue": "AQ==", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"}
    }
    assert set(record) == {
        "messageId", "receiptHandle", "body", "attributes", "messageAttributes", "md5OfBody", "md5OfMessageAttributes",
        "eventSource", "eventSourceARN", "awsRegion",
    }  # fmt: skip
    sqs.transact(lambda cx: source.settle(cx, ARN + "q", done=[good], failed=[bad]))  # type: ignore[list-item]
    assert not sqs.transact(lambda cx: source.available(cx, ARN + "q"))
    assert sqs.transact(lambda cx: source.next_available(cx, ARN + "q")) == sqs.clock.now() + 5000
    for expected in (1, 0):
        sqs.pass_time(5)
        assert len(claim()) == expected
    assert sqs.bodies(dead) == ["bad"]


def test_what_an_ended_server_held_can_be_claimed_at_once(sqs: Alone) -> None:
    source = Queues()
    for name, extra in (("q", {}), ("q.fifo", {"MessageGroupId": "g", "MessageDeduplicationId": "1"})):
        url = sqs.queue(name)
        sqs.send(url, "x", **extra)
        (held,) = sqs.transact(
            lambda cx, arn=ARN + name: source.claim(cx, arn, limit=1, lease_ms=None, max_bytes=1)  # type: ignore[misc]
        )
        assert sqs.receive(url) == []
        sqs.transact(lambda cx, arn=ARN + name: source.release(cx, arn, [held.event]))  # type: ignore[misc]  # noqa: B023
        assert sqs.bodies(url) == ["x"]


def test_a_claim_stops_at_its_bytes_but_takes_one(sqs: Alone) -> None:
    url = sqs.queue("q")
    for _ in range(3):
        sqs.send(url, "x" * 100)
    source = Queues()
    for limit, count in ((50, 1), (200, 2)):
        claimed = sqs.transact(
            lambda cx, size=limit: source.claim(cx, ARN + "q", limit=10, lease_ms=None, max_bytes=size)  # type: ignore[misc]
        )
        assert len(claimed) == count


def test_the_service_names_every_operation_of_the_model() -> None:
    assert len([name for name, each in SERVICE.operations.items() if not each.internal]) == 23
