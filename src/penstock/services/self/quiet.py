"""Whether everything caused so far has settled."""

from __future__ import annotations

from penstock.base.limits import QUIET_REAL_MS
from penstock.engine.context import WaitingContext
from penstock.engine.operation import Request, Response, operation
from penstock.engine.quiet import Settled
from penstock.services.self.rules import milliseconds, seconds


@operation
async def get_quiet(cx: WaitingContext, request: Request) -> Response:
    """How it stands now; this call itself does not count."""
    with cx.aside():
        settled = await cx.parts.quiet.wait(request.get("account"), timeout_ms=0)
        return await _answer(cx, request, settled)


@operation
async def wait_for_quiet(cx: WaitingContext, request: Request) -> Response:
    """Wait until it is quiet, or until ``timeoutSeconds`` of the machine's time are over: then ``busy`` says why."""
    timeout = request.get("timeoutSeconds")
    with cx.aside():
        timeout_ms = QUIET_REAL_MS if timeout is None else milliseconds(timeout)
        settled = await cx.parts.quiet.wait(request.get("account"), timeout_ms=timeout_ms)
        return await _answer(cx, request, settled)


async def _answer(cx: WaitingContext, request: Request, settled: Settled) -> Response:
    outside = await cx.parts.control.outside(request.get("account"))
    return {"quiet": settled.quiet, "busy": settled.busy, "next": seconds(settled.next), "outside": outside}
