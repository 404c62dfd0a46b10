"""Export tasks: there are none, since making one is refused until there are buckets."""

from __future__ import annotations

from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.logs.errors import ResourceNotFound


@operation(kept={"taskId", "statusCode", "nextToken", "limit"})  # there is nothing to choose from
def describe_export_tasks(cx: Context, request: Request) -> Response:
    """No export tasks."""
    return {"exportTasks": []}


@operation(kept={"taskId"})  # no task has it
def cancel_export_task(cx: Context, request: Request) -> Response:
    """There is no task to cancel."""
    raise ResourceNotFound("The specified export task does not exist.")
