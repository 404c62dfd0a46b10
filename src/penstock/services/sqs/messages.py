"""Sending, receiving, deleting messages and changing their visibility, alone and in batches.

``send_message`` is the hot path of the whole platform: one row in the journal, which holds the body, and one row here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from penstock.base.errors import ApiError
from penstock.base.names import uuid_of
from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.sqs import contents
from penstock.services.sqs.catalog import Queue, by_url
from penstock.services.sqs.errors import (
    BatchEntryIdsNotDistinct,
    BatchRequestTooLong,
    EmptyBatchRequest,
    InvalidBatchEntryId,
    InvalidParameterValue,
    MissingParameter,
    ReceiptHandleIsInvalid,
    RequestThrottled,
    TooManyEntriesInBatchRequest,
)
from penstock.services.sqs.rules import (
    BATCH_BYTES,
    BATCH_ENTRIES,
    DEDUPLICATION_MS,
    DELAY_SECONDS,
    FIFO_REQUESTS,
    Receipt,
    check_fifo_name,
    check_visibility,
    content_deduplication,
    deduplication_scope,
    receipt_of,
    sequence_number,
    valid_entry_id,
)
from penstock.services.sqs.storage import Message, find_message, hide, hop, put, remove

_NOT_FOR_THIS_QUEUE: Final = "The request include parameter that is not valid for this queue type"
_FIND_DUPLICATE: Final = "SELECT id, message FROM sqs_dedup WHERE queue = ? AND scope = ? AND dedup = ? AND expires > ?"
_REMEMBER: Final = (
    "INSERT INTO sqs_dedup (queue, scope, dedup, id, message, expires) VALUES (?,?,?,?,?,?) ON CONFLICT DO UPDATE SET"
    " id = excluded.id, message = excluded.message, expires = excluded.expires"
)


def throttle(cx: Context, queue: Queue, action: str, groups: tuple[str, ...] = ()) -> None:
    """Count a request for a FIFO queue; RequestThrottled beyond its throughput limit.

    300 requests per second of each action, batches counting once; with ``FifoThroughputLimit`` perMessageGroupId the
    limit holds for the sends of each message group (quotas-messages.html, high-throughput-fifo.html). Seconds are the
    machine's: throughput is no platform time, and a frozen clock must not stop a queue. The count is in memory and
    counts an operation that is run again twice.
    """
    scopes = ("",) if queue.fifo_limited else groups
    now = cx.parts.machine.monotonic_ms()
    allowed = [cx.memory.rate.allows(queue.id, action, scope, now) for scope in scopes]
    if not all(allowed):
        raise RequestThrottled(
            f"Request is throttled: this FIFO queue takes {FIFO_REQUESTS} {action} requests per second. Send in batches"
            " of ten, or set FifoThroughputLimit to perMessageGroupId."
        )


# --- sending


@operation
def send_message(cx: Context, request: Request) -> Response:
    """Put a message into a queue: one event in the journal, whose id is the MessageId.

    docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
    """
    queue = by_url(cx, request["QueueUrl"])
    if queue.fifo:
        throttle(cx, queue, "SendMessage", (request.get("MessageGroupId") or "",))
    return _send(cx, queue, request, "MessageBody")


def _send(cx: Context, queue: Queue, entry: Request, body_parameter: str) -> Response:
    text = entry["MessageBody"]
    if not text:
        raise MissingParameter(f"The request must contain the parameter {body_parameter}.")
    body = contents.check_text(text)
    answer: Response = {"MD5OfMessageBody": contents.digest(body)}
    if len(entry) == 2 and not queue.fifo and not cx.call_.trace_header:  # as most: nothing but a body
        if len(body) > queue.size:
            raise _too_long(queue, body_parameter)
        return _put(cx, queue, answer, body, queue.delay)
    size = len(body)
    attributes = trace = None
    given = entry.get("MessageAttributes")
    if given:
        size += contents.check_attributes(given)
        attributes = contents.stored(given)
        answer["MD5OfMessageAttributes"] = contents.digest_of_attributes(given)
    if size > queue.size:
        raise _too_long(queue, body_parameter)
    given = entry.get("MessageSystemAttributes")
    if given:
        trace = contents.trace_of(given)
        answer["MD5OfMessageSystemAttributes"] = contents.digest_of_attributes(given)
    elif cx.call_.trace_header.startswith("Root="):
        trace = cx.call_.trace_header
    delay = _delay(queue, entry.get("DelaySeconds"))
    group, dedup = entry.get("MessageGroupId"), entry.get("MessageDeduplicationId")
    if queue.fifo:
        dedup = _deduplication_id(queue, group, dedup, body)
        earlier = _duplicate(cx, queue, group or "", dedup)
        if earlier is not None:
            answer["SequenceNumber"], answer["MessageId"] = sequence_number(earlier[0]), uuid_of(earlier[1])
            return answer
    elif group is not None or dedup is not None:
        _check_standard(group, dedup)
    return _put(cx, queue, answer, body, delay, attributes, trace, group, dedup)


def _put(
    cx: Context, queue: Queue, answer: Response, body: bytes, delay: int, attributes: bytes | None = None,
    trace: str | None = None, group: str | None = None, dedup: str | None = None,
) -> Response:  # fmt: skip
    """Put a message that has been checked into its queue, and complete the answer."""
    id_ = cx.event("sqs:SendMessage", queue.arn, body)
    put(
        cx, queue, id_=id_, event=id_, message=id_, visible_at=cx.now + delay, sender=cx.call_.principal.user_id,
        attributes=attributes, trace=trace, group=group, dedup=dedup,
    )  # fmt: skip
    answer["MessageId"] = uuid_of(id_)
    if queue.fifo:
        _remember(cx, queue, group or "", dedup or "", id_, id_)
        answer["SequenceNumber"] = sequence_number(id_)
    return answer


def _too_long(queue: Queue, body_parameter: str) -> InvalidParameterValue:
    """What AWS says of a message that is too long: of an entry of a batch other words than of a message alone."""
    wrong = "are invalid" if body_parameter == "MessageBody" else "cannot be validated"
    return InvalidParameterValue(
        f"One or more parameters {wrong}. Reason: Message must be shorter than {queue.size} bytes."
    )


def _delay(queue: Queue, seconds: int | None) -> int:
    if seconds is None:
        return queue.delay
    if queue.fifo:
        if seconds:
            raise InvalidParameterValue(
                f"Value {seconds} for parameter DelaySeconds is invalid. Reason: {_NOT_FOR_THIS_QUEUE}."
            )
        return queue.delay
    if not 0 <= seconds <= DELAY_SECONDS:
        raise InvalidParameterValue(
            f"Value {seconds} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900."
        )
    return seconds * 1000


def _check_standard(group: str | None, dedup: str | None) -> None:
    if dedup is not None:
        raise InvalidParameterValue(
            f"Value {dedup} for parameter MessageDeduplicationId is invalid. Reason: {_NOT_FOR_THIS_QUEUE}."
        )
    if group is not None:
        check_fifo_name(group, "MessageGroupId")


def _deduplication_id(queue: Queue, group: str | None, dedup: str | None, body: bytes) -> str:
    if not group:
        raise MissingParameter("The request must contain the parameter MessageGroupId.")
    check_fifo_name(group, "MessageGroupId")
    if dedup is not None:
        check_fifo_name(dedup, "MessageDeduplicationId")
        return dedup
    if not queue.content_based:
        raise InvalidParameterValue(
            "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided"
            " explicitly"
        )
    return content_deduplication(body)


def _duplicate(cx: Context, queue: Queue, group: str, dedup: str) -> tuple[int, int] | None:
    scope = deduplication_scope(group, queue.dedup_per_group)
    row = cx.one(_FIND_DUPLICATE, (queue.id, scope, dedup, cx.now))
    return None if row is None else (row[0], row[1])


def _remember(cx: Context, queue: Queue, group: str, dedup: str, id_: int, message: int) -> None:
    scope = deduplication_scope(group, queue.dedup_per_group)
    cx.write(_REMEMBER, (queue.id, scope, dedup, id_, message, cx.now + DEDUPLICATION_MS))


def deliver_body(
    cx: Context, queue: Queue, body: bytes, *, event: int, message: int, attributes: Any, trace: str | None,
    group: str | None, dedup: str | None, sender: str,
) -> None:  # fmt: skip
    """Put what a delivery brings into a queue, by the rules of a send. InvalidParameterValue and its like when the
    queue would refuse it; a duplicate in a FIFO queue is accepted and not put."""
    if not body:
        raise MissingParameter("The request must contain the parameter MessageBody.")
    contents.check_body(body)
    size = len(body) + (contents.check_attributes(attributes) if attributes else 0)
    if size > queue.size:
        raise _too_long(queue, "MessageBody")
    id_ = cx.names.id()
    if queue.fifo:
        dedup = _deduplication_id(queue, group, dedup, body)
        if _duplicate(cx, queue, group or "", dedup) is not None:
            return
        _remember(cx, queue, group or "", dedup, id_, message)
    else:
        _check_standard(group, None)
        dedup = None
    put(
        cx, queue, id_=id_, event=event, message=message, visible_at=cx.now + queue.delay, sender=sender,
        attributes=contents.stored(attributes) if attributes else None, trace=trace, group=group, dedup=dedup,
    )  # fmt: skip


@operation
def send_message_batch(cx: Context, request: Request) -> Response:
    """Put up to ten messages into a queue; each succeeds or fails alone, in the order given.

    docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
    """
    queue = by_url(cx, request["QueueUrl"])
    entries = request["Entries"]
    _check_entries(entries, "SendMessageBatchRequestEntry")
    total = sum(_bytes_of(entry) for entry in entries)
    if total > BATCH_BYTES:
        raise BatchRequestTooLong(
            f"Batch requests cannot be longer than {BATCH_BYTES} bytes. You have sent {total} bytes."
        )
    if queue.fifo:
        for number, entry in enumerate(entries, 1):
            _check_fifo_entry(queue, entry, number)
        groups = tuple(dict.fromkeys(entry["MessageGroupId"] for entry in entries))
        throttle(cx, queue, "SendMessage", groups)
    numbers = {id(entry): number for number, entry in enumerate(entries, 1)}
    return _each(
        entries,
        lambda entry: _send(cx, queue, entry, f"SendMessageBatchRequestEntry.{numbers[id(entry)]}.MessageBody"),
    )


def _bytes_of(entry: Request) -> int:
    size = len(entry["MessageBody"].encode("utf-8", "replace"))
    for name, value in (entry.get("MessageAttributes") or {}).items():
        held = value.get("BinaryValue") or (value.get("StringValue") or "").encode("utf-8", "replace")
        size += len(name.encode()) + len((value.get("DataType") or "").encode()) + len(held)
    return size


def _check_fifo_entry(queue: Queue, entry: Request, number: int) -> None:
    """What fails a whole batch to a FIFO queue, since its messages would be out of order without this one."""
    if not entry["MessageBody"]:
        raise MissingParameter(
            f"The request must contain the parameter SendMessageBatchRequestEntry.{number}.MessageBody."
        )
    if not entry.get("MessageGroupId"):
        raise InvalidParameterValue("The request must contain the parameter MessageGroupId.")
    _delay(queue, entry.get("DelaySeconds"))
    _deduplication_id(queue, entry["MessageGroupId"], entry.get("MessageDeduplicationId"), b"")


# --- batches


def _check_entries(entries: list[Request], shape: str) -> None:
    if not entries:
        raise EmptyBatchRequest(f"There should be at least one {shape} in the request.")
    if len(entries) > BATCH_ENTRIES:
        raise TooManyEntriesInBatchRequest(
            f"Maximum number of entries per request are {BATCH_ENTRIES}. You have sent {len(entries)}."
        )
    ids: set[str] = set()
    for entry in entries:
        id_ = entry["Id"]
        if not valid_entry_id(id_):
            raise InvalidBatchEntryId(
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores."
                " It can be at most 80 letters long."
            )
        if id_ in ids:
            raise BatchEntryIdsNotDistinct(f"Id {id_} repeated.")
        ids.add(id_)


def _each(entries: list[Request], do: Callable[[Request], Response | None]) -> Response:
    """Do something for each entry: those that succeed, and those that do not with AWS's code and sentence."""
    successful: list[Response] = []
    failed: list[Response] = []
    for entry in entries:
        try:
            done = do(entry)
        except ApiError as error:
            failed.append({"Id": entry["Id"], "SenderFault": True, "Code": error.code, "Message": error.message})
        else:
            successful.append({"Id": entry["Id"], **(done or {})})
    return {"Successful": successful, "Failed": failed}


# --- deleting


@operation
def delete_message(cx: Context, request: Request) -> Response:
    """Remove a received message from its queue, for good.

    In a standard queue any receipt handle of the message will do, also after its visibility timeout; in a FIFO queue
    only the latest one, until then.

    docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessage.html
    """
    queue = by_url(cx, request["QueueUrl"])
    if queue.fifo_limited:
        throttle(cx, queue, "DeleteMessage")
    _delete(cx, queue, request["ReceiptHandle"])
    return {}


def _delete(cx: Context, queue: Queue, handle: str) -> None:
    receipt = receipt_of(handle)
    message = _received(cx, queue, receipt)
    if message is None:
        return
    if queue.fifo and not _holds(cx, message, receipt):
        raise InvalidParameterValue(
            f"Value {handle} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
        )
    hop(cx, message, "sqs:DeleteMessage", queue, cx.call_.principal.arn, run=cx.call_.principal.run)
    remove(cx, queue, (message.id,), (message.group,))


def _received(cx: Context, queue: Queue, receipt: Receipt) -> Message | None:
    """The message a receipt handle names; None when it is gone. ReceiptHandleIsInvalid for another queue's."""
    if receipt.queue != queue.id:
        if cx.one("SELECT 1 FROM sqs_queue WHERE id = ?", (receipt.queue,)) is not None:
            raise ReceiptHandleIsInvalid("The input receipt handle is invalid.")
        return None  # the queue was purged since
    return find_message(cx, queue, receipt.id)


def _holds(cx: Context, message: Message, receipt: Receipt) -> bool:
    return message.receives == receipt.receives and message.visible_at > cx.now


@operation
def delete_message_batch(cx: Context, request: Request) -> Response:
    """Remove up to ten received messages; each succeeds or fails alone.

    docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessageBatch.html
    """
    queue = by_url(cx, request["QueueUrl"])
    _check_entries(request["Entries"], "DeleteMessageBatchRequestEntry")
    if queue.fifo_limited:
        throttle(cx, queue, "DeleteMessage")

    def delete(entry: Request) -> None:
        try:
            _delete(cx, queue, entry["ReceiptHandle"])
        except ReceiptHandleIsInvalid:
            raise ReceiptHandleIsInvalid(
                f'The input receipt handle "{entry["ReceiptHandle"]}" is not a valid receipt handle.'
            ) from None

    return _each(request["Entries"], delete)


# --- visibility


@operation
def change_message_visibility(cx: Context, request: Request) -> Response:
    """Hide a received message for another while, counted from now; 0 gives it back at once.

    docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
    """
    queue = by_url(cx, request["QueueUrl"])
    _change_visibility(cx, queue, request["ReceiptHandle"], request["VisibilityTimeout"])
    return {}


def _change_visibility(cx: Context, queue: Queue, handle: str, seconds: int | None) -> None:
    if seconds is None:
        raise MissingParameter("The request must contain the parameter VisibilityTimeout.")
    check_visibility(seconds, None, cx.now)
    receipt = receipt_of(handle)
    message = _received(cx, queue, receipt)
    if message is None or (queue.fifo and not _holds(cx, message, receipt)):
        raise InvalidParameterValue(
            f"Value {handle} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available"
            " for visibility timeout change."
        )
    if message.visible_at <= cx.now:
        return  # its timeout is over: AWS was seen to accept this, and whoever receives it next holds it alone
    check_visibility(seconds, message.received, cx.now)
    hide(cx, queue, message.id, message.group, cx.now + seconds * 1000)


@operation
def change_message_visibility_batch(cx: Context, request: Request) -> Response:
    """Change the visibility of up to ten received messages; each succeeds or fails alone.

    docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibilityBatch.html
    """
    queue = by_url(cx, request["QueueUrl"])
    _check_entries(request["Entries"], "ChangeMessageVisibilityBatchRequestEntry")
    return _each(
        request["Entries"],
        lambda entry: _change_visibility(cx, queue, entry["ReceiptHandle"], entry.get("VisibilityTimeout")),
    )
