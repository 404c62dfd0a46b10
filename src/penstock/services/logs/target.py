"""How a delivery reaches a log group: one log event, in a stream of the event's own, as EventBridge writes them.

The message is what the target gets. An object of ``timestamp`` and ``message`` alone, which an input template makes,
says both. docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html, "CloudWatch Logs group".
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson

from penstock.base.errors import Undeliverable
from penstock.base.names import Arn, uuid_of
from penstock.engine.context import Context
from penstock.engine.journal import Delivery
from penstock.services.logs.rules import EVENT_BYTES, EVENT_LARGEST
from penstock.services.logs.writing import append

_LATEST_MS = 253_402_300_799_999  # the last moment of the year 9999


class GroupTarget:
    """Log groups take deliveries."""

    def accept(self, cx: Context, delivery: Delivery, payload: bytes) -> None:
        """Write the payload as a log event; Undeliverable when the group is gone or the message is too large."""
        kind, _, rest = Arn.parse(delivery.target).resource.partition(":")
        group = rest.removesuffix(":*")
        if kind != "log-group" or not group:
            raise Undeliverable(f"{delivery.target} is no log group", code="InvalidParameterException")
        moment, message = _event(payload, cx.now)
        if len(message.encode()) + EVENT_BYTES > EVENT_LARGEST:
            raise Undeliverable(
                f"Log event too large: more than {EVENT_LARGEST} bytes", code="InvalidParameterException"
            )
        append(cx, group, uuid_of(delivery.event), [(moment, message)])


def _event(payload: bytes, now: int) -> tuple[int, str]:
    text = payload.decode(errors="replace")
    try:
        value: Any = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return now, text
    if isinstance(value, dict) and value.keys() == {"timestamp", "message"}:
        message = value["message"]
        return _moment(value["timestamp"], now), message if isinstance(message, str) else orjson.dumps(message).decode()
    return now, text


def _moment(value: Any, now: int) -> int:
    """A time in milliseconds, or as events tell it; now when it is neither."""
    try:
        if type(value) is int or (isinstance(value, str) and value.isdecimal()):
            moment = int(value)
        else:
            moment = int(datetime.fromisoformat(str(value)).timestamp() * 1000)
    except (ValueError, OverflowError):
        return now
    return moment if 0 <= moment <= _LATEST_MS else now
