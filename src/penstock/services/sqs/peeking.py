"""Looking at what queues hold without receiving it: for Penstock's own API, and for what only outsiders can finish."""

from __future__ import annotations

from typing import Any, Final

from penstock.base.names import uuid_of
from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.sqs import contents
from penstock.services.sqs.catalog import Queue, by_arn, by_url
from penstock.services.sqs.errors import QueueDoesNotExist
from penstock.services.sqs.storage import Message, held_of_event, payload_text, peek

LIMIT: Final = 1000  # messages of one look
OUTSIDE_QUEUES: Final = 50  # queues named in one answer of what is outside
_WAITING: Final = """
SELECT q.name,
    (SELECT count(*) FROM
        (SELECT 1 FROM sqs_message WHERE queue = q.id AND visible_at > ?1 AND receives > 0 LIMIT 1001)),
    (SELECT count(*) FROM (SELECT 1 FROM sqs_message WHERE queue = q.id AND visible_at <= ?1 LIMIT 1001))
FROM sqs_queue AS q WHERE (?2 IS NULL OR q.account = ?2)
    AND EXISTS (SELECT 1 FROM sqs_message WHERE queue = q.id) LIMIT ?3
"""


@operation(internal=True)
def peek_messages(cx: Context, request: Request) -> Response:
    """The messages of a queue as they stand: first those that can be received, in that order, then the hidden ones.

    ``QueueUrl`` is a URL, an ARN or a name; ``Limit`` how many at most.
    """
    url: str = request["QueueUrl"]
    queue = by_arn(cx, url) if url.startswith("arn:") else by_url(cx, url)
    if queue is None:
        raise QueueDoesNotExist
    limit = min(request.get("Limit") or LIMIT, LIMIT)
    return {"messages": [_told(cx, queue, message) for message in peek(cx, queue, limit)]}


@operation(internal=True)
def hidden_messages(cx: Context, request: Request) -> Response:
    """When the messages that carry these events can be received again: those of ``QueueArn`` that are hidden now.

    ``EventIds`` are journal ids. A message that has been received as often as the redrive policy lets it is moved to
    the dead-letter queue at that moment, which is named then.
    """
    queue = by_arn(cx, request["QueueArn"])
    found = []
    for event in request["EventIds"] if queue is not None else ():
        for message in held_of_event(cx, queue, event):
            told = {"eventId": uuid_of(event), "visibleAt": message.visible_at / 1000}
            redrive = queue.redrive
            if redrive is not None and message.receives >= redrive.maximum:
                told["deadLetter"] = str(redrive.target)
            found.append(told)
    return {"messages": found}


def _told(cx: Context, queue: Queue, message: Message) -> dict[str, Any]:
    attributes = contents.encoded(message.attributes) if message.attributes is not None else {}
    told: dict[str, Any] = {
        "messageId": uuid_of(message.message),
        "body": payload_text(message),
        "state": "available" if message.visible_at <= cx.now else "in flight" if message.receives else "delayed",
        "sentAt": message.sent_at / 1000,
        "receiveCount": message.receives + message.earlier,
        "groupId": message.group if message.group is not None else message.tenant,
        "deduplicationId": message.dedup,
        "size": len(message.body or b"") + len(message.attributes or b""),
        "attributes": {
            name: value.get("StringValue") or value.get("BinaryValue") or "" for name, value in attributes.items()
        },
    }
    if message.visible_at > cx.now:
        told["visibleAt"] = message.visible_at / 1000
    return {name: value for name, value in told.items() if value is not None}


def outside(cx: Context, account: str | None) -> list[str]:
    """What receivers hold and what waits to be received, a phrase for each queue."""
    phrases: list[str] = []
    for name, held, waiting in cx.all(_WAITING, (cx.now, account, OUTSIDE_QUEUES)):
        if held:
            phrases.append(f"queue {name}: {_count(held)} held by receivers")
        if waiting:
            phrases.append(f"queue {name}: {_count(waiting)} to be received")
    return phrases


def _count(messages: int) -> str:
    return "more than 1000 messages" if messages > 1000 else f"{messages} message{'s' if messages > 1 else ''}"
