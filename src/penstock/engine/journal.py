"""The journal: events, and one delivery row per hop. Tables and columns are explained in journal.sql."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from penstock.store.store import Reader, Row, Transaction

WAITING: Final = 0
RUNNING: Final = 1
DELIVERED: Final = 2
FAILED: Final = 3
EXPIRED: Final = 4
FILTERED: Final = 5
STATES: Final = ("waiting", "running", "delivered", "failed", "expired", "filtered")

INSERT_EVENT: Final = (
    "INSERT INTO event (id, account, region, kind, source, at, caller, payload, cause) VALUES (?,?,?,?,?,?,?,?,?)"
)
INSERT_FROM_OUTSIDE: Final = INSERT_EVENT.replace(", cause", "").removesuffix(",?)") + ")"  # nearly every one
_COLUMNS: Final = (
    "id, event, account, region, kind, source, target, state, due, order_key, attempts, max_attempts, expires, "
    "dead_letter, reply_to, as_role, payload, detail, at, started, ended, run, outcome"
)
_USUAL: Final = (
    "id, event, account, region, kind, source, target, state, due, attempts, max_attempts, expires, detail, at, "
    "started, ended, outcome"
)
_SELDOM: Final = "order_key, dead_letter, reply_to, as_role, payload, run"
_NONE_OF_SELDOM: Final = (None,) * 6
_INSERT_USUAL: Final = f"INSERT INTO delivery ({_USUAL}) VALUES ({','.join('?' * 17)})"
_INSERT_WHOLE: Final = f"INSERT INTO delivery ({_USUAL}, {_SELDOM}) VALUES ({','.join('?' * 23)})"
SELECT_DELIVERY: Final = f"SELECT {_COLUMNS} FROM delivery"


@dataclass(slots=True)
class Outcome:
    """How a delivery ended: ``state`` DELIVERED, FAILED, EXPIRED or FILTERED.

    ``result`` is the target's answer (a function's payload), ``detail`` what a kind's ``ended`` needs of the last
    attempt: for a function ``FunctionError``, ``StatusCode``.
    """

    state: int
    code: str = ""
    message: str = ""
    result: bytes | None = None
    run: int | None = None
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Delivery:
    """One hop of one event. ``payload`` is None where the event's own payload goes on unchanged.

    One that is RUNNING and has not ``started`` is of a batch that waits until ``due`` to be run.
    """

    id: int
    event: int
    account: str
    region: str
    kind: str
    source: str
    target: str
    state: int = WAITING
    due: int = 0
    order_key: str | None = None
    attempts: int = 0
    max_attempts: int | None = None
    expires: int | None = None
    dead_letter: str | None = None
    reply_to: int | None = None
    as_role: str | None = None
    payload: bytes | None = None
    detail: dict[str, Any] = field(default_factory=dict)
    at: int = 0
    started: int | None = None
    ended: int | None = None
    run: int | None = None
    outcome: dict[str, Any] | None = None
    known: bytes | None = None  # the event's payload, where the emitter has it at hand: not a column


def insert(tx: Transaction, d: Delivery) -> None:
    """Record a hop; not one that is over already, when the disk has no room for that (``Transaction.lean``)."""
    if tx.lean and d.state >= DELIVERED:
        return
    usual = (
        d.id, d.event, d.account, d.region, d.kind, d.source, d.target, d.state, d.due, d.attempts, d.max_attempts,
        d.expires, orjson.dumps(d.detail).decode() if d.detail else None, d.at, d.started, d.ended,
        orjson.dumps(d.outcome).decode() if d.outcome else None,
    )  # fmt: skip
    seldom = d.order_key, d.dead_letter, d.reply_to, d.as_role, d.payload, d.run
    if seldom == _NONE_OF_SELDOM:  # sqlite3 takes longer for each NULL than for any other value
        tx.write(_INSERT_USUAL, usual)
    else:
        tx.write(_INSERT_WHOLE, usual + seldom)


def delivery_of(row: Row) -> Delivery:
    """A row of SELECT_DELIVERY as a Delivery."""
    d = Delivery(*row)
    d.detail = orjson.loads(row[17]) if row[17] else {}
    d.outcome = orjson.loads(row[22]) if row[22] else None
    return d


def payload_of(tx: Transaction, d: Delivery) -> bytes:
    """What the target gets: the delivery's own payload, else the event's."""
    if d.payload is not None:
        return d.payload
    if d.known is not None:
        return d.known
    row = tx.one("SELECT payload FROM event WHERE id = ?", (d.event,))
    return row[0] if row and row[0] is not None else b""


def end(tx: Transaction, d: Delivery, outcome: Outcome, now: int) -> None:
    """Write the outcome of a hop."""
    d.state, d.ended, d.run = outcome.state, now, outcome.run if outcome.run is not None else d.run
    d.outcome = {"code": outcome.code, "message": outcome.message} if outcome.code or outcome.message else {}
    if outcome.detail:
        d.outcome |= outcome.detail
    tx.write(
        "UPDATE delivery SET state = ?, attempts = ?, started = ?, ended = ?, run = ?, outcome = ? WHERE id = ?",
        (d.state, d.attempts, d.started, now, d.run, orjson.dumps(d.outcome).decode() if d.outcome else None, d.id),
    )


def hold_batch(tx: Transaction, run: int, due: int) -> None:
    """Let a batch's hops be seen to wait until ``due``: they have no beginning until then."""
    tx.write("UPDATE delivery SET started = NULL, due = ? WHERE run = ? AND state = 1", (due, run))


def begin_batch(tx: Transaction, run: int, now: int) -> None:
    """Let a batch's hops that waited be seen to run."""
    tx.write("UPDATE delivery SET started = ? WHERE run = ? AND state = 1 AND started IS NULL", (now, run))


def note_fault(tx: Transaction, d: Delivery, message: str, now: int) -> None:
    """Count that our own code failed over a hop, and keep what was last."""
    last = {"at": now, "delivery": d.id, "kind": d.kind, "message": message[:2000]}
    tx.write(
        "INSERT INTO platform_value VALUES ('faults', json_object('count', 1, 'last', json(?1))) ON CONFLICT (name) DO"
        " UPDATE SET value = json_object('count', json_extract(value, '$.count') + 1, 'last', json(?1))",
        (orjson.dumps(last).decode(),),
    )


def faults_of(reader: Reader) -> dict[str, Any]:
    """What ``note_fault`` has kept: ``count``, and of the ``last`` one its moment, delivery, kind and message."""
    row = reader.one("SELECT value FROM platform_value WHERE name = 'faults'")
    return orjson.loads(row[0]) if row else {}


def failed_attempt(
    tx: Transaction, d: Delivery, *, ended: int, code: str, message: str, run: int | None = None, counted: bool = True
) -> None:
    """Keep one failed attempt."""
    tx.write(
        "INSERT INTO attempt (delivery, started, ended, counted, run, code, message) VALUES (?,?,?,?,?,?,?)",
        (d.id, d.started if d.started is not None else ended, ended, int(counted), run, code, message[:2000]),
    )


def throttled_again(tx: Transaction, d: Delivery, *, ended: int, code: str, message: str) -> None:
    """Have the row of a delivery's throttled attempt, which did not count, stand for one more."""
    tx.write(
        "UPDATE attempt SET ended = ?, code = ?, message = ? WHERE delivery = ? AND counted = 0",
        (ended, code, message[:2000], d.id),
    )
