"""Messages in standard queues: sizes, delays, visibility, receipt handles, batches, selection, retention, counts."""

from __future__ import annotations

import pytest

from penstock.base.names import id_of
from tests.counting import steps
from tests.services.sqs.alone import Alone

MIB = 1_048_576


def test_a_message_id_is_the_id_of_its_event_in_the_journal(sqs: Alone) -> None:
    answer = sqs.send(sqs.queue("q"), "héllo 😀")
    rows = sqs.transact(lambda cx: cx.all("SELECT id, kind, source, payload FROM event"))
    assert rows == [
        (id_of(answer["MessageId"]), "sqs:SendMessage", "arn:aws:sqs:us-east-1:000000000000:q", "héllo 😀".encode())
    ]


def test_messages_are_received_in_the_order_they_were_sent(sqs: Alone) -> None:
    url = sqs.queue("q")
    for number in range(20):
        sqs.send(url, str(number))
    assert sqs.bodies(url) == [str(number) for number in range(10)]
    assert sqs.bodies(url, 3) == ["10", "11", "12"]
    assert sqs.counts(url) == (7, 13, 0)


def test_a_received_message_is_hidden_until_its_timeout_and_given_with_another_handle(sqs: Alone) -> None:
    url = sqs.queue("q", VisibilityTimeout="5")
    sqs.send(url, "x")
    first = sqs.receive(url, AttributeNames=["All"])[0]
    sqs.pass_time(4.999)
    assert sqs.receive(url) == []
    sqs.pass_time(0.001)
    second = sqs.receive(url, AttributeNames=["All"])[0]
    assert first["MessageId"] == second["MessageId"]
    assert first["ReceiptHandle"] != second["ReceiptHandle"]
    counts = [message["Attributes"]["ApproximateReceiveCount"] for message in (first, second)]
    assert counts == ["1", "2"]
    stamps = {message["Attributes"]["ApproximateFirstReceiveTimestamp"] for message in (first, second)}
    assert stamps == {str(sqs.clock.now() - 5000)}


def test_any_handle_of_a_message_deletes_it_and_deleting_again_is_no_error(sqs: Alone) -> None:
    url = sqs.queue("q", VisibilityTimeout="0")
    sqs.send(url, "x")
    first, second = sqs.receive(url)[0], sqs.receive(url)[0]
    for message in (first, first, second):
        sqs.call("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert sqs.counts(url) == (0, 0, 0)


def test_a_handle_of_another_queue_or_of_nothing_is_invalid(sqs: Alone) -> None:
    url, other = sqs.queue("q"), sqs.queue("other")
    sqs.send(other, "x")
    foreign = sqs.receive(other)[0]["ReceiptHandle"]
    for handle in (foreign, "nothing", "AQEBxx"):
        for operation, more in (("DeleteMessage", {}), ("ChangeMessageVisibility", {"VisibilityTimeout": 3})):
            error = sqs.fails(operation, QueueUrl=url, ReceiptHandle=handle, **more)
            assert (error.code, error.message) == ("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")
    answer = sqs.call("DeleteMessageBatch", QueueUrl=url, Entries=[{"Id": "1", "ReceiptHandle": "nothing"}])
    assert answer["Failed"][0]["Message"] == 'The input receipt handle "nothing" is not a valid receipt handle.'


def test_deleting_leaves_a_hop_to_who_deleted(sqs: Alone) -> None:
    url = sqs.queue("q")
    answer = sqs.send(url, "x")
    sqs.pass_time(2)
    message = sqs.receive(url)[0]
    sqs.pass_time(3)
    sqs.call("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    columns = "event, kind, source, target, state, ended - at, ended - started, attempts"
    rows = sqs.transact(lambda cx: cx.all(f"SELECT {columns} FROM delivery"))
    source = "arn:aws:sqs:us-east-1:000000000000:q"
    caller = "arn:aws:iam::000000000000:root"
    assert rows == [(id_of(answer["MessageId"]), "sqs:DeleteMessage", source, caller, 2, 5000, 3000, 1)]


def test_visibility_can_be_changed_within_twelve_hours_of_the_receive(sqs: Alone) -> None:
    url = sqs.queue("q")
    sqs.send(url, "x")
    handle = sqs.receive(url)[0]["ReceiptHandle"]

    def change(seconds: int) -> None:
        sqs.call("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=seconds)

    change(600)
    sqs.pass_time(500)
    change(43_200 - 500)
    error = sqs.fails("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=43_200)
    assert error.message == (
        "Value 43200 for parameter VisibilityTimeout is invalid."
        " Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds]."
    )
    assert sqs.fails(
        "ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=43_201
    ).code == "InvalidParameterValue"  # fmt: skip
    change(0)
    assert sqs.bodies(url, AttributeNames=["All"]) == ["x"]


def test_a_change_of_visibility_after_the_timeout_changes_nothing(sqs: Alone) -> None:
    url = sqs.queue("q", VisibilityTimeout="1")
    sqs.send(url, "x")
    handle = sqs.receive(url)[0]["ReceiptHandle"]
    sqs.pass_time(2)
    sqs.call("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=30)
    assert sqs.bodies(url) == ["x"]
    sqs.call("DeleteMessage", QueueUrl=url, ReceiptHandle=handle)
    error = sqs.fails("ChangeMessageVisibility", QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=30)
    assert "Message does not exist or is not available for visibility timeout change." in error.message


def test_delays_are_the_messages_or_the_queues(sqs: Alone) -> None:
    url = sqs.queue("q", DelaySeconds="10")
    sqs.send(url, "queue's")
    sqs.send(url, "none", DelaySeconds=0)
    sqs.send(url, "own", DelaySeconds=5)
    assert sqs.counts(url) == (1, 0, 2)
    assert sqs.bodies(url) == ["none"]
    sqs.pass_time(5)
    assert sqs.bodies(url) == ["own"]
    sqs.pass_time(5)
    assert sqs.bodies(url) == ["queue's"]
    for seconds in (-1, 901):
        error = sqs.fails("SendMessage", QueueUrl=url, MessageBody="x", DelaySeconds=seconds)
        assert error.message.endswith("Reason: DelaySeconds must be >= 0 and <= 900.")


def test_retention_ends_a_message_whether_it_was_received_or_not(sqs: Alone) -> None:
    url = sqs.queue("q", MessageRetentionPeriod="60", VisibilityTimeout="50")
    sqs.send(url, "received")
    sqs.send(url, "never")
    sqs.receive(url, 1)
    sqs.pass_time(59.999)
    assert sqs.counts(url) == (2, 0, 0)
    sqs.pass_time(0.001)
    assert sqs.counts(url) == (0, 0, 0)
    assert sqs.bodies(url) == []


def test_a_message_may_be_one_mebibyte_with_its_attributes(sqs: Alone) -> None:
    url = sqs.queue("q")
    attributes = {"a": {"DataType": "String", "StringValue": "x"}}
    sqs.send(url, "x" * MIB)
    sqs.send(url, "x" * (MIB - 8), MessageAttributes=attributes)
    for request in (
        {"MessageBody": "x" * (MIB + 1)},
        {"MessageBody": "x" * (MIB - 7), "MessageAttributes": attributes},
    ):
        error = sqs.fails("SendMessage", QueueUrl=url, **request)
        assert (error.code, error.message) == (
            "InvalidParameterValue",
            "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.",
        )


def test_empty_and_forbidden_bodies_are_refused(sqs: Alone) -> None:
    url = sqs.queue("q")
    error = sqs.fails("SendMessage", QueueUrl=url, MessageBody="")
    assert (error.code, error.message) == ("MissingParameter", "The request must contain the parameter MessageBody.")
    assert sqs.fails("SendMessage", QueueUrl=url, MessageBody="a\x00").code == "InvalidMessageContents"
    sqs.send(url, "content:\r\n\t😀")


def test_message_attributes_are_told_when_they_are_asked_for(sqs: Alone) -> None:
    url = sqs.queue("q", VisibilityTimeout="0")
    attributes = {
        "Text": {"DataType": "String", "StringValue": "ä"},
        "Number.x": {"DataType": "Number.int", "StringValue": "-1e5"},
        "Bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }  # fmt: skip
    trace = {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-2-3"}}
    sent = sqs.send(url, "x", MessageAttributes=attributes, MessageSystemAttributes=trace)
    plain = sqs.receive(url)[0]
    assert "MessageAttributes" not in plain and "Attributes" not in plain
    all_ = sqs.receive(url, MessageAttributeNames=["All"], MessageSystemAttributeNames=["AWSTraceHeader"])[0]
    assert all_["MessageAttributes"] == attributes
    assert all_["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]
    assert all_["Attributes"] == {"AWSTraceHeader": "Root=1-2-3"}
    some = sqs.receive(url, MessageAttributeNames=["By.*", "Nothing"])[0]
    assert set(some["MessageAttributes"]) == {"Bytes"}
    assert some["MD5OfMessageAttributes"] != sent["MD5OfMessageAttributes"]


def test_limits_of_a_receive_are_told_in_aws_words(sqs: Alone) -> None:
    url = sqs.queue("q")
    for name, value, reason in (
        ("MaxNumberOfMessages", 11, "Must be between 1 and 10, if provided."),
        ("MaxNumberOfMessages", 0, "Must be between 1 and 10, if provided."),
        ("WaitTimeSeconds", 21, "Must be >= 0 and <= 20, if provided."),
        ("VisibilityTimeout", 43_201, "Must be >= 0 and <= 43200, if provided."),
    ):
        error = sqs.fails("ReceiveMessage", QueueUrl=url, **{name: value})
        assert error.message == f"Value {value} for parameter {name} is invalid. Reason: {reason}"
    error = sqs.fails("ReceiveMessage", QueueUrl=url, AttributeNames=["x"])
    assert (error.code, error.message) == ("InvalidAttributeName", "Unknown Attribute x.")


def test_a_batch_is_checked_as_a_whole_first(sqs: Alone) -> None:
    url = sqs.queue("q")

    def fails(*entries: dict[str, object]) -> tuple[str, str]:
        error = sqs.fails("SendMessageBatch", QueueUrl=url, Entries=list(entries))
        return error.code, error.message

    def entry(id_: str, body: str = "x") -> dict[str, object]:
        return {"Id": id_, "MessageBody": body}

    assert fails() == (
        "EmptyBatchRequest", "There should be at least one SendMessageBatchRequestEntry in the request.",
    )  # fmt: skip
    assert fails(*[entry(str(n)) for n in range(11)]) == (
        "TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10. You have sent 11.",
    )  # fmt: skip
    for id_ in ("", ".!@#", "i" * 81):
        assert fails(entry(id_))[0] == "InvalidBatchEntryId"
    assert fails(entry("1"), entry("2"), entry("2"), entry("1")) == ("BatchEntryIdsNotDistinct", "Id 2 repeated.")
    assert fails(entry("1", "x" * MIB), entry("2")) == (
        "BatchRequestTooLong", f"Batch requests cannot be longer than {MIB} bytes. You have sent {MIB + 1} bytes.",
    )  # fmt: skip
    assert sqs.counts(url) == (0, 0, 0)


def test_entries_of_a_batch_fail_alone(sqs: Alone) -> None:
    url = sqs.queue("q", MaximumMessageSize="1024")
    answer = sqs.call("SendMessageBatch", QueueUrl=url, Entries=[
        {"Id": "good", "MessageBody": "x" * 1024},
        {"Id": "late", "MessageBody": "x", "DelaySeconds": 1800},
        {"Id": "large", "MessageBody": "x" * 1025},
        {"Id": "empty", "MessageBody": ""},
        {"Id": "also-good", "MessageBody": "y"},
    ])  # fmt: skip
    assert [entry["Id"] for entry in answer["Successful"]] == ["good", "also-good"]
    assert [(entry["Id"], entry["Code"], entry["SenderFault"]) for entry in answer["Failed"]] == [
        ("late", "InvalidParameterValue", True), ("large", "InvalidParameterValue", True),
        ("empty", "MissingParameter", True),
    ]  # fmt: skip
    assert answer["Failed"][1]["Message"] == (
        "One or more parameters cannot be validated. Reason: Message must be shorter than 1024 bytes."
    )
    received = sqs.receive(url)
    handles = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(received)]
    changes = [{**handle, "VisibilityTimeout": 0} for handle in handles]
    assert len(sqs.call("ChangeMessageVisibilityBatch", QueueUrl=url, Entries=changes)["Successful"]) == 2
    assert sqs.counts(url) == (2, 0, 0)
    assert len(sqs.call("DeleteMessageBatch", QueueUrl=url, Entries=handles)["Successful"]) == 2
    assert sqs.counts(url) == (0, 0, 0)


def test_fifo_parameters_are_not_for_standard_queues(sqs: Alone) -> None:
    url = sqs.queue("q")
    error = sqs.fails("SendMessage", QueueUrl=url, MessageBody="x", MessageDeduplicationId="1")
    assert "not valid for this queue type" in error.message
    error = sqs.fails("ReceiveMessage", QueueUrl=url, ReceiveRequestAttemptId="1")
    assert "not valid for this queue type" in error.message


def test_a_noisy_tenant_does_not_make_a_quiet_one_wait(sqs: Alone) -> None:
    url = sqs.queue("q")
    for number in range(30):
        sqs.send(url, f"noisy {number}", MessageGroupId="noisy")
    assert sqs.bodies(url, 5) == [f"noisy {number}" for number in range(5)]
    sqs.send(url, "quiet", MessageGroupId="quiet")
    message = sqs.receive(url, 1, AttributeNames=["All"])[0]
    assert message["Body"] == "quiet" and message["Attributes"]["MessageGroupId"] == "quiet"
    assert sqs.bodies(url, 2) == ["noisy 5", "noisy 6"]


@pytest.mark.parametrize("fifo", [False, True])
def test_too_many_messages_in_flight_are_not_given_out(sqs: Alone, fifo: bool) -> None:
    url = sqs.queue("q.fifo" if fifo else "q")
    extra = {"MessageGroupId": "g", "MessageDeduplicationId": "1"} if fifo else {}
    sqs.send(url, "one more", **extra)
    queue = sqs.transact(lambda cx: cx.one("SELECT id FROM sqs_queue"))[0]  # type: ignore[index]
    sqs.transact(lambda cx: cx.write(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 120000)"
        " INSERT INTO sqs_message (id, queue, event, message, visible_at, sent_at, sender, receives)"
        " SELECT i, ?, 0, 0, ?, ?, '', 1 FROM n", (queue, sqs.clock.now() + 10_000, sqs.clock.now()),
    ))  # fmt: skip
    if fifo:
        assert sqs.receive(url) == []
    else:
        error = sqs.fails("ReceiveMessage", QueueUrl=url)
        assert (error.code, error.status) == ("OverLimit", 403)
    assert sqs.counts(url) == (1, 120_000, 0)
    sqs.pass_time(10)
    assert len(sqs.receive(url, 1)) == 1


def test_looking_at_a_queue_receives_nothing(sqs: Alone) -> None:
    url = sqs.queue("q")
    for body in ("a", "b"):
        sqs.send(url, body)
    sqs.send(url, "later", DelaySeconds=9)
    sqs.receive(url, 1)
    for key in (url, "q", "arn:aws:sqs:us-east-1:000000000000:q"):
        seen = sqs.call("PeekMessages", QueueUrl=key)["messages"]
        assert [(message["body"], message["state"], message["receiveCount"]) for message in seen] == [
            ("b", "available", 0), ("later", "delayed", 0), ("a", "in flight", 1),
        ]  # fmt: skip
    assert sqs.counts(url) == (1, 1, 1)


def test_the_requests_trace_header_becomes_the_messages(sqs: Alone) -> None:
    url = sqs.queue("q")
    for header, told in (("", None), ("Root=1-5e1b4151-5ac6c58f;Parent=1;Sampled=1", ...), ("nonsense", None)):
        sqs.trace_header = header
        sqs.send(url, "x")
        attributes = sqs.receive(url, AttributeNames=["All"])[0]["Attributes"]
        assert attributes.get("AWSTraceHeader") == (header if told is ... else None)


@pytest.mark.parametrize("count", [1000, 100_000])
def test_a_receive_looks_at_no_more_rows_of_a_large_queue(sqs: Alone, count: int) -> None:
    """Steps of SQLite's virtual machine, which do not depend on the machine: the bench has the times."""
    url = sqs.queue("q")
    sqs.send(url, "x")
    sqs.transact(lambda cx: cx.write(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        " INSERT INTO sqs_message (id, queue, event, message, visible_at, sent_at, sender)"
        " SELECT 1000 + i, queue, event, message, visible_at, sent_at, sender"
        " FROM n, (SELECT * FROM sqs_message LIMIT 1)",
        (count,),
    ))  # fmt: skip

    def receive() -> None:
        assert len(sqs.receive(url)) == 10

    sqs.receive(url, 1)
    assert steps(sqs.store.connection, receive) < 1500
