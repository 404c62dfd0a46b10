"""Bounding the journal: by age and by size, in small slices, never what a service still refers to.

What may go is looked for by a reading connection, beside the event loop; only the deletion of a slice runs on it. Ids
and platform time rise together, so the oldest events are those with the smallest ids.
"""

from __future__ import annotations

from collections.abc import Sequence

from penstock.base.limits import JOURNAL_BYTES, PRUNE_SLICE_ROWS
from penstock.store.store import Reader, Transaction

_NEXT = "SELECT id, at FROM event WHERE id > ? ORDER BY id LIMIT ?"
_SETTLED = "NOT EXISTS (SELECT 1 FROM delivery WHERE delivery.event = event.id AND delivery.state < 2)"
_SIZE = "SELECT coalesce(sum(length(payload)), 0) FROM event"
_QUARTER = "SELECT at FROM event ORDER BY id LIMIT 1 OFFSET (SELECT count(*) / 4 FROM event)"

ALWAYS = 1 << 62  # a moment after every event


def prunable(reader: Reader, before: int, after: int, holds: Sequence[str]) -> tuple[list[int], int | None]:
    """One slice of events older than ``before`` (platform ms), past the id ``after``, that nothing needs any more.

    ``holds`` are queries for event ids that services still refer to: "SELECT event FROM sqs_message". Returns the ids
    that may go, and the id to go on after; None when there are no older ones.
    """
    slice_ = [id_ for id_, at in reader.all(_NEXT, (after, PRUNE_SLICE_ROWS)) if at < before]
    if not slice_:
        return [], None
    held = "".join(f" AND id NOT IN ({query})" for query in holds)
    rows = reader.all(f"SELECT id FROM event WHERE id > ? AND id <= ? AND {_SETTLED}{held}", (after, slice_[-1]))
    return [row[0] for row in rows], slice_[-1]


def oversize(reader: Reader) -> int | None:
    """The moment before which events have to go since payloads take too much room; None when they do not."""
    size = reader.one(_SIZE)
    if size is None or size[0] <= JOURNAL_BYTES:
        return None
    quarter = reader.one(_QUARTER)
    return int(quarter[0]) if quarter else None


def delete_events(tx: Transaction, ids: Sequence[int]) -> None:
    """Delete these events with their hops, except one for which something waits again meanwhile."""
    parameters = [(id_,) for id_ in ids if tx.one(f"SELECT 1 FROM event WHERE id = ? AND {_SETTLED}", (id_,))]
    if parameters:
        tx.write_many("DELETE FROM attempt WHERE delivery IN (SELECT id FROM delivery WHERE event = ?)", parameters)
        tx.write_many("DELETE FROM delivery WHERE event = ?", parameters)
        tx.write_many("DELETE FROM event WHERE id = ?", parameters)
