"""Receiving messages: at once where there are some, else waiting for them.

A receive that finds something, or may not wait, is answered inside one transaction (``_first``). Only a long poll of
an empty queue becomes a task: it is woken by the send, delivery, change of visibility or moment of platform time that
makes a message visible. How long it waits at most is the machine's time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import orjson

from penstock.base.names import uuid_of
from penstock.engine.context import Context, WaitingContext
from penstock.engine.operation import Request, Response, operation
from penstock.services.sqs import contents
from penstock.services.sqs.attributes import ALL as QUEUE_ATTRIBUTES
from penstock.services.sqs.catalog import Queue, by_url
from penstock.services.sqs.errors import InvalidAttributeName, InvalidParameterValue
from penstock.services.sqs.messages import throttle
from penstock.services.sqs.rules import (
    ATTEMPT_MS,
    RECEIVE_MESSAGES,
    VISIBILITY_SECONDS,
    WAIT_SECONDS,
    check_fifo_name,
    count_of,
    handle_of,
)
from penstock.services.sqs.storage import (
    Message,
    check_in_flight,
    hide,
    messages_in,
    next_available,
    payload_text,
    system_attributes,
    take,
)

SYSTEM_ATTRIBUTES: Final = frozenset({
    "All", "SenderId", "SentTimestamp", "ApproximateReceiveCount", "ApproximateFirstReceiveTimestamp",
    "SequenceNumber", "MessageDeduplicationId", "MessageGroupId", "AWSTraceHeader", "DeadLetterQueueSourceArn",
})  # fmt: skip


def _first(cx: Context, request: Request) -> Response | None:
    """The answer where nobody has to wait for it; None where the receive is a long poll and nothing is there."""
    queue = by_url(cx, request["QueueUrl"])
    limit, visibility_ms, wait_ms = _checked(queue, request)
    if queue.fifo_limited:
        throttle(cx, queue, "ReceiveMessage")
    attempt = request.get("ReceiveRequestAttemptId")
    taken = _taken_before(cx, queue, attempt, visibility_ms) if attempt is not None else None
    if taken is None:
        taken = take(cx, queue, limit, visibility_ms) if check_in_flight(cx, queue, wait_ms > 0) else []
        if taken and attempt is not None:
            _remember_attempt(cx, queue, attempt, taken)
    if taken:
        return {"Messages": _told(queue, taken, request)}
    return None if wait_ms else {}


@operation(first=_first)
async def receive_message(cx: WaitingContext, request: Request) -> Response:
    """Receive up to ten messages, and hide them from others for the visibility timeout.

    docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
    """
    machine, wakes = cx.parts.machine, cx.parts.wakes
    started = machine.monotonic_ms()
    queue = await cx.transact(lambda tx: by_url(tx, request["QueueUrl"]))
    deadline = started + _checked(queue, request)[2]
    noted = False

    def note() -> None:
        nonlocal noted
        noted = True

    # Listening from before the first look, so that what becomes visible between a look and the wait is not missed.
    stop = wakes.listen(queue.arn, note)
    try:
        while True:
            noted = False
            if cx.call_.sender is not None and cx.call_.sender.gone:
                # A message for a receiver that hung up would be hidden from everybody for its visibility timeout.
                wakes.wake(queue.arn)
                return {}
            answer, due = await cx.transact(lambda tx: _look(tx, request))
            remaining = deadline - machine.monotonic_ms()
            if answer is not None or remaining <= 0:
                return answer or {}
            if due is not None:
                cx.memory.arm(cx.parts, queue.arn, due)
            if not noted and not await cx.woken(queue.arn, remaining):
                return {}
    except asyncio.CancelledError:
        wakes.wake(queue.arn)  # whoever waits next may have been meant to get what this one was woken for
        raise
    finally:
        stop()


def _look(cx: Context, request: Request) -> tuple[Response | None, int | None]:
    """One look of a long poll, and when the next hidden message becomes visible."""
    queue = by_url(cx, request["QueueUrl"])
    limit, visibility_ms, _ = _checked(queue, request)
    taken = take(cx, queue, limit, visibility_ms) if check_in_flight(cx, queue, True) else []
    if not taken:
        return None, next_available(cx, queue)
    attempt = request.get("ReceiveRequestAttemptId")
    if attempt is not None:
        _remember_attempt(cx, queue, attempt, taken)
    return {"Messages": _told(queue, taken, request)}, None


def _checked(queue: Queue, request: Request) -> tuple[int, int, int]:
    """How many messages, hidden for how long (ms), waiting for them how long (ms)."""
    limit = count_of(request, "MaxNumberOfMessages", RECEIVE_MESSAGES)
    visibility = _seconds(request, "VisibilityTimeout", VISIBILITY_SECONDS, queue.visibility)
    wait = _seconds(request, "WaitTimeSeconds", WAIT_SECONDS, queue.wait)
    attempt = request.get("ReceiveRequestAttemptId")
    if attempt is not None:
        if not queue.fifo:
            raise InvalidParameterValue(
                f"Value {attempt} for parameter ReceiveRequestAttemptId is invalid."
                " Reason: The request include parameter that is not valid for this queue type."
            )
        check_fifo_name(attempt, "ReceiveRequestAttemptId")
    for name in _system_names(request):
        if name not in SYSTEM_ATTRIBUTES and name not in QUEUE_ATTRIBUTES:
            raise InvalidAttributeName(f"Unknown Attribute {name}.")
    return limit, visibility, wait


def _seconds(request: Request, name: str, at_most: int, default_ms: int) -> int:
    value: int | None = request.get(name)
    if value is None:
        return default_ms
    if not 0 <= value <= at_most:
        raise InvalidParameterValue(
            f"Value {value} for parameter {name} is invalid. Reason: Must be >= 0 and <= {at_most}, if provided."
        )
    return value * 1000


# --- receive attempts


def _taken_before(cx: Context, queue: Queue, attempt: str, visibility_ms: int) -> list[Message] | None:
    """What this attempt got the first time, hidden anew; None when it is new, or anything of it has changed."""
    row = cx.one(
        "SELECT taken FROM sqs_attempt WHERE queue = ? AND attempt = ? AND expires > ?", (queue.id, attempt, cx.now)
    )
    if row is None:
        return None
    before: list[list[int]] = orjson.loads(row[0])
    messages = messages_in(cx, queue, [id_ for id_, _, _ in before])
    now = [[message.id, message.receives, message.visible_at] for message in messages]
    if now != before or any(message.visible_at <= cx.now for message in messages):
        return None
    for message in messages:
        message.visible_at = cx.now + visibility_ms
        hide(cx, queue, message.id, message.group, message.visible_at)
    _remember_attempt(cx, queue, attempt, messages)
    return messages


def _remember_attempt(cx: Context, queue: Queue, attempt: str, taken: list[Message]) -> None:
    got = [[message.id, message.receives, message.visible_at] for message in taken]
    cx.write(
        "INSERT INTO sqs_attempt (queue, attempt, taken, expires) VALUES (?,?,?,?) ON CONFLICT DO UPDATE SET"
        " taken = excluded.taken, expires = excluded.expires",
        (queue.id, attempt, orjson.dumps(got).decode(), cx.now + ATTEMPT_MS),
    )


# --- what a receiver is told


def _system_names(request: Request) -> list[str]:
    return [*(request.get("MessageSystemAttributeNames") or ()), *(request.get("AttributeNames") or ())]


def _told(queue: Queue, taken: list[Message], request: Request) -> list[Response]:
    system = _system_names(request)
    names = request.get("MessageAttributeNames") or ()
    return [told(queue, message, system, names) for message in taken]


def told(queue: Queue, message: Message, system: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """A message as a receiver sees it, with those system attributes and message attributes."""
    text = payload_text(message)
    answer: dict[str, Any] = {
        "MessageId": uuid_of(message.message),
        "ReceiptHandle": handle_of(queue.id, message.id, message.receives),
        "MD5OfBody": contents.digest(message.body or b""),
        "Body": text,
    }
    if system:
        attributes = system_attributes(message)
        if "All" not in system:
            attributes = {name: value for name, value in attributes.items() if name in system}
        if attributes:
            answer["Attributes"] = attributes
    if names and message.attributes is not None:
        selected = contents.selected(contents.restored(message.attributes), names)
        if selected:
            answer["MessageAttributes"] = selected
            answer["MD5OfMessageAttributes"] = contents.digest_of_attributes(selected)
    return answer
