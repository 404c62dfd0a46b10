"""How batches are taken from a queue by event source mappings and other consumers on this platform.

A claim is a receive: it counts, it hides, and it moves to the dead-letter queue what was received too often. What a
consumer fails on stays hidden until its lease ends, as with Lambda's mappings
(docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.base.names import uuid_of
from penstock.engine.context import Context
from penstock.engine.source import Claimed
from penstock.services.sqs import contents, storage
from penstock.services.sqs.catalog import Queue, by_arn
from penstock.services.sqs.rules import handle_of
from penstock.services.sqs.storage import Message

_OVERHEAD_BYTES = 1024  # what a record has around its body and attributes, roughly


class Queues:
    """Queues as a source: leases, receives, dead letters."""

    def claim(self, cx: Context, arn: str, *, limit: int, lease_ms: int | None, max_bytes: int) -> list[Claimed]:
        """Receive up to ``limit`` messages; none when the queue is gone."""
        queue = by_arn(cx, arn)
        if queue is None or limit <= 0:
            return []
        limit = min(limit, storage.room_in_flight(cx, queue))
        if limit <= 0:
            return []
        lease = queue.visibility if lease_ms is None else lease_ms
        until = cx.now + lease
        return [_claimed(queue, message, until) for message in storage.take(cx, queue, limit, lease, max_bytes)]

    def settle(self, cx: Context, arn: str, *, done: Sequence[Claimed], failed: Sequence[Claimed]) -> None:
        """Remove what is done, also when its lease is over meanwhile; leave what failed to its lease."""
        queue = by_arn(cx, arn)
        if queue is not None and done:
            storage.remove(cx, queue, [claimed.handle for claimed in done], [claimed.order for claimed in done])

    def release(self, cx: Context, arn: str, events: Sequence[int]) -> None:
        """Make the messages of these events visible at once: the server that held them is gone."""
        queue = by_arn(cx, arn)
        if queue is None:
            return
        for event in events:
            for message in storage.held_of_event(cx, queue, event):
                storage.hide(cx, queue, message.id, message.group, cx.now)

    def available(self, cx: Context, arn: str) -> bool:
        """Whether a message can be received now."""
        queue = by_arn(cx, arn)
        return queue is not None and storage.available(cx, queue)

    def next_available(self, cx: Context, arn: str) -> int | None:
        """Platform ms at which the next hidden message becomes visible, or None."""
        queue = by_arn(cx, arn)
        return None if queue is None else storage.next_available(cx, queue)


def _claimed(queue: Queue, message: Message, until: int) -> Claimed:
    record = record_of(queue, message)
    size = len(message.body or b"") + len(message.attributes or b"") + _OVERHEAD_BYTES
    return Claimed(message.id, message.event, record["messageId"], record, size, until, message.group)


def record_of(queue: Queue, message: Message) -> dict[str, Any]:
    """A record of Lambda's SQS event: docs.aws.amazon.com/lambda/latest/dg/with-sqs.html."""
    attributes: dict[str, Any] = {}
    if message.attributes is not None:
        for name, value in contents.encoded(message.attributes).items():
            text, binary = value.get("StringValue"), value.get("BinaryValue")
            attributes[name] = {
                **({"stringValue": text} if text is not None else {"binaryValue": binary}),
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": value["DataType"],
            }
    record = {
        "messageId": uuid_of(message.message),
        "receiptHandle": handle_of(queue.id, message.id, message.receives),
        "body": storage.payload_text(message),
        "attributes": storage.system_attributes(message),
        "messageAttributes": attributes,
        "md5OfBody": contents.digest(message.body or b""),
        "eventSource": "aws:sqs",
        "eventSourceARN": queue.arn,
        "awsRegion": queue.region,
    }
    if attributes:
        restored = contents.restored(message.attributes or b"{}")
        record["md5OfMessageAttributes"] = contents.digest_of_attributes(restored)
    return record
