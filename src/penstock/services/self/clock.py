"""Platform time: looking at it, stopping it, moving it."""

from __future__ import annotations

from penstock.engine.context import WaitingContext
from penstock.engine.operation import Request, Response, operation
from penstock.services.self.errors import InvalidRequest
from penstock.services.self.health import clock_of
from penstock.services.self.rules import LATEST_SECONDS, milliseconds


@operation
async def get_clock(cx: WaitingContext, request: Request) -> Response:
    """Platform time."""
    return clock_of(cx.parts)


@operation
async def freeze_clock(cx: WaitingContext, request: Request) -> Response:
    """Stop platform time where it is, durably."""
    await cx.parts.control.freeze()
    return clock_of(cx.parts)


@operation
async def resume_clock(cx: WaitingContext, request: Request) -> Response:
    """Let platform time flow on from where it stands, durably."""
    await cx.parts.control.resume()
    return clock_of(cx.parts)


@operation
async def advance_clock(cx: WaitingContext, request: Request) -> Response:
    """Move platform time forward by ``bySeconds`` or to ``to``; everything due until then happens on the way.

    This call itself is not something to wait for. NotQuiet, with the busiest item, when it does not settle.
    """
    by, to = request.get("bySeconds"), request.get("to")
    if (by is None) == (to is None):
        raise InvalidRequest("give either bySeconds (how far) or to (a moment), and not both")
    if (cx.now / 1000 + by if to is None else to) > LATEST_SECONDS:
        raise InvalidRequest("platform time goes no further than the year 9000: give an earlier moment")
    moment = cx.now + milliseconds(by) if to is None else milliseconds(to)
    if moment < cx.now:
        raise InvalidRequest(f"platform time never goes back: it is {cx.now / 1000:.3f}, past {moment / 1000:.3f}")
    with cx.aside():
        fired = await cx.parts.control.advance(moment)
    return {**clock_of(cx.parts), "fired": fired}
