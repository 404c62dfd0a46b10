"""Message move tasks: messages out of a dead-letter queue, back to where they came from or to another queue.

A task moves itself on: each slice of it is a delivery to the task (``sqs:move``) which, when it is accepted, moves some
messages and emits the next slice, a second later where the task has a rate. So a task survives a crash, obeys the
platform's clock, holds up quiet while it has something to do now, and shows in the journal.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from typing import Any, Final

import orjson

from penstock.base.names import Arn
from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.engine.service import DeliveryKind
from penstock.services.sqs.catalog import Queue, by_arn
from penstock.services.sqs.errors import InvalidParameterValue, ResourceNotFoundException, UnsupportedOperation
from penstock.services.sqs.rules import MOVE_RATE, MOVE_SLICE, MOVE_TASKS_LISTED, count_of
from penstock.services.sqs.storage import Message, hop, messages_in, put, remove

KIND: Final = DeliveryKind("sqs:move", backoff=lambda attempts: 1000)
_COLUMNS: Final = "id, source, destination, rate, status, event, started, last, moved, to_move, failure FROM sqs_move"
_NEXT: Final = (
    "SELECT id FROM sqs_message WHERE queue = ? AND visible_at <= ? AND id <= ? ORDER BY visible_at, id LIMIT ?"
)
# A FIFO group keeps its order: what stands behind a message in flight waits for it.
_NEXT_FIFO: Final = """
SELECT m.id FROM sqs_message AS m JOIN sqs_group AS g ON g.queue = m.queue AND g.grp = m.grp
WHERE m.queue = ?1 AND g.ready_at <= ?2 AND m.id <= ?3 AND NOT EXISTS (
    SELECT 1 FROM sqs_message AS h WHERE h.queue = m.queue AND h.grp = m.grp AND h.id <= m.id AND h.visible_at > ?2
) ORDER BY m.id LIMIT ?4
"""
_MOVABLE: Final = "SELECT count(*), max(id) FROM sqs_message WHERE queue = ? AND visible_at <= ?"
_TASK: Final = re.compile("[0-9]{1,18}")  # a task's id; SQLite takes no longer one
_GONE: Final = "AWS.SimpleQueueService.NonExistentQueue"


@operation
def start_message_move_task(cx: Context, request: Request) -> Response:
    """Start moving the messages of a dead-letter queue.

    docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_StartMessageMoveTask.html
    """
    source = _source(cx, request["SourceArn"])
    destination = request.get("DestinationArn")
    if destination:
        target = by_arn(cx, destination)
        if target is None:
            raise ResourceNotFoundException(
                "The resource that you specified for the DestinationArn parameter doesn't exist."
            )
        if target.fifo != source.fifo:
            raise UnsupportedOperation("Source and destination must be queues of the same type.")
    rate = request.get("MaxNumberOfMessagesPerSecond")
    if rate is not None and not 1 <= rate <= MOVE_RATE:
        raise InvalidParameterValue(
            f"Value {rate} for parameter MaxNumberOfMessagesPerSecond is invalid."
            f" Reason: Must be between 1 and {MOVE_RATE}, if provided."
        )
    if cx.one("SELECT 1 FROM sqs_queue WHERE dead_letter = ? LIMIT 1", (source.arn,)) is None:
        raise InvalidParameterValue("Source queue must be configured as a Dead Letter Queue.")
    if cx.one("SELECT 1 FROM sqs_move WHERE source = ? AND status = 'RUNNING'", (source.arn,)) is not None:
        raise InvalidParameterValue(
            "There is already a task running. Only one active task is allowed for a source queue arn at a given time."
        )
    count, last = cx.one(_MOVABLE, (source.id, cx.now)) or (0, None)
    task = cx.names.id()
    event = cx.event("sqs:StartMessageMoveTask", source.arn, orjson.dumps(request))
    cx.write(
        "INSERT INTO sqs_move (id, account, region, source, destination, rate, status, event, started, last, moved,"
        " to_move) VALUES (?,?,?,?,?,?,'RUNNING',?,?,?,0,?)",
        (task, source.account, source.region, source.arn, destination or None, rate, event, cx.now, last or 0, count),
    )
    _emit(cx, task, source.arn, event, None if rate is None else cx.now + 1000)
    return {"TaskHandle": _handle(task, source.arn)}


def _source(cx: Context, arn: str) -> Queue:
    source = by_arn(cx, arn)
    if source is None:
        raise ResourceNotFoundException("The resource that you specified for the SourceArn parameter doesn't exist.")
    return source


def _emit(cx: Context, task: int, source_arn: str, event: int, not_before: int | None) -> None:
    cx.deliver(kind=KIND.name, to=f"{source_arn}/move/{task}", event=event, source=source_arn, not_before=not_before)


def task_of(target: str) -> int:
    """The task that a delivery of ``KIND`` goes to, by its target."""
    return int(target.rpartition("/")[2])


@operation
def cancel_message_move_task(cx: Context, request: Request) -> Response:
    """Stop a running task; what it has moved stays moved.

    docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CancelMessageMoveTask.html
    """
    task, source = _read_handle(request["TaskHandle"])
    _source(cx, source)
    row = cx.one("SELECT status, moved FROM sqs_move WHERE id = ? AND source = ?", (task, source))
    if row is None:
        raise ResourceNotFoundException("Task does not exist.")
    if row[0] != "RUNNING":
        raise UnsupportedOperation(f"Only a running task can be cancelled, and this one is {row[0]}.")
    cx.write("UPDATE sqs_move SET status = 'CANCELLED' WHERE id = ?", (task,))
    return {"ApproximateNumberOfMessagesMoved": row[1]}


@operation
def list_message_move_tasks(cx: Context, request: Request) -> Response:
    """The latest tasks of a dead-letter queue, newest first.

    docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ListMessageMoveTasks.html
    """
    source = _source(cx, request["SourceArn"])
    limit = count_of(request, "MaxResults", MOVE_TASKS_LISTED)
    rows = cx.all(f"SELECT {_COLUMNS} WHERE source = ? ORDER BY id DESC LIMIT ?", (source.arn, limit))
    return {"Results": [_told(*row) for row in rows]}


def _told(
    id_: int, source: str, destination: str | None, rate: int | None, status: str, event: int, started: int,
    last: int, moved: int, to_move: int, failure: str | None,
) -> dict[str, Any]:  # fmt: skip
    told = {
        "TaskHandle": _handle(id_, source) if status == "RUNNING" else None,
        "Status": status,
        "SourceArn": source,
        "DestinationArn": destination,
        "MaxNumberOfMessagesPerSecond": rate,
        "ApproximateNumberOfMessagesMoved": moved,
        "ApproximateNumberOfMessagesToMove": to_move,
        "FailureReason": failure,
        "StartedTimestamp": started,
    }
    return {name: value for name, value in told.items() if value is not None}


def _handle(task: int, source_arn: str) -> str:
    return b64encode(orjson.dumps({"taskId": str(task), "sourceArn": source_arn})).decode()


def _read_handle(handle: str) -> tuple[int, str]:
    try:
        told = orjson.loads(b64decode(handle, validate=True))
        task, source = told["taskId"], told["sourceArn"]
        Arn.parse(source)
    except (Base64Error, ValueError, KeyError, TypeError, AttributeError):
        raise InvalidParameterValue("Value for parameter TaskHandle is invalid.") from None
    return int(task) if isinstance(task, str) and _TASK.fullmatch(task) else -1, source


# --- a slice of a task


def move(cx: Context, task: int) -> None:
    """Move some messages of a task, and emit its next slice; nothing when it does not run any more."""
    row = cx.one(f"SELECT {_COLUMNS} WHERE id = ?", (task,))
    if row is None or row[4] != "RUNNING":
        return
    _, source_arn, destination, rate, _, event, _, last, moved, _, _ = row
    source = by_arn(cx, source_arn)
    if source is None:
        _end(cx, task, "FAILED", moved, _GONE)
        return
    limit = MOVE_SLICE if rate is None else rate
    ids = [row[0] for row in cx.all(_NEXT_FIFO if source.fifo else _NEXT, (source.id, cx.now, last, limit))]
    for message in messages_in(cx, source, ids):
        target = by_arn(cx, destination or message.origin or "")
        if target is None:
            if destination is None and message.origin is None:
                _end(cx, task, "FAILED", moved, "CouldNotDetermineMessageSource")
            else:
                _end(cx, task, "FAILED", moved, _GONE)
            return
        _move_one(cx, source, target, message)
        moved += 1
    if len(ids) < limit:
        _end(cx, task, "COMPLETED", moved, None)
        return
    cx.write("UPDATE sqs_move SET moved = ? WHERE id = ?", (moved, task))
    _emit(cx, task, source_arn, event, None if rate is None else cx.now + 1000)


def _move_one(cx: Context, source: Queue, target: Queue, message: Message) -> None:
    """Move a message as a new one: AWS gives it a new MessageId and SentTimestamp, and its receives count anew.

    docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-dead-letter-queue-redrive.html
    """
    new = hop(cx, message, "sqs:move", source, target.arn)
    put(
        cx, target, id_=cx.names.id(), event=message.event, message=new, visible_at=cx.now, sender=message.sender,
        attributes=message.attributes, trace=message.trace,
        group=message.group if target.fifo else message.tenant, dedup=message.dedup,
    )  # fmt: skip
    remove(cx, source, (message.id,), (message.group,))


def _end(cx: Context, task: int, status: str, moved: int, failure: str | None) -> None:
    cx.write("UPDATE sqs_move SET status = ?, moved = ?, failure = ? WHERE id = ?", (status, moved, failure, task))
