"""What happens without being asked for: what expired, was purged, deleted or forgotten is removed in small slices.

None of it can be seen from outside: an expired message is never given out nor counted, whether its row is still there
or not. So it follows the machine's time, and no moved clock waits for it.
"""

from __future__ import annotations

from typing import Final

from penstock.base.names import DEFAULT_ACCOUNT, DEFAULT_REGION
from penstock.engine.access import root
from penstock.engine.context import Call, Context, Parts
from penstock.services.sqs.catalog import ROW, Queue
from penstock.services.sqs.rules import DELETED_MS, EXPIRED_SLICE
from penstock.services.sqs.storage import drain, expire
from penstock.store.store import Transaction

KEY: Final = "sqs:housekeeping"  # woken when a queue was deleted or purged
INTERVAL_MS: Final = 60_000  # machine ms between two rounds
_QUEUES: Final = f"{ROW} WHERE id > ? ORDER BY id LIMIT 1"
_FORGET: Final = (
    "DELETE FROM sqs_dedup WHERE (queue, scope, dedup) IN"
    " (SELECT queue, scope, dedup FROM sqs_dedup WHERE expires <= ? LIMIT ?)",
    "DELETE FROM sqs_attempt WHERE (queue, attempt) IN"
    " (SELECT queue, attempt FROM sqs_attempt WHERE expires <= ? LIMIT ?)",
)


async def keep_house(parts: Parts) -> None:
    """Go round for ever; a slice is one short transaction."""
    while True:
        await _empty(parts)
        await _expire(parts)
        await _forget(parts)
        await parts.wakes.wait(KEY, INTERVAL_MS)


def _context(parts: Parts, tx: Transaction) -> Context:
    call = Call("sqs", "KeepHouse", {}, DEFAULT_ACCOUNT, DEFAULT_REGION, root(DEFAULT_ACCOUNT), "")
    return Context(parts, tx, call)


async def _empty(parts: Parts) -> None:
    def slice_(tx: Transaction) -> bool:
        row = tx.one("SELECT queue FROM sqs_emptied LIMIT 1")
        if row is not None:
            drain(_context(parts, tx), row[0])
        return row is not None

    while await parts.store.transact(slice_):
        pass


async def _expire(parts: Parts) -> None:
    def slice_(tx: Transaction, after: int) -> int | None:
        row = tx.one(_QUEUES, (after,))
        if row is None:
            return None
        full = expire(_context(parts, tx), Queue(row)) >= EXPIRED_SLICE
        return after if full else int(row[0])

    position: int | None = 0
    while position is not None:
        at = position
        position = await parts.store.transact(lambda tx: slice_(tx, at))  # noqa: B023


async def _forget(parts: Parts) -> None:
    def slice_(tx: Transaction) -> bool:
        now = parts.clock.now()
        gone = [tx.write(sql, (now, EXPIRED_SLICE)) for sql in _FORGET]
        tx.write("DELETE FROM sqs_deleted WHERE at <= ?", (now - DELETED_MS,))
        return max(gone) >= EXPIRED_SLICE

    while await parts.store.transact(slice_):
        pass
