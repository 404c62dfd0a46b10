"""Export tasks: there are none, since making one is refused until there are buckets."""

from __future__ import annotations

from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.logs import rules


@operation(kept={"taskId", "statusCode"})  # there is nothing to choose from
def describe_export_tasks(cx: Context, request: Request) -> Response:
    """No export tasks."""
    tasks, token = rules.PAGING.of(request, _none, str)
    return {"exportTasks": tasks, **token}


def _none(after: str, limit: int) -> list[str]:
    return []
