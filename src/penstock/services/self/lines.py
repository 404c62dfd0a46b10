"""What functions log, as it is written."""

from __future__ import annotations

from penstock.base.errors import ApiError
from penstock.engine.context import WaitingContext
from penstock.engine.operation import Request, Response, operation
from penstock.services.self.errors import InvalidRequest


@operation
async def list_log_lines(cx: WaitingContext, request: Request) -> Response:
    """The lines written to the logs of an account and region after those of an earlier answer.

    Without ``after`` there are none: the answer says where to begin.
    """
    after = request.get("after")
    if after is not None and not (after.isascii() and after.isdecimal() and len(after) < 19):
        raise InvalidRequest(f"{after} is no place in the logs: give what an earlier answer calls next")
    wanted = {"after": None if after is None else int(after), "pattern": request.get("filter")}
    try:
        found = await cx.call("logs", "ListWritten", wanted)
    except ApiError as error:
        raise InvalidRequest(error.message) from error
    return {"lines": found["lines"], "next": str(found["next"]), "more": found["more"]}
