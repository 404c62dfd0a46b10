"""The relay: carries out the deliveries that wait, in order of (due, id) per target, fairly over targets.

Rows are the truth. In memory it keeps, per target, when the earliest waiting row is due (a hint: ``agenda.py``), and
what runs. A turn is one transaction: it lets store targets accept, and marks what runs user code as running, its
attempt counted, before the attempt begins. An ordering key blocks only itself.

A target that runs code is read no faster than it says it takes attempts, and one that throttles pauses, as Lambda
reads a function's queue (docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html). One that takes
none is asked again when an attempt of its ends, when another delivery comes, and after a second, since others share
its room.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from penstock.base.clock import Timer
from penstock.base.errors import DeliveryError, StoreError, StoreFull, Throttled, Undeliverable
from penstock.base.limits import RELAY_RUNNING, RELAY_RUNNING_PER_TARGET, RELAY_SLICE
from penstock.engine import journal
from penstock.engine.agenda import Agenda
from penstock.engine.context import Call, Parts, WaitingContext
from penstock.engine.delivery import CUT_OFF_CODE, FAULT_CODE, Deliveries, Fault, refusal
from penstock.engine.journal import DELIVERED, FAILED, RUNNING, SELECT_DELIVERY, Delivery, Outcome, delivery_of
from penstock.engine.registry import Registry
from penstock.engine.resetting import Voided, remove_deliveries
from penstock.engine.source import is_code_target, is_store_target
from penstock.store.store import Transaction

_TARGETS = """
WITH RECURSIVE waiting (target) AS (
    SELECT min(target) FROM delivery WHERE state = 0
    UNION ALL
    SELECT (SELECT min(target) FROM delivery WHERE state = 0 AND target > waiting.target)
    FROM waiting WHERE waiting.target IS NOT NULL
)
SELECT target, (SELECT min(due) FROM delivery WHERE state = 0 AND target = waiting.target)
FROM waiting WHERE target IS NOT NULL
"""
_READY = f"""{SELECT_DELIVERY} AS d WHERE state = 0 AND target = ? AND due <= ? AND (order_key IS NULL OR NOT EXISTS (
    SELECT 1 FROM delivery AS e
    WHERE e.target = d.target AND e.order_key = d.order_key AND e.id < d.id AND e.state < 2
)) ORDER BY due, id LIMIT ?"""
_NEXT = "SELECT min(due) FROM delivery WHERE state = 0 AND target = ? AND due > ?"
_START = "UPDATE delivery SET state = 1, attempts = ?, started = ?, run = ? WHERE id = ?"
_CUT_OFF = f"{SELECT_DELIVERY} WHERE state = 1 ORDER BY id"

_NO_ROOM_S = 1.0  # machine seconds until a change that the store had no room for is tried again
_logger = logging.getLogger("penstock.relay")

THROTTLED_MS = 1000  # platform ms until a target that throttled is tried again, unless something it runs ends

Started = list[tuple[Delivery, bytes]]


class Relay:
    """Carries out deliveries; ``hint`` says that one waits, ``busy`` what is due or running now."""

    def __init__(self, registry: Registry, deliveries: Deliveries) -> None:
        self._registry = registry
        self._deliveries = deliveries
        self._parts: Parts
        self._agenda = Agenda()
        self._hinted: dict[str, int] = {}  # target → due, of hints given during a turn, which that turn cannot know of
        self._blocked: set[str] = set()  # have due rows behind what runs: looked at again when that ends
        self._running: dict[int, Delivery] = {}
        self._per_target: dict[str, int] = {}
        self._throttled: dict[str, int] = {}  # target → platform ms until which it pauses
        self._tasks: set[asyncio.Task[None]] = set()
        self._turning = False
        self._scheduled = False
        self._closed = False
        self._timer: Timer | None = None

    def hint(self, target: str, due: int) -> None:
        """A delivery to this target waits until ``due``."""
        self._plan(target, min(due, self._agenda.due.get(target, due)))
        if self._turning:
            self._hinted[target] = min(due, self._hinted.get(target, due))
        self._wake()

    async def start(self, parts: Parts) -> None:
        """Take up what an earlier server left: what waited, and what it was running when it ended."""
        self._parts = parts
        await parts.store.transact(self._recover, frees=True)
        await parts.store.transact(self.reread)

    def _recover(self, tx: Transaction) -> None:
        """What ran when the server ended is made again: nobody knows how far it had come."""
        void = Voided(tx)
        for row in tx.all(_CUT_OFF):
            delivery = delivery_of(row)
            if void.has(delivery):
                remove_deliveries(tx, [delivery.id])
                continue
            service = self._registry.of_arn(delivery.source)
            now = self._parts.clock.now()
            if service is not None and service.source is not None:
                # A batch taken from a source: the lease was the old server's, so the record is free again.
                cx = self._deliveries.context(self._parts, tx, delivery, delivery.source)
                service.source.release(cx, delivery.source, [delivery.event])
                journal.end(tx, delivery, Outcome(FAILED, CUT_OFF_CODE, "the server ended meanwhile"), now)
            else:
                self._guard(tx, delivery, self._cut_off)

    def _cut_off(self, tx: Transaction, delivery: Delivery) -> None:
        self._deliveries.cut_off(self._parts, tx, delivery, self._parts.clock.now())

    def _guard(self, tx: Transaction, delivery: Delivery, step: Callable[[Transaction, Delivery], None]) -> None:
        """One step of one delivery. A mistake in it stops this delivery alone, which waits, and not for ever."""
        try:
            tx.attempt(lambda tx: step(tx, delivery))
        except StoreError:
            raise
        except Exception as error:
            now = self._parts.clock.now()
            fault = self._deliveries.fault(tx, delivery, error, now)
            self._deliveries.postpone(tx, delivery, fault, now)

    def reread(self, tx: Transaction) -> None:
        """In the transaction of a reset: from when it is durable on, what its rows say is due and nothing else."""
        due: dict[str, int] = {target: moment for target, moment in tx.all(_TARGETS)}  # noqa: C416 (rows of two)

        def effect() -> None:
            self._agenda.replace(due)
            self._wake()

        tx.after(effect)

    # --- turns

    def _wake(self) -> None:
        if not self._scheduled and not self._turning and not self._closed:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _plan(self, target: str, due: int) -> None:
        self._agenda.put(target, due, self._throttled.get(target, 0))

    def _ready(self, now: int) -> list[str]:
        """The targets to read now. Those that run code are let in one by one, as long as there is room for any."""
        ready = []
        for target in self._agenda.take(now):
            if is_code_target(self._deliveries.target(target)):
                self._agenda.stand(target)
            else:
                ready.append(target)
        room = RELAY_RUNNING - len(self._running)
        while room > 0 and (first := self._agenda.first()) is not None:
            if self._room(first, now) > 0:
                ready.append(first)
                room -= 1
            else:
                self._agenda.look(first, max(self._throttled.get(first, 0), now + THROTTLED_MS))
        return ready

    def _room(self, target: str, now: int) -> int:
        """How many attempts may begin at a target now. One that takes none and runs none is asked by an attempt."""
        if self._throttled.get(target, 0) > now:
            return 0
        running = self._per_target.get(target, 0)
        room, taker = RELAY_RUNNING_PER_TARGET - running, self._deliveries.target(target)
        if is_code_target(taker):
            room = min(room, max(taker.free(self._parts, target), 0 if running else 1))
        return room

    def _turn(self) -> None:
        self._scheduled = False
        if self._closed:
            return
        now = self._parts.clock.now()
        targets = self._ready(now)
        if not targets:
            self._arm()
            return
        self._turning = True
        self._parts.store.submit(lambda tx: self._take(tx, targets), partial(self._taken, targets))

    def _take(self, tx: Transaction, targets: Iterable[str]) -> tuple[Started, dict[str, int | None], set[str]]:
        now = self._parts.clock.now()
        started: Started = []
        next_due: dict[str, int | None] = {}
        blocked: set[str] = set()
        void = Voided(tx)
        for target in targets:
            room = max(1, self._room(target, now))  # there was some; none read would look like none due
            taker = self._deliveries.target(target)
            rows = tx.all(_READY, (target, now, min(RELAY_SLICE, room)))
            for row in rows:
                delivery = delivery_of(row)
                if void.has(delivery):
                    remove_deliveries(tx, [delivery.id])
                    continue
                over = delivery.expires is not None and now >= delivery.expires
                if over or taker is None or is_store_target(taker, delivery.kind):
                    self._guard(tx, delivery, self._settle)
                elif len(started) + len(self._running) < RELAY_RUNNING:
                    started.append((self._begin(tx, delivery, now), journal.payload_of(tx, delivery)))
            if not rows:
                blocked.add(target)
            # Whoever is due but waits behind another's ordering key is looked at when that one moves.
            later = tx.one(_NEXT, (target, -1 if rows else now))
            next_due[target] = later[0] if later else None
        return started, next_due, blocked

    def _settle(self, tx: Transaction, delivery: Delivery) -> None:
        """What needs no attempt of its own: it is too old, nobody takes it, or its target only writes to the store."""
        parts, now = self._parts, self._parts.clock.now()
        taker = self._deliveries.target(delivery.target)
        if delivery.expires is not None and now >= delivery.expires:
            self._deliveries.expire(parts, tx, delivery, now)
        elif is_store_target(taker, delivery.kind):
            self._deliveries.accept(parts, tx, taker, delivery, now)
        else:
            error = Undeliverable(f"nothing on this platform takes deliveries to {delivery.target}")
            self._deliveries.failed(parts, tx, delivery, error, now)

    def _begin(self, tx: Transaction, delivery: Delivery, now: int) -> Delivery:
        delivery.state, delivery.started, delivery.run = RUNNING, now, self._parts.names.id()
        delivery.attempts += 1
        tx.write(_START, (delivery.attempts, now, delivery.run, delivery.id))
        return delivery

    def _taken(self, targets: list[str], result: Any, error: BaseException | None) -> None:
        self._turning = False
        if self._closed:
            return
        if error is not None:  # look again later, or when something else happens
            for target in targets:
                self._plan(target, self._agenda.due.get(target, 0))
            if not isinstance(error, StoreFull):
                _logger.error("a turn of the relay failed", exc_info=error)
            asyncio.get_running_loop().call_later(_NO_ROOM_S, self._wake)
            return
        started, next_due, blocked = result
        hinted, self._hinted = self._hinted, {}
        for target, due in next_due.items():
            earliest = min((moment for moment in (due, hinted.get(target)) if moment is not None), default=None)
            if earliest is None:
                self._agenda.drop(target)
                self._throttled.pop(target, None)
            else:
                self._plan(target, earliest)
        self._blocked |= blocked
        for delivery, payload in started:
            self._running[delivery.id] = delivery
            self._per_target[delivery.target] = self._per_target.get(delivery.target, 0) + 1
            task = asyncio.get_running_loop().create_task(self._attempt(delivery, payload))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._wake()

    def _arm(self) -> None:
        """Be woken when the next target is to be looked at."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        moment = self._agenda.next()
        if moment is not None:
            self._timer = self._parts.clock.call_at(moment, self._wake)

    # --- attempts

    async def _attempt(self, delivery: Delivery, payload: bytes) -> None:
        target: Any = self._deliveries.target(delivery.target)
        service = self._registry.of_arn(delivery.target)
        name = service.name if service is not None else ""
        request_id = self._parts.names.uuid()
        call = Call.own(name, "Attempt", delivery.account, delivery.region, request_id=request_id)
        result: dict[str, Any] = {}
        failure: DeliveryError | None = None
        try:
            result = await target.attempt(WaitingContext(self._parts, call), delivery, payload)
        except DeliveryError as error:
            failure = error
        except asyncio.CancelledError:
            raise
        except Exception as error:
            failure = refusal(error)
        self._write_down(delivery, result, failure)

    def _write_down(self, delivery: Delivery, result: dict[str, Any], failure: DeliveryError | None) -> None:
        """Keep how an attempt ended; where the disk has no room for it, as soon as there is some.

        Where our own code fails over that, it is tried again a few times; the attempt is not made again for it.
        """

        def work(tx: Transaction) -> Fault | None:
            try:
                tx.attempt(lambda tx: self._end(tx, delivery, result, failure))
            except StoreError:
                raise
            except Exception as error:
                fault = self._deliveries.fault(tx, delivery, error, self._parts.clock.now())
                if fault.last:
                    state = DELIVERED if failure is None else FAILED
                    outcome = Outcome(state, FAULT_CODE, fault.message, run=delivery.run)
                    journal.end(tx, delivery, outcome, self._parts.clock.now())
                return fault
            return None

        def done(fault: Fault | None, error: BaseException | None) -> None:
            loop = asyncio.get_running_loop()
            if error is not None:
                if not isinstance(error, StoreFull):
                    _logger.error("the end of delivery %d was not written down", delivery.id, exc_info=error)
                loop.call_later(_NO_ROOM_S, self._write_down, delivery, result, failure)
            elif fault is not None and not fault.last:
                loop.call_later(fault.wait_ms / 1000, self._write_down, delivery, result, failure)
            else:
                self._ended(delivery, throttled=isinstance(failure, Throttled))

        if not self._closed:
            self._parts.store.submit(work, done, frees=True)

    def _end(self, tx: Transaction, delivery: Delivery, result: dict[str, Any], failure: DeliveryError | None) -> None:
        row = tx.one(f"{SELECT_DELIVERY} WHERE id = ?", (delivery.id,))
        if row is None or row[7] != RUNNING:
            return  # a reset has deleted it meanwhile
        current = delivery_of(row)
        if Voided(tx).has(current):
            return  # or voided it
        now = self._parts.clock.now()
        if failure is not None:
            self._deliveries.failed(self._parts, tx, current, failure, now)
            return
        detail = {key: value for key, value in result.items() if key != "result"}
        outcome = Outcome(DELIVERED, result=result.get("result"), run=current.run, detail=detail)
        self._deliveries.end(self._parts, tx, current, outcome, now)

    def _ended(self, delivery: Delivery, *, throttled: bool) -> None:
        self._running.pop(delivery.id, None)
        left = self._per_target.get(delivery.target, 1) - 1
        if left:
            self._per_target[delivery.target] = left
        else:
            self._per_target.pop(delivery.target, None)
        if throttled:
            self._throttled[delivery.target] = self._parts.clock.now() + THROTTLED_MS
        else:
            self._throttled.pop(delivery.target, None)
        due = self._agenda.due.get(delivery.target)
        if delivery.target in self._blocked:
            self._blocked.discard(delivery.target)
            due = 0
        if due is not None:
            self._plan(delivery.target, due)
        self._wake()

    # --- quiet

    def busy(self, account: str | None) -> list[str]:
        """What is due now or running, a phrase each."""
        now = self._parts.clock.now()
        phrases = ["the relay looks for what is due"] if self._scheduled or self._turning else []
        phrases += [
            f"delivery {delivery.id} to {delivery.target} runs (attempt {delivery.attempts})"
            for delivery in self._running.values()
            if account is None or delivery.account == account
        ]
        phrases += [
            f"deliveries to {target} are due"
            for target, due in self._agenda.due.items()
            if max(due, self._throttled.get(target, 0)) <= now and (account is None or f":{account}:" in target)
        ]
        return phrases

    async def close(self) -> None:
        """Stop; what runs is cancelled and made again at the next start."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
