"""Amazon SQS. Read README.md first: what is executed, kept and refused, and where it differs from AWS."""

from __future__ import annotations

from functools import partial

from penstock.engine.context import Context, Parts
from penstock.engine.operation import operations_of
from penstock.engine.service import DeliveryKind, Service
from penstock.services.sqs import messages, moves, peeking, permissions, queues, receiving
from penstock.services.sqs.catalog import Memory
from penstock.services.sqs.housekeeping import KEY, keep_house
from penstock.services.sqs.resources import QUEUE, QUEUE_POLICY
from penstock.services.sqs.source import Queues
from penstock.services.sqs.target import QueueTarget

_RESET = (
    "INSERT INTO sqs_emptied (queue) SELECT id FROM sqs_queue WHERE ?1 IS NULL OR account = ?1",
    "DELETE FROM sqs_queue WHERE ?1 IS NULL OR account = ?1",
    "DELETE FROM sqs_deleted WHERE ?1 IS NULL OR account = ?1",
    "DELETE FROM sqs_move WHERE ?1 IS NULL OR account = ?1",
)


def start(parts: Parts) -> None:
    """Begin removing what is no longer needed. Everything else of a restart is in the rows."""
    parts.spawn(keep_house(parts), "removing expired and purged messages of SQS")


def reset(cx: Context, account: str | None) -> None:
    """Delete an account's queues; their messages follow in slices, and nobody can reach them meanwhile."""
    for sql in _RESET:
        cx.write(sql, (account,))
    memory: Memory = cx.memory
    memory.queues.clear()
    cx.after(partial(memory.forget, account))
    cx.wake(KEY)


SERVICE = Service(
    name="sqs",
    operations=operations_of(queues, messages, receiving, moves, permissions, peeking),
    memory=Memory,
    target=QueueTarget(),
    source=Queues(),
    kinds=(
        moves.KIND,
        # Hops that are recorded when they have happened already: nothing is ever tried again.
        DeliveryKind("sqs:redrive", backoff=lambda attempts: 0),
        DeliveryKind("sqs:DeleteMessage", backoff=lambda attempts: 0),
    ),
    resources=(QUEUE, QUEUE_POLICY),
    start=start,
    reset=reset,
    # Most messages stand where their event's id says, so that the first query is a look at the primary key.
    holds=(
        "SELECT id FROM sqs_message",
        "SELECT event FROM sqs_message WHERE event <> id",
        "SELECT event FROM sqs_move WHERE status = 'RUNNING'",
    ),
    outside=peeking.outside,
    throttling="RequestThrottled",
)
