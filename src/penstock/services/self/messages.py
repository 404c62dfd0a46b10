"""What a queue holds, without receiving it."""

from __future__ import annotations

from penstock.base.errors import ApiError
from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.self.errors import NotFound

DEFAULT_PAGE = 100  # messages


@operation
def list_messages(cx: Context, request: Request) -> Response:
    """The messages of a queue as they stand: nothing is received, no count and no visibility changes."""
    looked_at = {"QueueUrl": request["queueUrl"], "Limit": request.get("limit", DEFAULT_PAGE)}
    try:
        return {"messages": cx.call("sqs", "PeekMessages", looked_at)["messages"]}
    except ApiError as error:
        raise NotFound(f"There is no queue {request['queueUrl']} in account {cx.account}, {cx.region}") from error
