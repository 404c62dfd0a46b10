"""How a delivery reaches a function.

An event that waits for the function (``lambda:async``) runs it. Every other kind of delivery, a rule's or a
destination's, is accepted into the function's own durable queue, in the transaction that makes it, as AWS's services
invoke functions asynchronously.
"""

from __future__ import annotations

from typing import Any

from penstock.base.errors import RefusedForNow, Throttled, Undeliverable
from penstock.engine.compute import Invocation
from penstock.engine.context import Context, Parts, WaitingContext
from penstock.engine.journal import Delivery
from penstock.services.lambda_ import admission, asynchronous, records
from penstock.services.lambda_.asynchronous import ASYNC
from penstock.services.lambda_.errors import InvalidRuntime, ResourceNotFound, TooManyRequests
from penstock.services.lambda_.invocations import error_of, execute, facts, run_facts
from penstock.services.lambda_.rules import ASYNC_PAYLOAD_BYTES, event_too_large, traced


class FunctionTarget:
    """Runs functions for what waits in their queues."""

    runs = frozenset({ASYNC})

    def accept(self, cx: Context, delivery: Delivery, payload: bytes) -> None:
        """Take a delivery of another service into the function's queue; its outcome is the function's."""
        row = records.get(cx, records.reference_of_arn(delivery.target))
        if len(payload) > ASYNC_PAYLOAD_BYTES:
            raise Undeliverable(event_too_large(len(payload)), code="RequestEntityTooLargeException")
        asynchronous.enqueue(
            cx, row, event=delivery.event, source=delivery.source, payload=delivery.payload,
            trace_header=delivery.detail.get("AWSTraceHeader", ""),
        )  # fmt: skip

    async def attempt(self, cx: WaitingContext, delivery: Delivery, payload: bytes) -> dict[str, Any]:
        """Run the function once. Its error is a failed attempt; a throttle or a missing runtime does not count."""
        reference = records.reference_of_arn(delivery.target)
        run = delivery.run or cx.names.id()
        try:
            loaded = await records.load(cx, reference)
            request_id = delivery.detail["request_id"]
            trace_header = traced(delivery.detail.get("trace_header", ""), request_id, run, delivery.at)
            invocation = Invocation(run, request_id, payload, loaded.row.arn, trace_header)
            result = await execute(cx, loaded, invocation)
        except ResourceNotFound as error:
            raise Undeliverable(error.message, code=str(error.code)) from error
        except (TooManyRequests, InvalidRuntime) as error:
            raise Throttled(error.message, code=str(error.code)) from error
        if result.function_error:
            code, message = error_of(result)
            raise RefusedForNow(message, code=code, result=result.payload, detail=run_facts(result))
        return {"result": result.payload, **facts(result)}

    def free(self, parts: Parts, arn: str) -> int:
        """How many more invocations the function's concurrency allows; 1 where it was not loaded since the start."""
        reference = records.reference_of_arn(arn)
        memory = records.memory_of(parts)
        loaded = memory.functions.get((reference.account, reference.region, reference.name))
        return 1 if loaded is None else admission.left_for_events(memory, loaded, parts.clock.now())
