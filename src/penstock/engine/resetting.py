"""Deleting an account's part of the journal: void at once, gone in slices, so that nobody else waits for it.

What is void is told to nobody and carried out no more (``live_event``, ``live_delivery``, ``Voided``). Where there is
little, its events go in the transaction of the reset itself. A crash in between leaves the rows of ``journal_void``:
the next server goes on with them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from penstock.base.limits import RESET_AT_ONCE, RESET_SLICE_ROWS
from penstock.engine.journal import Delivery
from penstock.store.store import Reader, Transaction

_EVENTS: Final = "SELECT count(*) FROM (SELECT 1 FROM event WHERE {} LIMIT ?2)"
_DELIVERIES: Final = (
    "SELECT count(*) FROM"
    " (SELECT 1 FROM event CROSS JOIN delivery ON delivery.event = event.id WHERE {} LIMIT ?2)"
)
_HOPS: Final = "SELECT id FROM delivery WHERE event IN ({}) LIMIT ?"
_OF_ALL: Final = "SELECT id FROM event WHERE id <= ? ORDER BY id LIMIT ?"
_OF_ACCOUNT: Final = "SELECT id FROM event WHERE account = ? AND id <= ? ORDER BY id LIMIT ?"
_VOID: Final = (
    "INSERT INTO journal_void (account, upto) VALUES (?, ?) ON CONFLICT (account) DO UPDATE SET upto = excluded.upto"
)
_LEFT: Final = "SELECT id FROM delivery WHERE id > ? AND id <= ? AND (?3 = '' OR account = ?3) ORDER BY id LIMIT ?4"


class Voided:
    """Whose deliveries are void, as one transaction sees it."""

    def __init__(self, reader: Reader) -> None:
        self._upto: dict[str, int] = {account: upto for account, upto in reader.all("SELECT * FROM journal_void")}  # noqa: C416

    def has(self, delivery: Delivery) -> bool:
        """Whether this one is void."""
        upto = self._upto
        return bool(upto) and delivery.id <= max(upto.get("", 0), upto.get(delivery.account, 0))


def void_account(tx: Transaction, account: str | None, upto: int) -> None:
    """Void an account's part of the journal up to this id (None: everybody's); delete it now where that is quick.

    What stays void in any case are its deliveries of other accounts' events, which no index finds (``left_over``).
    """
    owner = account or ""
    tx.write("DELETE FROM token WHERE ?1 = '' OR account = ?1", (owner,))
    whose = "event.account = ?1" if owner else "?1 = ''"
    counts = [tx.all(sql.format(whose), (owner, RESET_AT_ONCE))[0][0] for sql in (_EVENTS, _DELIVERIES)]
    little = max(counts) < RESET_AT_ONCE
    while little and remove_slice(tx, owner, upto):
        pass
    if owner or not little:
        tx.write(_VOID, (owner, upto))


def void_accounts(reader: Reader) -> list[tuple[str, int]]:
    """What is still to be removed: whose, up to which id."""
    return [(account, upto) for account, upto in reader.all("SELECT account, upto FROM journal_void")]


def remove_slice(tx: Transaction, owner: str, upto: int) -> bool:
    """Delete some of what is void; whether there was any left."""
    rows = tx.all(_OF_ACCOUNT, (owner, upto, RESET_SLICE_ROWS)) if owner else tx.all(_OF_ALL, (upto, RESET_SLICE_ROWS))
    events = [row[0] for row in rows]
    hops = tx.all(_HOPS.format(",".join("?" * len(events))), (*events, RESET_SLICE_ROWS))
    remove_deliveries(tx, [row[0] for row in hops])
    if len(hops) < RESET_SLICE_ROWS:
        tx.write_many("DELETE FROM event WHERE id = ?", rows)
    return bool(events)


def left_over(reader: Reader, owner: str, upto: int, after: int) -> list[int]:
    """Void deliveries of events that are somebody else's, past this id: looked for when all events are gone."""
    return [row[0] for row in reader.all(_LEFT, (after, upto, owner, RESET_SLICE_ROWS))]


def remove_deliveries(tx: Transaction, ids: Sequence[int]) -> None:
    """Delete these hops."""
    if ids:
        parameters = [(id_,) for id_ in ids]
        tx.write_many("DELETE FROM attempt WHERE delivery = ?", parameters)
        tx.write_many("DELETE FROM delivery WHERE id = ?", parameters)


def removed(tx: Transaction, owner: str, upto: int) -> None:
    """All that was void up to this id is gone."""
    tx.write("DELETE FROM journal_void WHERE account = ? AND upto = ?", (owner, upto))
