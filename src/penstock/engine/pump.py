"""The pump: takes batches from queue sources for their consumers, as soon as there is something to take.

A consumer is woken by the source (no polling interval), claims in one transaction (which counts the receive and
records one hop per record), hands the batch on once that is durable, and settles it. Each consumer has its own
batches and its own limit, so that a slow one blocks nobody else.

Scaling follows Lambda's documented pollers: a consumer starts with 5 concurrent batches and gets 5 more a second
(300 a minute) while every one of them finds work, up to its maximum; when it runs dry it starts over.
(docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html)

A batch that is throttled waits and is tried again for as long as its lease outlasts the run, with fewer batches beside
it: what runs past its lease would be in two hands.
(docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html, "Backoff strategy for failed invocations")
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from penstock.base.clock import Timer
from penstock.base.errors import DeliveryError, StoreError, StoreFull, Throttled
from penstock.base.names import Arn
from penstock.engine import journal
from penstock.engine.context import Call, Context, Parts
from penstock.engine.journal import DELIVERED, FAILED, FILTERED, RUNNING, Delivery, Outcome
from penstock.engine.registry import Registry
from penstock.engine.source import Claimed, QueueSource
from penstock.store.store import Transaction

INITIAL_CONCURRENCY = 5  # batches at once
CONCURRENCY_STEP = 5  # more batches at once
CONCURRENCY_STEP_MS = 1000  # machine ms between two steps
MAXIMUM_CONCURRENCY = 1250  # batches at once of one consumer
THROTTLED_MS = 500  # platform ms until a batch that was throttled once is tried again; doubles. AWS tells no figure
LONGEST_THROTTLED_MS = 16_000  # platform ms between two tries of a throttled batch at most

_NO_ROOM_S = 1.0  # machine seconds until a change that the store had no room for is tried again
_logger = logging.getLogger("penstock.pump")


@dataclass(slots=True)
class Handled:
    """How a batch ended: the ids (``Claimed.id``) that failed, and for the journal why and what is known of the run."""

    failed: frozenset[str] = frozenset()
    code: str = ""
    message: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Consumer:
    """Somebody who takes batches from a source.

    ``window_ms`` is how long, in platform time, a batch waits to fill up; ``max_bytes`` bounds its records' sizes;
    ``lease_ms`` None takes the source's own. ``accepts(record)`` is the filter: what it turns down is removed, and
    ``why(record)`` tells the journal the reason.
    ``handle(records, run)`` runs the batch; a DeliveryError fails all of it, Throttled not before its lease ends.
    """

    id: str
    kind: str
    source: str
    target: str
    account: str
    region: str
    batch_size: int
    handle: Callable[[list[Claimed], int], Awaitable[Handled]]
    accepts: Callable[[dict[str, Any]], bool] | None = None
    why: Callable[[dict[str, Any]], str] | None = None
    window_ms: int = 0
    max_bytes: int = 6 * 1024 * 1024
    max_concurrency: int = MAXIMUM_CONCURRENCY
    lease_ms: int | None = None


@dataclass(slots=True, eq=False)
class _Batch:
    """Records on their way: ``deliveries`` are their hops, in the same order.

    ``ends`` is when its window does, in platform ms. ``throttled`` counts tries in vain, ``refused`` is how the last of
    them ended.
    """

    run: int
    records: list[Claimed] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    bytes: int = 0
    ends: int | None = None
    throttled: int = 0
    refused: Throttled | None = None

    def lasts(self, begin: int, error: Throttled) -> bool:
        """Whether its leases outlast a run that begins then."""
        end = begin + max(error.run_ms, 1)
        return all(end <= record.until for record in self.records)

    def retry_at(self, now: int, error: Throttled) -> int | None:
        """When it is tried again after it was throttled; None when its leases do not last for that."""
        due = now + min(THROTTLED_MS << min(self.throttled, 10), LONGEST_THROTTLED_MS)
        return due if self.lasts(due, error) else None


@dataclass(slots=True)
class _Taken:
    """What a claim gave: ``later`` is when something can be taken, in platform ms, ``ends`` when the window does."""

    records: list[Claimed]
    deliveries: list[Delivery]
    found: bool
    later: int | None
    ends: int


class _Line:
    """One consumer at work."""

    def __init__(self, pump: Pump, consumer: Consumer, source: QueueSource) -> None:
        self.pump, self.consumer, self.source = pump, consumer, source
        self.batches: set[asyncio.Task[None]] = set()
        self.throttled: dict[int, tuple[_Batch, Timer]] = {}  # run → a batch that waits for its next try
        self.concurrency = INITIAL_CONCURRENCY
        self.grown_at = 0.0
        self.dirty = True  # something may be there to take
        self.claiming = False
        self.held: _Batch | None = None  # fills up until its window ends
        self.window: Timer | None = None
        self.timer: Timer | None = None
        self.stopped = False
        self.unlisten = pump.parts.wakes.listen(consumer.source, self.wake)
        arn = Arn.parse(consumer.source)
        request_id = pump.parts.names.uuid()
        self.call = Call.own(arn.service, "Consume", arn.account, arn.region, request_id=request_id)

    def wake(self) -> None:
        """There may be something to take."""
        self.dirty = True
        if not self.claiming and self.could_take():
            self.claiming = True
            asyncio.get_running_loop().call_soon(self._claim)

    def _room(self) -> int:
        return min(self.concurrency, self.consumer.max_concurrency) - len(self.batches) - len(self.throttled)

    def could_take(self) -> bool:
        """Whether it is about to take something: one whose batches all wait out a throttle does not, until then."""
        return self.dirty and not self.stopped and self._room() > 0

    def _claim(self) -> None:
        if self.stopped:
            self.claiming = False
            return
        self.dirty = False
        batch = self.held or _Batch(self.pump.parts.names.id())
        # A full disk must not stop consumers: what they have handled is deleted.
        self.pump.parts.store.submit(
            lambda tx: self._take(tx, batch), lambda r, e: self._taken(batch, r, e), frees=True
        )

    def _take(self, tx: Transaction, batch: _Batch) -> _Taken:
        if tx.lean:
            raise StoreFull("the disk is full: consumers take nothing more until something has been deleted")
        consumer, cx = self.consumer, Context(self.pump.parts, tx, self.call)
        claimed = self.source.claim(
            cx, consumer.source, limit=consumer.batch_size - len(batch.records), lease_ms=consumer.lease_ms,
            max_bytes=consumer.max_bytes - batch.bytes,
        )  # fmt: skip
        wanted = [consumer.accepts is None or consumer.accepts(record.record) for record in claimed]
        records = [record for record, accepted in zip(claimed, wanted, strict=True) if accepted]
        ends = cx.now + consumer.window_ms if batch.ends is None else batch.ends
        size = batch.bytes + sum(record.size for record in records)
        fills = consumer.window_ms > 0 and not self._is_full(len(batch.records) + len(records), size)
        deliveries: list[Delivery] = []
        turned_down: list[Claimed] = []
        for record, accepted in zip(claimed, wanted, strict=True):
            delivery = Delivery(
                id=cx.names.id(), event=record.event, account=consumer.account, region=consumer.region,
                kind=consumer.kind, source=consumer.source, target=consumer.target, at=cx.now,
                started=None if accepted and fills else cx.now,
                state=RUNNING if accepted else FILTERED, ended=None if accepted else cx.now, attempts=1,
                due=ends if accepted and fills else cx.now, run=batch.run if accepted else None,
                detail={"consumer": consumer.id},
                outcome=None if accepted or consumer.why is None else {"message": consumer.why(record.record)},
            )  # fmt: skip
            journal.insert(tx, delivery)
            if accepted:
                deliveries.append(delivery)
            else:
                turned_down.append(record)
        if turned_down:
            self.source.settle(cx, consumer.source, done=turned_down, failed=())
        later = None if claimed else self.source.next_available(cx, consumer.source)
        return _Taken(records, deliveries, bool(claimed), later, ends)

    def _is_full(self, records: int, size: int) -> bool:
        return records >= self.consumer.batch_size or size >= self.consumer.max_bytes

    def _taken(self, batch: _Batch, result: Any, error: BaseException | None) -> None:
        self.claiming = False
        if error is not None:
            _logger.warning("taking from %s failed: %s", self.consumer.source, error)
            asyncio.get_running_loop().call_later(_NO_ROOM_S, self.wake)
            return
        taken: _Taken = result
        batch.records += taken.records
        batch.deliveries += taken.deliveries
        batch.bytes += sum(record.size for record in taken.records)
        if batch.records:
            batch.ends = taken.ends
            self._run_or_hold(batch)
        if taken.found or self.dirty:  # or something came while this was being taken, which it cannot have seen
            self.wake()
        elif taken.later is not None:
            self._arm(taken.later)
        if not taken.found and not self.batches and not self.throttled:
            self.concurrency = INITIAL_CONCURRENCY

    def _run_or_hold(self, batch: _Batch) -> None:
        if self.consumer.window_ms == 0 or self._is_full(len(batch.records), batch.bytes) or self.stopped:
            self._run(batch)
        elif self.held is None:
            assert batch.ends is not None
            self.held = batch
            self.window = self.pump.parts.clock.call_at(batch.ends, self._window_ended)

    def _window_ended(self) -> None:
        if self.held is not None:
            self._run(self.held)

    def _run(self, batch: _Batch) -> None:
        if self.held is batch:
            self.held = None
            if self.window is not None:
                self.window.cancel()
        task = asyncio.get_running_loop().create_task(self._handle(batch))
        self.batches.add(task)
        task.add_done_callback(self._handled)
        self._grow()

    def _begin(self, batch: _Batch) -> None:
        """Note for whoever looks that what waited runs now; how it ends says so too, should there be no room for it."""
        waited = [delivery for delivery in batch.deliveries if delivery.started is None]
        now = self.pump.parts.clock.now()
        for delivery in waited:
            delivery.started = now
        if waited:
            with suppress(StoreError):
                self.pump.parts.store.submit(lambda tx: journal.begin_batch(tx, batch.run, now))

    def _grow(self) -> None:
        now = self.pump.parts.machine.monotonic_ms()
        if len(self.batches) >= self.concurrency and now - self.grown_at >= CONCURRENCY_STEP_MS:
            self.grown_at = now
            self.concurrency = min(self.concurrency + CONCURRENCY_STEP, MAXIMUM_CONCURRENCY)

    async def _handle(self, batch: _Batch) -> None:
        self._begin(batch)
        try:
            if batch.refused is not None and not batch.lasts(self.pump.parts.clock.now(), batch.refused):
                raise batch.refused  # stopped, or woken late
            handled = await self.consumer.handle(batch.records, batch.run)
        except Throttled as error:
            if await self._back_off(batch, error):
                return
            handled = Handled(frozenset(record.id for record in batch.records), error.code, error.message)
        except DeliveryError as error:
            handled = Handled(frozenset(record.id for record in batch.records), error.code, error.message)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            _logger.exception("the consumer of %s failed unexpectedly", self.consumer.source)
            failed = frozenset(record.id for record in batch.records)
            handled = Handled(failed, "InternalFailure", f"{type(error).__name__}: {error}")
        await self._write(lambda tx: self._settle(tx, batch, handled))

    async def _write(self, change: Callable[[Transaction], None]) -> None:
        while True:
            try:
                return await self.pump.parts.store.transact(change, frees=True)
            except StoreError:
                await asyncio.sleep(_NO_ROOM_S)  # what was handled must not come back for want of room on the disk

    async def _back_off(self, batch: _Batch, error: Throttled) -> bool:
        """Let a throttled batch wait for its next try; False when its lease does not last until then."""
        clock = self.pump.parts.clock
        due = batch.retry_at(clock.now(), error)
        if due is None or self.stopped:
            return False
        batch.throttled += 1
        batch.refused = error
        self.concurrency = max(1, self.concurrency // 2)
        self.grown_at = self.pump.parts.machine.monotonic_ms()
        await self._write(lambda tx: _note_throttle(tx, batch, clock.now(), error, due))
        if self.stopped:
            return False
        for delivery in batch.deliveries:
            delivery.started = None
        self.throttled[batch.run] = batch, clock.call_at(due, lambda: self._try_again(batch))
        return True

    def _try_again(self, batch: _Batch) -> None:
        if self.throttled.pop(batch.run, None) is not None:
            self._run(batch)

    def _settle(self, tx: Transaction, batch: _Batch, handled: Handled) -> None:
        cx = Context(self.pump.parts, tx, self.call)
        done = [record for record in batch.records if record.id not in handled.failed]
        failed = [record for record in batch.records if record.id in handled.failed]
        self.source.settle(cx, self.consumer.source, done=done, failed=failed)
        for record, delivery in zip(batch.records, batch.deliveries, strict=True):
            if record.id in handled.failed:
                journal.failed_attempt(
                    tx, delivery, ended=cx.now, code=handled.code, message=handled.message, run=batch.run
                )
                outcome = Outcome(FAILED, handled.code, handled.message, run=batch.run, detail=handled.detail)
            else:
                outcome = Outcome(DELIVERED, run=batch.run, detail=handled.detail)
            journal.end(tx, delivery, outcome, cx.now)

    def _handled(self, task: asyncio.Task[None]) -> None:
        self.batches.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _logger.error("settling a batch of %s failed", self.consumer.source, exc_info=task.exception())
        if not self.stopped:
            self.wake()

    def _arm(self, due: int) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.timer = self.pump.parts.clock.call_at(due, self.wake)

    def stop(self) -> None:
        """Take nothing more; what was taken is handed on and settled."""
        self._stop_taking()
        if self.held is not None:
            self._run(self.held)
        for batch, timer in list(self.throttled.values()):
            timer.cancel()
            self._try_again(batch)

    def cancel(self) -> None:
        """End at once. What runs is taken up at the next start, unless its rows are deleted."""
        self._stop_taking()
        for task in self.batches:
            task.cancel()
        for _, timer in self.throttled.values():
            timer.cancel()
        self.throttled.clear()

    def _stop_taking(self) -> None:
        self.stopped = True
        self.unlisten()
        for timer in (self.timer, self.window):
            if timer is not None:
                timer.cancel()


def _note_throttle(tx: Transaction, batch: _Batch, now: int, error: Throttled, due: int) -> None:
    """The batch waits until ``due``.

    One row stands for all throttled tries of a delivery: a lease of 12 hours has room for thousands.
    """
    for delivery in batch.deliveries:
        if batch.throttled == 1:
            journal.failed_attempt(tx, delivery, ended=now, code=error.code, message=error.message, counted=False)
        else:
            journal.throttled_again(
                tx, delivery, ended=now, code=error.code, message=f"{error.message} ({batch.throttled} times)"
            )
    journal.hold_batch(tx, batch.run, due)


class Pump:
    """All consumers of this platform's sources."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self.parts: Parts
        self._lines: dict[str, _Line] = {}
        self._stopped: list[_Line] = []  # those that still finish what they have taken

    def start(self, consumer: Consumer) -> None:
        """Let a consumer take from its source from now on, in place of an earlier one of the same id."""
        service = self._registry.of_arn(consumer.source)
        if service is None or service.source is None:
            raise ValueError(f"nothing can be taken from {consumer.source}")
        self.stop(consumer.id)
        line = self._lines[consumer.id] = _Line(self, consumer, service.source)
        line.wake()

    def stop(self, id_: str) -> None:
        """Let a consumer take nothing more; what it has taken it finishes."""
        line = self._lines.pop(id_, None)
        if line is not None:
            line.stop()
            self._stopped = [*(line for line in self._stopped if line.batches), line]

    def running(self, id_: str) -> int:
        """How many batches of a consumer are under way."""
        return sum(len(line.batches) for line in self._all() if line.consumer.id == id_)

    def _all(self) -> list[_Line]:
        return [*self._lines.values(), *self._stopped]

    def consumers(self, source: str) -> list[Consumer]:
        """Who takes from this source."""
        return [line.consumer for line in self._lines.values() if line.consumer.source == source]

    def busy(self, account: str | None) -> list[str]:
        """What is being taken or handled now, a phrase each."""
        return [
            f"{len(line.batches) or 'a'} batch(es) from {line.consumer.source} for {line.consumer.target}"
            for line in self._all()
            if (line.batches or line.claiming or line.could_take()) and account in (None, line.consumer.account)
        ]

    def cancel(self, account: str | None) -> None:
        """End every consumer of an account at once."""
        for line in self._all():
            if account in (None, line.consumer.account):
                self._lines.pop(line.consumer.id, None)
                line.cancel()

    async def close(self) -> None:
        """End every consumer at once."""
        tasks = [task for line in self._all() for task in line.batches]
        self.cancel(None)
        await asyncio.gather(*tasks, return_exceptions=True)
