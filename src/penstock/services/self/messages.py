"""What a queue holds, without receiving it."""

from __future__ import annotations

from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation

DEFAULT_PAGE = 100  # messages


@operation
def list_messages(cx: Context, request: Request) -> Response:
    """The messages of a queue as they stand: nothing is received, no count and no visibility changes."""
    looked_at = {"QueueUrl": request["queueUrl"], "Limit": request.get("limit", DEFAULT_PAGE)}
    return {"messages": cx.call("sqs", "PeekMessages", looked_at)["messages"]}
