"""Mappings at work: each enabled one is a consumer of the pump, made anew from its row whenever that changes."""

from __future__ import annotations

from functools import partial
from typing import Final

import orjson

from penstock.base.errors import Throttled, Undeliverable
from penstock.base.names import uuid_of
from penstock.engine.compute import Invocation
from penstock.engine.context import Call, Context, Parts, WaitingContext
from penstock.engine.pattern.filters import compile_filters, explain_filters
from penstock.engine.pump import MAXIMUM_CONCURRENCY, Consumer, Handled
from penstock.engine.source import Claimed
from penstock.services.lambda_ import admission, records
from penstock.services.lambda_.errors import InvalidRuntime, ResourceNotFound, TooManyRequests
from penstock.services.lambda_.invocations import error_of, execute, run_facts
from penstock.services.lambda_.mapping_rules import FIND, PARTIAL, MappingRow, mapping_of
from penstock.services.lambda_.rules import MalformedResponse, Reference, batch_failures, traced

MAPPING: Final = "lambda:mapping"  # the kind of the hops that a mapping makes

_EVERY: Final = "SELECT uuid FROM lambda_mapping ORDER BY uuid"
_OF_FUNCTION: Final = "SELECT uuid FROM lambda_mapping WHERE account = ? AND region = ? AND function = ?"


def start(parts: Parts) -> None:
    """Take up every enabled mapping after a start, one by one."""
    ticket = parts.work.begin("lambda mappings start", "")
    cx = WaitingContext(parts, Call.own(records.NAME, "TakeUp"))

    async def take_up() -> None:
        try:
            for (uuid,) in await cx.transact(lambda inner: inner.all(_EVERY)):
                await cx.transact(partial(follow, uuid=uuid))
        finally:
            parts.work.end(ticket)

    parts.spawn(take_up(), "lambda mappings")


def reconcile(cx: Context, reference: Reference) -> None:
    """A function has come or gone: its mappings follow."""
    for (uuid,) in cx.all(_OF_FUNCTION, (reference.account, reference.region, reference.name)):
        follow(cx, uuid)


def follow(cx: Context, uuid: str) -> None:
    """A mapping or its function has changed: once that is durable its consumer is what the rows say here.

    Read in the transaction that changed them and done in the order of commits, so that the last change counts. What
    the consumer has taken before, it finishes.
    """
    consumer, pump = _wanted(cx, uuid), cx.parts.pump
    cx.after(lambda: pump.stop(uuid) if consumer is None else pump.start(consumer))


def _wanted(cx: Context, uuid: str) -> Consumer | None:
    """The consumer that a mapping should have now: none when it is gone or disabled, or its function is not there."""
    row = cx.one(FIND, (uuid,))
    mapping = mapping_of(row) if row is not None else None
    if mapping is None or not mapping.enabled:
        return None
    if records.find(cx, mapping.account, mapping.region, mapping.function) is None:
        return None
    return consumer_of(cx.parts, mapping)


def consumer_of(parts: Parts, mapping: MappingRow) -> Consumer:
    """The pump's consumer that a mapping is."""
    settings = mapping.settings
    criteria = settings.get("FilterCriteria")
    scaling = settings.get("ScalingConfig") or {}
    call = Call.own(records.NAME, "Mapping", mapping.account, mapping.region, request_id=parts.names.uuid())
    return Consumer(
        id=mapping.uuid, kind=MAPPING, source=mapping.source, target=mapping.function_arn, account=mapping.account,
        region=mapping.region, batch_size=settings["BatchSize"],
        handle=Batches(WaitingContext(parts, call), mapping).handle,
        accepts=compile_filters(criteria) if criteria else None, why=explain_filters(criteria) if criteria else None,
        window_ms=settings["MaximumBatchingWindowInSeconds"] * 1000,
        max_concurrency=scaling.get("MaximumConcurrency") or MAXIMUM_CONCURRENCY,
    )  # fmt: skip


class Batches:
    """Hands one mapping's batches to its function."""

    def __init__(self, cx: WaitingContext, mapping: MappingRow) -> None:
        self._cx = cx
        self._reference = Reference(mapping.account, mapping.region, mapping.function, None)
        self._partial = PARTIAL in (mapping.settings.get("FunctionResponseTypes") or ())

    async def handle(self, batch: list[Claimed], run: int) -> Handled:
        """Run the function on a batch; which records failed, by message id.

        A throttled batch is tried again by the pump while the visibility timeout of its messages outlasts a run.
        """
        ids = frozenset(record.id for record in batch)
        try:
            loaded = await records.load(self._cx, self._reference)
            payload = orjson.dumps({"Records": [record.record for record in batch]})
            trace_header = traced("", uuid_of(run), run, self._cx.now)
            invocation = Invocation(run, uuid_of(run), payload, loaded.row.arn, trace_header)
            admit = partial(admission.admit_batch, run=run, now=self._cx.now)
            result = await execute(self._cx, loaded, invocation, admit=admit)
        except ResourceNotFound as error:
            raise Undeliverable(error.message, code=str(error.code)) from error
        except (TooManyRequests, InvalidRuntime) as error:
            raise Throttled(error.message, code=str(error.code), run_ms=loaded.function.timeout_ms) from error
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
