"""From a decoded call to its answer: runs a ``def`` operation inline, an ``async def`` one as a task."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from penstock.base.errors import ApiError, StoreError, StoreFull, Unsupported
from penstock.engine.context import Call, Context, Parts, WaitingContext
from penstock.engine.model import load
from penstock.engine.operation import Operation
from penstock.engine.registry import Registry
from penstock.store.store import Transaction

Answer = Callable[[dict[str, Any] | None, BaseException | None], None]
_logger = logging.getLogger("penstock.operations")


class Dispatch(Protocol):
    """What ``wire`` needs: start a call, be told its answer once that may leave the process."""

    def start(self, call: Call, done: Answer) -> None:
        """Start a validated call; ``done(response, error)`` once the answer is durable. On the event loop only."""

    def refusal(self, service: str, operation: str) -> ApiError | None:
        """The error that an operation which is not offered answers with, whatever is in the request."""


class Dispatcher:
    """Starts calls from the wire, and carries out those that services make of each other.

    Whatever an operation raises that is not an ApiError is our fault: it is logged with the request id and answered
    as InternalFailure.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._offered: dict[str, Mapping[str, Operation]] = {}
        self.parts: Parts
        self.admitted = 0  # ``def`` operations whose answer is not out yet
        self._tasks: set[asyncio.Task[None]] = set()

    def refusal(self, service: str, operation: str) -> ApiError | None:
        """See ``Dispatch.refusal``."""
        if operation in self._registry.service(service).operations:
            return None
        return Unsupported(
            f"{operation} of {service} is not supported by this version of Penstock: docs/coverage/{service}.md lists"
            " the operations that are"
        )

    def start(self, call: Call, done: Answer) -> None:
        """See ``Dispatch.start``."""
        try:
            operation = self._operation(call)
        except ApiError as error:
            done(None, error)
            return
        first = operation.first
        if operation.waits and first is None:
            self._start_waiting(operation, call, done)
            return
        self.admitted += 1
        parts, function = self.parts, first or operation.function

        def work(tx: Transaction) -> Any:
            return function(Context(parts, tx, call), call.request)

        def answer(result: Any, error: BaseException | None) -> None:
            self.admitted -= 1
            if result is None and error is None and first is not None:
                self._start_waiting(operation, call, done)
                return
            done(result, error if error is None or isinstance(error, ApiError) else self._api_error(call, error))

        parts.store.submit(work, answer, frees=operation.frees)

    def _start_waiting(self, operation: Operation, call: Call, done: Answer) -> None:
        task = asyncio.get_running_loop().create_task(self._wait(operation, call, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wait(self, operation: Operation, call: Call, done: Answer) -> None:
        work = self.parts.work
        cx = WaitingContext(self.parts, call, work.begin(f"{call.service} {call.operation}", call.account))
        try:
            result = await operation.function(cx, call.request)
        except asyncio.CancelledError:
            done(None, ApiError("the platform is stopping", code="ServiceUnavailable", status=503))
            raise
        except Exception as error:
            done(None, self._api_error(call, error))
        else:
            done(result, None)
        finally:
            if cx.ticket is not None:
                work.end(cx.ticket)

    def call(self, cx: Context, call: Call) -> dict[str, Any]:
        """Carry out another ``def`` operation inside the transaction of ``cx``."""
        operation = self._operation(call)
        function = operation.first if operation.waits else operation.function
        if not operation.internal:
            self._check(call)
        result = function(Context(self.parts, cx.tx, call), call.request) if function is not None else None
        if operation.waits and result is None:
            raise TypeError(f"{call.service} {call.operation} waits: it cannot be part of a transaction")
        return result or {}

    async def call_waiting(self, call: Call) -> dict[str, Any]:
        """Carry out another operation; its answer is durable."""
        operation = self._operation(call)
        if not operation.internal:
            self._check(call)
        parts, function = self.parts, operation.first or operation.function
        if operation.waits and operation.first is None:
            return await function(WaitingContext(parts, call), call.request) or {}
        try:
            result = await parts.store.transact(
                lambda tx: function(Context(parts, tx, call), call.request), frees=operation.frees
            )
        except StoreError as error:
            raise self._api_error(call, error) from error
        if result is None and operation.waits:
            result = await operation.function(WaitingContext(parts, call), call.request)
        return result or {}

    async def close(self) -> None:
        """End the operations that wait; each answers that the platform is stopping."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _operation(self, call: Call) -> Operation:
        offered = self._offered.get(call.service)
        if offered is None:
            offered = self._offered[call.service] = self._registry.service(call.service).operations
        operation = offered.get(call.operation)
        if operation is None:
            raise self.refusal(call.service, call.operation) or KeyError(call.operation)
        if operation.refused:
            for member, instead in operation.refused.items():
                if call.request.get(member) is not None:
                    raise Unsupported(f"{member} of {call.operation} ({call.service}) is not supported: {instead}")
        return operation

    def _check(self, call: Call) -> None:
        service = self._registry.service(call.service)
        load(service.model or service.name).operation(call.operation).check(call.request)

    def _api_error(self, call: Call, error: BaseException) -> ApiError:
        if isinstance(error, ApiError):
            return error
        if isinstance(error, StoreFull):
            return ApiError(str(error), code=self._registry.service(call.service).throttling, status=400)
        if isinstance(error, StoreError):
            return ApiError(str(error), code="ServiceUnavailable", status=503)
        _logger.error("%s %s failed (request %s)", call.service, call.operation, call.request_id, exc_info=error)
        return ApiError(
            f"An internal error occurred; the server's log has it under request id {call.request_id}",
            code="InternalFailure",
            status=500,
        )
