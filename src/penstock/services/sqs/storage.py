"""The rows of messages: put one into a queue, take some out of sight, remove, hide, move, count.

Operations, deliveries, consumers and move tasks all go through these functions, so that they cannot differ. Each runs
inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from penstock.base.names import uuid_of
from penstock.engine import journal
from penstock.engine.context import Context
from penstock.engine.journal import DELIVERED, Delivery
from penstock.services.sqs.catalog import Memory, Queue, arm, by_arn
from penstock.services.sqs.errors import OverLimit
from penstock.services.sqs.rules import (
    EXPIRED_SLICE,
    IN_FLIGHT,
    TENANT_HELD,
    TENANTS,
    fair_share,
    sequence_number,
)
from penstock.store.store import Reader, Row

_INSERT: Final = (
    "INSERT INTO sqs_message (id, queue, event, message, visible_at, sent_at, sender, attributes, trace, tenant, grp,"
    " dedup) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"
)
# Of a message as most are, with nothing but a body.
_INSERT_PLAIN: Final = (
    "INSERT INTO sqs_message (id, queue, event, message, visible_at, sent_at, sender) VALUES (?,?,?,?,?,?,?)"
)
_COLUMNS: Final = (
    "m.id, m.event, m.message, m.visible_at, m.sent_at, m.receives, m.earlier, m.received, m.first_received, m.sender,"
    " m.attributes, m.trace, m.tenant, m.grp, m.dedup, m.origin, e.payload"
)
_MESSAGES: Final = f"SELECT {_COLUMNS} FROM sqs_message AS m LEFT JOIN event AS e ON e.id = m.event"
_BARE_MESSAGES: Final = f"SELECT {_COLUMNS.replace('e.payload', 'NULL')} FROM sqs_message AS m"
_BARE: Final = f"{_BARE_MESSAGES} WHERE m.id = ? AND m.queue = ?"
_BARE_OF_EVENT: Final = f"{_BARE_MESSAGES} WHERE m.event = ? AND m.event <> m.id"
# visible_at > now - retention passes over what expired without looking at it: nothing is visible before it is sent.
_SHOWN: Final = "m.visible_at > ? AND m.visible_at <= ? AND m.sent_at > ?"
_OLDEST: Final = "ORDER BY m.visible_at, m.sent_at, m.receives, m.id LIMIT ?"
_VISIBLE: Final = f"{_MESSAGES} WHERE m.queue = ? AND {_SHOWN} {_OLDEST}"
_OF_TENANT: Final = f"{_MESSAGES} WHERE m.queue = ? AND m.tenant = ? AND {_SHOWN} {_OLDEST}"
_TENANTS: Final = """
WITH RECURSIVE each (tenant) AS (
    SELECT min(tenant) FROM sqs_message WHERE queue = ? AND tenant IS NOT NULL
    UNION ALL
    SELECT (SELECT min(tenant) FROM sqs_message WHERE queue = ? AND tenant > each.tenant) FROM each
    WHERE each.tenant IS NOT NULL
)
SELECT tenant FROM each WHERE tenant IS NOT NULL LIMIT ?
"""
_TENANT_HELD: Final = (
    "SELECT count(*) FROM"
    " (SELECT 1 FROM sqs_message WHERE queue = ? AND tenant = ? AND visible_at > ? AND receives > 0 LIMIT ?)"
)
_TAKE: Final = (
    "UPDATE sqs_message SET visible_at = ?, receives = receives + 1, received = ?,"
    " first_received = coalesce(first_received, ?) WHERE id = ?"
)
_GROUPS: Final = "SELECT grp FROM sqs_group WHERE queue = ? AND ready_at <= ? ORDER BY ready_at, head LIMIT ?"
_OF_GROUP: Final = f"{_MESSAGES} WHERE m.queue = ? AND m.grp = ? ORDER BY m.id LIMIT ?"
_HEAD: Final = "SELECT id, visible_at FROM sqs_message WHERE queue = ? AND grp = ? ORDER BY id LIMIT 1"
_DELAY_ANEW: Final = (
    "UPDATE sqs_message SET visible_at = sent_at + ? WHERE queue = ? AND visible_at > ? AND sent_at > ?"
    " AND receives = 0 AND origin IS NULL RETURNING grp"
)
_HIDDEN: Final = "SELECT count(*) FROM sqs_message WHERE queue = ? AND visible_at > ? AND receives > 0"


@dataclass(slots=True)
class Message:
    """A message as its row has it; times are platform ms."""

    id: int
    event: int
    message: int
    visible_at: int
    sent_at: int
    receives: int
    earlier: int
    received: int | None
    first_received: int | None
    sender: str
    attributes: bytes | None
    trace: str | None
    tenant: str | None
    group: str | None
    dedup: str | None
    origin: str | None
    body: bytes | None


# --- in


def put(
    cx: Context, queue: Queue, *, id_: int, event: int, message: int, visible_at: int, sender: str,
    attributes: bytes | None = None, trace: str | None = None, group: str | None = None, dedup: str | None = None,
) -> None:  # fmt: skip
    """Put a message into a queue; who waits for one is woken when it can be received."""
    fifo = queue.fifo
    row = id_, queue.id, event, message, visible_at, cx.now, sender
    if attributes is trace is group is dedup is None:
        cx.tx.write(_INSERT_PLAIN, row)
    else:
        tenant, grp = (None, group) if fifo else (group, None)
        cx.tx.write(_INSERT, (*row, attributes, trace, tenant, grp, dedup))
    if fifo:
        cx.tx.write(
            "INSERT INTO sqs_group (queue, grp, ready_at, head) VALUES (?,?,?,?) ON CONFLICT DO NOTHING",
            (queue.id, group, visible_at, id_),
        )
    if visible_at <= cx.now:
        cx.wake(queue.arn)
    else:
        arm(cx, queue.arn, visible_at)


def delay_anew(cx: Context, queue: Queue, delay_ms: int) -> None:
    """Give a FIFO queue's messages that nobody has received another delay, counted from their send, as AWS does.

    Those of a standard queue keep theirs (docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/
    sqs-delay-queues.html), and so does what came from elsewhere as it was given up: it had none.
    """
    longest = max(delay_ms, queue.delay)
    groups = cx.tx.returning(_DELAY_ANEW, (delay_ms, queue.id, cx.now - longest, cx.now - longest))
    regroup(cx, queue, {row[0] for row in groups})


# --- out of sight


def take(cx: Context, queue: Queue, limit: int, visibility_ms: int, max_bytes: int | None = None) -> list[Message]:
    """Receive up to ``limit`` messages: hide them for ``visibility_ms``, and count it.

    What was received too often goes to the dead-letter queue instead. ``max_bytes`` bounds their bodies; the first one
    is taken whatever its size. The messages are as they were before, but for ``visible_at`` and ``receives``.
    """
    taken = _take_fifo(cx, queue, limit, max_bytes) if queue.fifo else _take_standard(cx, queue, limit, max_bytes)
    if taken:
        until = cx.now + visibility_ms
        cx.tx.write_many(_TAKE, [(until, cx.now, cx.now, message.id) for message in taken])
        for message in taken:
            message.visible_at, message.received = until, cx.now
            message.receives += 1
            if message.first_received is None:
                message.first_received = cx.now
        if queue.fifo:
            regroup(cx, queue, {message.group for message in taken if message.group is not None})
        if until > cx.now:
            arm(cx, queue.arn, until)
        _count_taken(cx, queue, len(taken))
    return taken


def _take_standard(cx: Context, queue: Queue, limit: int, max_bytes: int | None) -> list[Message]:
    cutoff = cx.now - queue.retention
    dead_letter = _dead_letter(cx, queue)
    taken: list[Message] = []
    size = 0
    while True:
        rows = cx.tx.all(_VISIBLE, (queue.id, cutoff, cx.now, cutoff, limit - len(taken)))
        if any(row[12] is not None for row in rows):
            rows = _shared_out(cx, queue, rows, limit - len(taken))
        buried = False
        for row in rows:
            message = Message(*row)
            if dead_letter is not None and message.receives >= queue.maximum_receives:
                bury(cx, queue, dead_letter, message)
                buried = True
                continue
            size += len(message.body or b"")
            if max_bytes is not None and size > max_bytes and taken:
                return taken
            taken.append(message)
        # Messages in hand are still visible to the query, so there is no second look with any of them.
        if not buried or taken:
            return taken


def _shared_out(cx: Context, queue: Queue, oldest_rows: list[Row], limit: int) -> list[Row]:
    """Rows of visible messages as ``fair_share`` picks them; the oldest ones without a tenant count as one tenant's."""
    cutoff = cx.now - queue.retention
    tenants = [row[0] for row in cx.tx.all(_TENANTS, (queue.id, queue.id, TENANTS))]
    waiting: dict[str | None, list[Row]] = {None: [row for row in oldest_rows if row[12] is None]}
    held: dict[str | None, int] = {}
    for tenant in tenants:
        waiting[tenant] = cx.tx.all(_OF_TENANT, (queue.id, tenant, cutoff, cx.now, cutoff, limit))
        row = cx.tx.one(_TENANT_HELD, (queue.id, tenant, cx.now, TENANT_HELD))
        held[tenant] = row[0] if row else 0
    oldest = sorted((rows[0][3:6] + rows[0][:1], tenant or "", tenant) for tenant, rows in waiting.items() if rows)
    return fair_share({tenant: waiting[tenant] for _, _, tenant in oldest}, held, limit)


def _take_fifo(cx: Context, queue: Queue, limit: int, max_bytes: int | None) -> list[Message]:
    taken: list[Message] = []
    seen: set[str] = set()
    size = 0
    while True:
        groups = [row[0] for row in cx.tx.all(_GROUPS, (queue.id, cx.now, limit)) if row[0] not in seen]
        for group in groups:
            seen.add(group)
            for message in _first_of_group(cx, queue, group, limit - len(taken)):
                size += len(message.body or b"")
                if max_bytes is not None and size > max_bytes and taken:
                    return taken
                taken.append(message)
            if len(taken) >= limit:
                return taken
        if not groups or taken:
            return taken


def _first_of_group(cx: Context, queue: Queue, group: str, limit: int) -> list[Message]:
    """The messages with which a ready group begins, those gone that expired or were received too often."""
    cutoff = cx.now - queue.retention
    dead_letter = _dead_letter(cx, queue)
    first: list[Message] = []
    gone = False
    while True:
        rows = cx.tx.all(_OF_GROUP, (queue.id, group, limit))
        removed = 0
        for row in rows:
            message = Message(*row)
            if message.sent_at <= cutoff:
                cx.tx.write("DELETE FROM sqs_message WHERE id = ?", (message.id,))
                removed += 1
            elif message.visible_at > cx.now:
                break
            elif dead_letter is not None and message.receives >= queue.maximum_receives:
                bury(cx, queue, dead_letter, message)
                removed += 1
            else:
                first.append(message)
        gone = gone or removed > 0
        if first or removed < len(rows) or not rows:
            break
    if gone:
        regroup(cx, queue, [group])
    return first


def _dead_letter(cx: Context, queue: Queue) -> Queue | None:
    return None if queue.redrive is None else by_arn(cx, str(queue.redrive.target))


def _count_taken(cx: Context, queue: Queue, count: int) -> None:
    taken: dict[int, int] = cx.memory.taken
    id_ = queue.id
    cx.after(lambda: taken.__setitem__(id_, taken.get(id_, IN_FLIGHT) + count))


def room_in_flight(cx: Context, queue: Queue) -> int:
    """How many more messages of the queue may be held by receivers.

    What is kept in memory only grows, so it is an upper bound; the rows are counted when it reaches the limit.
    """
    memory: Memory = cx.memory
    bound = memory.taken.get(queue.id, IN_FLIGHT)
    if bound + 10 > IN_FLIGHT:
        row = cx.one(_HIDDEN, (queue.id, cx.now))
        bound = row[0] if row else 0
        id_ = queue.id
        cx.after(lambda: memory.taken.__setitem__(id_, bound))
    return IN_FLIGHT - bound


def check_in_flight(cx: Context, queue: Queue, waits: bool) -> bool:
    """Whether more may be received. OverLimit when a standard queue's short poll may not: long polls and FIFO queues
    get nothing then, and no error (quotas-queues.html)."""
    if room_in_flight(cx, queue) > 0:
        return True
    if queue.fifo or waits:
        return False
    raise OverLimit(
        f"Too many messages are in flight ({IN_FLIGHT}): delete those that are processed before receiving more."
    )


# --- what becomes of a message


def find_message(cx: Context, queue: Queue, id_: int) -> Message | None:
    """The message in this place of this queue, without its body; None when it is gone."""
    row = cx.tx.one(_BARE, (id_, queue.id))
    return None if row is None else Message(*row)


def messages_in(cx: Context, queue: Queue, ids: Iterable[int]) -> list[Message]:
    """Those of these messages that are still in the queue, with their bodies, in the order given."""
    rows = (cx.one(f"{_MESSAGES} WHERE m.id = ? AND m.queue = ?", (id_, queue.id)) for id_ in ids)
    return [Message(*row) for row in rows if row is not None]


def held_of_event(cx: Context, queue: Queue, event: int) -> list[Message]:
    """The messages of this event that are hidden now."""
    rows = cx.all(_BARE, (event, queue.id))
    rows += cx.all(f"{_BARE_OF_EVENT} AND m.queue = ?", (event, queue.id))
    return [message for message in (Message(*row) for row in rows) if message.visible_at > cx.now]


def remove(cx: Context, queue: Queue, ids: Iterable[int], groups: Iterable[str | None] = ()) -> None:
    """Remove messages for good."""
    cx.tx.write_many("DELETE FROM sqs_message WHERE id = ?", [(id_,) for id_ in ids])
    if queue.fifo:
        regroup(cx, queue, {group for group in groups if group is not None})


def hide(cx: Context, queue: Queue, id_: int, group: str | None, until: int) -> None:
    """Let a message be received from ``until`` on; now or earlier: at once."""
    cx.tx.write("UPDATE sqs_message SET visible_at = ? WHERE id = ?", (until, id_))
    if group is not None:
        regroup(cx, queue, [group])
    if until > cx.now:
        arm(cx, queue.arn, until)
    else:
        cx.wake(queue.arn)


def regroup(cx: Context, queue: Queue, groups: Iterable[str]) -> None:
    """Work out again when these FIFO groups can be received from; wake who waits when one can now."""
    for group in sorted(groups):
        key = (queue.id, group)
        head = cx.one(_HEAD, key)
        if head is None:
            cx.tx.write("DELETE FROM sqs_group WHERE queue = ? AND grp = ?", key)
            continue
        id_, ready_at = head
        cx.tx.write(
            "INSERT INTO sqs_group (queue, grp, ready_at, head) VALUES (?,?,?,?)"
            " ON CONFLICT (queue, grp) DO UPDATE SET ready_at = excluded.ready_at, head = excluded.head",
            (*key, ready_at, id_),
        )
        if ready_at <= cx.now:
            cx.wake(queue.arn)
        else:
            arm(cx, queue.arn, ready_at)


def bury(cx: Context, queue: Queue, dead_letter: Queue, message: Message) -> None:
    """Move a message that was received too often to the dead-letter queue; the caller regroups the source.

    It keeps its MessageId; in a standard queue also the time from which its retention counts. In a FIFO queue its id
    becomes its deduplication id (docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/
    setting-up-dead-letter-queue-retention.html, sqs-configure-dead-letter-queue-redrive.html).
    """
    id_ = cx.names.id()
    sent_at, dedup = (cx.now, uuid_of(message.message)) if dead_letter.fifo else (message.sent_at, None)
    cx.tx.write(
        "UPDATE sqs_message SET id = ?, queue = ?, visible_at = ?, sent_at = ?, receives = 0,"
        " earlier = earlier + receives, received = NULL, dedup = ?, origin = ? WHERE id = ?",
        (id_, dead_letter.id, cx.now, sent_at, dedup, queue.arn, message.id),
    )
    if dead_letter.fifo and message.group is not None:
        cx.tx.write(
            "INSERT INTO sqs_group (queue, grp, ready_at, head) VALUES (?,?,?,?) ON CONFLICT DO NOTHING",
            (dead_letter.id, message.group, cx.now, id_),
        )
    hop(cx, message, "sqs:redrive", queue, dead_letter.arn)
    cx.wake(dead_letter.arn)


def hop(cx: Context, message: Message, kind: str, queue: Queue, target: str, *, run: int | None = None) -> int:
    """Record in the journal where a message went from a queue; the id of that hop."""
    started = message.received if message.received is not None else cx.now
    delivery = Delivery(
        cx.names.id(), message.event, queue.account, queue.region, kind, queue.arn, target, DELIVERED, cx.now, None,
        message.receives, at=message.sent_at, started=started, ended=cx.now, run=run, outcome={},
    )  # fmt: skip
    journal.insert(cx.tx, delivery)
    return delivery.id


# --- looking


def available(cx: Context, queue: Queue) -> bool:
    """Whether a message can be received now."""
    if queue.fifo:
        row = cx.one("SELECT 1 FROM sqs_group WHERE queue = ? AND ready_at <= ? LIMIT 1", (queue.id, cx.now))
        return row is not None
    cutoff = cx.now - queue.retention
    row = cx.one(
        "SELECT 1 FROM sqs_message WHERE queue = ? AND visible_at > ? AND visible_at <= ? AND sent_at > ? LIMIT 1",
        (queue.id, cutoff, cx.now, cutoff),
    )
    return row is not None


def next_available(cx: Context, queue: Queue) -> int | None:
    """Platform ms at which the next hidden message becomes visible, or None."""
    if queue.fifo:
        row = cx.one("SELECT min(ready_at) FROM sqs_group WHERE queue = ? AND ready_at > ?", (queue.id, cx.now))
    else:
        row = cx.one("SELECT min(visible_at) FROM sqs_message WHERE queue = ? AND visible_at > ?", (queue.id, cx.now))
    return row[0] if row else None


@dataclass(slots=True)
class Counts:
    """How many messages a queue has: to be received now, held by receivers, delayed."""

    visible: int
    held: int
    delayed: int


def counts(reader: Reader, queue_id: int, retention: int, now: int) -> Counts:
    """Count a queue's messages exactly; every one is looked at (in the index only)."""
    row = reader.one(
        "SELECT count(*) FILTER (WHERE visible_at <= ?), count(*) FILTER (WHERE visible_at > ? AND receives > 0),"
        " count(*) FILTER (WHERE visible_at > ? AND receives = 0)"
        " FROM sqs_message WHERE queue = ? AND visible_at > ? AND sent_at > ?",
        (now, now, now, queue_id, now - retention, now - retention),
    )
    return Counts(*row) if row else Counts(0, 0, 0)


def few(reader: Reader, queue_id: int, bound: int) -> bool:
    """Whether a queue has fewer messages than ``bound``, so that they can be counted inside a transaction."""
    row = reader.one("SELECT count(*) FROM (SELECT 1 FROM sqs_message WHERE queue = ? LIMIT ?)", (queue_id, bound))
    return row is None or row[0] < bound


def peek(cx: Context, queue: Queue, limit: int) -> list[Message]:
    """Messages of a queue that did not expire: those visible now as they would be received, then the hidden ones."""
    cutoff = cx.now - queue.retention
    order = "m.id" if queue.fifo else "m.visible_at, m.sent_at, m.receives, m.id"
    rows = cx.all(
        f"{_MESSAGES} WHERE m.queue = ? AND m.visible_at > ? AND m.visible_at <= ? AND m.sent_at > ?"
        f" ORDER BY {order} LIMIT ?",
        (queue.id, cutoff, cx.now, cutoff, limit),
    )
    rows += cx.all(
        f"{_MESSAGES} WHERE m.queue = ? AND m.visible_at > ? AND m.sent_at > ? ORDER BY m.visible_at, m.id LIMIT ?",
        (queue.id, cx.now, cutoff, limit - len(rows)),
    )
    return [Message(*row) for row in rows]


def expire(cx: Context, queue: Queue) -> int:
    """Remove one slice of the messages that are past their retention; how many."""
    rows = cx.tx.returning(
        "DELETE FROM sqs_message WHERE id IN (SELECT id FROM sqs_message WHERE queue = ? AND visible_at <= ? LIMIT ?)"
        " RETURNING grp",
        (queue.id, cx.now - queue.retention, EXPIRED_SLICE),
    )
    if queue.fifo:
        regroup(cx, queue, {row[0] for row in rows if row[0] is not None})
    return len(rows)


def drain(cx: Context, queue_id: int) -> int:
    """Remove one slice of what a deleted or purged queue had; how many messages."""
    gone = cx.write(
        "DELETE FROM sqs_message WHERE id IN (SELECT id FROM sqs_message WHERE queue = ? LIMIT ?)",
        (queue_id, EXPIRED_SLICE),
    )
    if gone < EXPIRED_SLICE:
        for table in ("sqs_group", "sqs_dedup", "sqs_attempt", "sqs_emptied"):
            cx.write(f"DELETE FROM {table} WHERE queue = ?", (queue_id,))
        cx.after(partial(cx.memory.taken.pop, queue_id, None))
    return gone


def payload_text(message: Message) -> str:
    """The body as text; bytes that are no UTF-8 are replaced."""
    return (message.body or b"").decode("utf-8", "replace")


def system_attributes(message: Message) -> dict[str, Any]:
    """Every system attribute of a received message, by AWS's name."""
    told = {
        "SenderId": message.sender,
        "SentTimestamp": str(message.sent_at),
        "ApproximateReceiveCount": str(message.receives + message.earlier),
        "ApproximateFirstReceiveTimestamp": str(message.first_received or 0),
    }
    if message.trace is not None:
        told["AWSTraceHeader"] = message.trace
    group = message.group if message.group is not None else message.tenant
    if group is not None:
        told["MessageGroupId"] = group
    if message.group is not None:
        told["SequenceNumber"] = sequence_number(message.id)
    if message.dedup is not None:
        told["MessageDeduplicationId"] = message.dedup
    if message.origin is not None:
        told["DeadLetterQueueSourceArn"] = message.origin
    return told
