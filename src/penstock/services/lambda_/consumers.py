"""Mappings at work: each enabled one is a consumer of the pump, made anew from its row whenever that changes."""

from __future__ import annotations

import orjson

from penstock.base.errors import Throttled, Undeliverable
from penstock.base.names import uuid_of
from penstock.engine.access import root
from penstock.engine.compute import Invocation
from penstock.engine.context import Call, Context, Parts, WaitingContext
from penstock.engine.pattern.filters import compile_filters, explain_filters
from penstock.engine.pump import Consumer, Handled
from penstock.engine.source import Claimed
from penstock.services.lambda_ import records
from penstock.services.lambda_.errors import InvalidRuntime, ResourceNotFound, TooManyRequests
from penstock.services.lambda_.invocations import error_of, execute, run_facts
from penstock.services.lambda_.mapping_rules import PARTIAL, MappingRow, mapping_of
from penstock.services.lambda_.rules import POLLERS_AT_MOST, MalformedResponse, Reference, batch_failures

MAPPING = "lambda:mapping"  # the kind of the hops that a mapping makes

_COLUMNS = "uuid, account, region, source, function, enabled, settings, tags, modified"
_ROW = f"SELECT {_COLUMNS} FROM lambda_mapping WHERE uuid = ?"
_EVERY = "SELECT uuid FROM lambda_mapping ORDER BY uuid"
_OF_FUNCTION = "SELECT uuid FROM lambda_mapping WHERE account = ? AND region = ? AND function = ?"


def start(parts: Parts) -> None:
    """Take up every enabled mapping after a start."""
    ticket = parts.work.begin("lambda mappings start", "")

    async def take_up() -> None:
        try:
            for (uuid,) in await parts.store.transact(lambda tx: tx.all(_EVERY)):
                await _switch(parts, uuid)
        finally:
            parts.work.end(ticket)

    parts.spawn(take_up(), "lambda mappings")


def reconcile(cx: Context, reference: Reference) -> None:
    """A function has come, gone or changed: its mappings follow, once that is durable."""
    for (uuid,) in cx.all(_OF_FUNCTION, (reference.account, reference.region, reference.name)):
        follow(cx, uuid)


def follow(cx: Context, uuid: str) -> None:
    """A mapping's row has changed: its consumer follows, once that is durable."""
    parts, account = cx.parts, cx.account

    def effect() -> None:
        ticket = parts.work.begin(f"mapping {uuid} changes", account)

        async def change() -> None:
            try:
                await _switch(parts, uuid)
            finally:
                parts.work.end(ticket)

        parts.spawn(change(), f"lambda mapping {uuid}")

    cx.after(effect)


async def _switch(parts: Parts, uuid: str) -> None:
    """Stop a mapping's consumer, then start one as the row says now. What the old one has taken it finishes."""
    parts.pump.stop(uuid)
    row = await parts.store.transact(lambda tx: tx.one(_ROW, (uuid,)))
    if row is None:
        return
    mapping = mapping_of(row)
    call = Call("lambda", "Mapping", {}, mapping.account, mapping.region, root(mapping.account), parts.names.uuid())
    cx = WaitingContext(parts, call)
    exists = await cx.transact(lambda inner: records.find(inner, mapping.account, mapping.region, mapping.function))
    if mapping.enabled and exists is not None:
        parts.pump.start(consumer_of(cx, mapping))


def consumer_of(cx: WaitingContext, mapping: MappingRow) -> Consumer:
    """The pump's consumer that a mapping is."""
    settings = mapping.settings
    criteria = settings.get("FilterCriteria")
    window = settings.get("MaximumBatchingWindowInSeconds") or 0
    scaling = settings.get("ScalingConfig") or {}
    batches = Batches(cx, mapping)
    return Consumer(
        id=mapping.uuid, kind=MAPPING, source=mapping.source, target=mapping.function_arn, account=mapping.account,
        region=mapping.region, batch_size=settings["BatchSize"], handle=batches.handle,
        accepts=compile_filters(criteria) if criteria else None, why=explain_filters(criteria) if criteria else None,
        window_ms=window * 1000, max_concurrency=scaling.get("MaximumConcurrency") or POLLERS_AT_MOST,
    )  # fmt: skip


class Batches:
    """Hands one mapping's batches to its function."""

    def __init__(self, cx: WaitingContext, mapping: MappingRow) -> None:
        self._cx = cx
        self._reference = Reference(mapping.account, mapping.region, mapping.function, None)
        self._partial = PARTIAL in (mapping.settings.get("FunctionResponseTypes") or ())

    async def handle(self, batch: list[Claimed], run: int) -> Handled:
        """Run the function on a batch; which records failed, by message id.

        A throttled batch fails as a whole: its messages are visible again when their visibility timeout ends.
        """
        ids = frozenset(record.id for record in batch)
        try:
            loaded = await records.load(self._cx, self._reference)
            payload = orjson.dumps({"Records": [record.record for record in batch]})
            result = await execute(self._cx, loaded, Invocation(run, uuid_of(run), payload, loaded.row.arn))
        except ResourceNotFound as error:
            raise Undeliverable(error.message, code=str(error.code)) from error
        except (TooManyRequests, InvalidRuntime) as error:
            raise Throttled(error.message, code=str(error.code)) from error
        known = run_facts(result)
        if result.function_error:
            code, message = error_of(result)
            return Handled(ids, code, message, known)
        if not self._partial:
            return Handled(detail=known)
        try:
            failed = batch_failures(result.payload, ids)
        except MalformedResponse as error:
            return Handled(ids, "MalformedBatchResponse", f"the whole batch counts as failed: {error}", known)
        code = "BatchItemFailure" if failed else ""
        return Handled(frozenset(failed), code, "the function reported it as failed", known)


def no_backoff(attempts: int) -> int:
    """A mapping's hops are never retried by the relay: the queue hands the message out again."""
    return 0
