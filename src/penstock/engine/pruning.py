"""Bounding the journal: by age and by size, in small slices, never what a service still refers to."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.base.limits import JOURNAL_AGE_MS, JOURNAL_BYTES, PRUNE_SLICE_ROWS
from penstock.store.store import Transaction

_OLD = """
SELECT id FROM event WHERE at < ?
    AND NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.event = event.id AND delivery.state < 2)
    {held}
ORDER BY id LIMIT ?
"""
_SIZE = "SELECT coalesce(sum(length(payload)), 0) FROM event"
_MIDDLE = "SELECT at FROM event ORDER BY id LIMIT 1 OFFSET (SELECT count(*) / 4 FROM event)"

_ALWAYS = 1 << 62  # a moment after every event


def prune(tx: Transaction, now: int, holds: Sequence[str]) -> int:
    """Delete one slice of what is too old, and return how many events went.

    ``holds`` are queries for event ids that services still refer to: "SELECT event FROM sqs_message".
    """
    held = "".join(f" AND id NOT IN ({query})" for query in holds)
    ids = [row[0] for row in tx.all(_OLD.format(held=held), (now - JOURNAL_AGE_MS, PRUNE_SLICE_ROWS))]
    return _delete(tx, ids)


def prune_oversize(tx: Transaction, holds: Sequence[str]) -> int:
    """Delete one slice of the oldest quarter when payloads take too much room; how many events went."""
    size = tx.one(_SIZE)
    if size is None or size[0] <= JOURNAL_BYTES:
        return 0
    middle = tx.one(_MIDDLE)
    held = "".join(f" AND id NOT IN ({query})" for query in holds)
    before = middle[0] if middle else 0
    return _delete(tx, [row[0] for row in tx.all(_OLD.format(held=held), (before, PRUNE_SLICE_ROWS))])


def prune_for_room(tx: Transaction, holds: Sequence[str]) -> int:
    """Delete one slice of the oldest, however young: the disk is full, and deletes are all that helps."""
    held = "".join(f" AND id NOT IN ({query})" for query in holds)
    return _delete(tx, [row[0] for row in tx.all(_OLD.format(held=held), (_ALWAYS, PRUNE_SLICE_ROWS))])


def _delete(tx: Transaction, ids: list[int]) -> int:
    parameters = [(id_,) for id_ in ids]
    if ids:
        tx.write_many("DELETE FROM attempt WHERE delivery IN (SELECT id FROM delivery WHERE event = ?)", parameters)
        tx.write_many("DELETE FROM delivery WHERE event = ?", parameters)
        tx.write_many("DELETE FROM event WHERE id = ?", parameters)
    return len(ids)


def delete_account(tx: Transaction, account: str | None) -> None:
    """Delete an account's part of the journal (None: all of it), whatever state it is in."""
    if account is None:
        for table in ("attempt", "delivery", "event", "token"):
            tx.write(f"DELETE FROM {table}")
        return
    events = "SELECT id FROM event WHERE account = ?"
    tx.write(
        f"DELETE FROM attempt WHERE delivery IN (SELECT id FROM delivery WHERE event IN ({events}))", (account,)
    )
    tx.write(f"DELETE FROM delivery WHERE event IN ({events})", (account,))
    tx.write("DELETE FROM token WHERE account = ?", (account,))
    tx.write("DELETE FROM event WHERE account = ?", (account,))
