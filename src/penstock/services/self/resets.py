"""Deleting everything an account has."""

from __future__ import annotations

from penstock.engine.context import WaitingContext
from penstock.engine.operation import Request, Response, operation


@operation
async def reset(cx: WaitingContext, request: Request) -> Response:
    """Delete everything ``account`` has, or all there is: every account's, when none is named.

    Credentials are revoked and execution environments ended before the answer, so that nothing old can write into
    the clean state.
    """
    account = None if request.get("everything") else request.get("account")
    with cx.aside():
        await cx.parts.control.reset(account)
    return {"everything": True} if account is None else {"everything": False, "account": account}
