"""What happens without being asked for: what expired, was purged, deleted or forgotten is removed in small slices.

None of it can be seen from outside: an expired message is never given out nor counted, whether its row is still there
or not. So it follows the machine's time, and no moved clock waits for it.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from penstock.engine.context import Call, Context, Parts
from penstock.services.sqs.catalog import ROW, Queue
from penstock.services.sqs.rules import DELETED_MS, EXPIRED_SLICE
from penstock.services.sqs.storage import drain, expire
from penstock.store.store import Transaction

KEY: Final = "sqs:housekeeping"  # woken when a queue was deleted or purged
INTERVAL_MS: Final = 60_000  # machine ms between two rounds
QUEUES_AT_ONCE: Final = 100  # queues that one transaction looks at
_QUEUES: Final = f"{ROW} WHERE id > ? ORDER BY id LIMIT ?"
_EXPIRED: Final = "SELECT 1 FROM sqs_message WHERE queue = ? AND visible_at <= ? LIMIT 1"
_FORGET: Final = (
    "DELETE FROM sqs_dedup WHERE (queue, scope, dedup) IN"
    " (SELECT queue, scope, dedup FROM sqs_dedup WHERE expires <= ? LIMIT ?)",
    "DELETE FROM sqs_attempt WHERE (queue, attempt) IN"
    " (SELECT queue, attempt FROM sqs_attempt WHERE expires <= ? LIMIT ?)",
)
_FORGOTTEN: Final = """
SELECT 1 WHERE EXISTS (SELECT 1 FROM sqs_dedup WHERE expires <= ?1)
    OR EXISTS (SELECT 1 FROM sqs_attempt WHERE expires <= ?1) OR EXISTS (SELECT 1 FROM sqs_deleted WHERE at <= ?2)
"""


async def keep_house(parts: Parts) -> None:
    """Go round for ever."""
    while True:
        await go_round(parts)
        await parts.wakes.wait(KEY, INTERVAL_MS)


async def go_round(parts: Parts) -> None:
    """Remove everything that is no longer needed, a slice in each transaction; writes nothing when there is nothing."""
    while await parts.store.transact(lambda tx: _empty(_context(parts, tx))):
        pass
    position: int | None = 0
    while position is not None:
        position = await parts.store.transact(partial(_expire, parts, position))
    while await parts.store.transact(lambda tx: _forget(_context(parts, tx))):
        pass


def _context(parts: Parts, tx: Transaction) -> Context:
    return Context(parts, tx, Call.own("sqs", "KeepHouse"))


def _empty(cx: Context) -> bool:
    row = cx.one("SELECT queue FROM sqs_emptied LIMIT 1")
    if row is not None:
        drain(cx, row[0])
    return row is not None


def _expire(parts: Parts, after: int, tx: Transaction) -> int | None:
    """Look at some queues, and remove a slice of the first that has something expired; where to go on, or None."""
    cx = _context(parts, tx)
    rows = cx.all(_QUEUES, (after, QUEUES_AT_ONCE))
    for row in rows:
        queue = Queue(row)
        if cx.one(_EXPIRED, (queue.id, cx.now - queue.retention)) is not None:
            return after if expire(cx, queue) >= EXPIRED_SLICE else queue.id
        after = queue.id
    return after if len(rows) == QUEUES_AT_ONCE else None


def _forget(cx: Context) -> bool:
    if cx.one(_FORGOTTEN, (cx.now, cx.now - DELETED_MS)) is None:
        return False
    for sql in _FORGET:
        cx.write(sql, (cx.now, EXPIRED_SLICE))
    cx.write("DELETE FROM sqs_deleted WHERE at <= ?", (cx.now - DELETED_MS,))
    return True
