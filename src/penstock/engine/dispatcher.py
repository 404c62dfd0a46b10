"""From a decoded call to its answer: checks, runs it inline or as a task, keeps count for quiet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from penstock.base.errors import ApiError
from penstock.engine.context import Call

Answer = Callable[[dict[str, Any] | None, BaseException | None], None]


class Dispatch(Protocol):
    """What ``wire`` needs: start a call, be told its answer once that may leave the process."""

    def start(self, call: Call, done: Answer) -> None:
        """Start a validated call; ``done(response, error)`` once the answer is durable. On the event loop only."""


__all__ = ["Answer", "ApiError", "Call", "Dispatch"]
