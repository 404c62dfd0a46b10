"""Deleting everything an account has."""

from __future__ import annotations

from penstock.engine.context import WaitingContext
from penstock.engine.operation import Request, Response, operation


@operation
async def reset(cx: WaitingContext, request: Request) -> Response:
    """Delete everything the caller's account has, or ``account``'s, or with ``everything`` all there is.

    Credentials are revoked and execution environments ended before the answer, so that nothing old can write into
    the clean state.
    """
    everything = bool(request.get("everything"))
    account = None if everything else request.get("account") or cx.account
    with cx.aside():
        await cx.parts.control.reset(account)
    return {"everything": True} if account is None else {"everything": False, "account": account}
