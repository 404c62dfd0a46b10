"""How values look on a terminal: sizes, durations, times, ids, and the two consoles."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console

PAYLOAD_LINES: Final = 24  # of a payload in a tree
PAYLOAD_WIDTH: Final = 120  # characters of each of them
STATE_STYLES: Final[Mapping[str, str]] = {
    "delivered": "green", "failed": "bold red", "expired": "bold red", "waiting": "yellow", "running": "cyan",
    "filtered": "dim",
}  # fmt: skip


def console(*, stderr: bool = False) -> Console:
    """Where a command writes: no colour and no line wrapping when nobody looks at it (rich also heeds NO_COLOR)."""
    found = Console(stderr=stderr, highlight=False, emoji=False)
    return (
        found if found.is_terminal else Console(stderr=stderr, highlight=False, emoji=False, width=240, soft_wrap=True)
    )


def print_json(value: Any) -> None:
    """One JSON document on standard output, for programs."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def print_json_line(value: Any) -> None:
    """One JSON document on one line, for programs that follow."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def payload_text(payload: str, truncated: bool) -> str:
    """A payload to be read: JSON with a member a line, a few lines of anything; what is left out is counted."""
    with suppress(ValueError, RecursionError):
        payload = json.dumps(json.loads(payload), indent=2, ensure_ascii=False)
    lines = [line if len(line) <= PAYLOAD_WIDTH else f"{line[:PAYLOAD_WIDTH]}…" for line in payload.splitlines()]
    shown = lines[:PAYLOAD_LINES]
    if len(lines) > len(shown):
        shown.append(f"… {len(lines) - len(shown)} more lines")
    elif truncated:
        shown.append("…")
    return "\n".join(shown)


def size(count: int) -> str:
    """Bytes as people say them: 512 B, 1.5 KB, 6.0 MB (of 1,024)."""
    if count < 1024:
        return f"{count} B"
    power = 1 if count < 1 << 20 else 2 if count < 1 << 30 else 3
    return f"{count / 1024**power:.1f} {'KMG'[power - 1]}B"


def duration(seconds: float) -> str:
    """A time span as people say it: 3 ms, 1.2 s, 5 min, 2 h 10 min, 3 d."""
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 60:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{round(hours / 24)} d"


def moment(seconds: float) -> str:
    """A moment as ISO 8601, in UTC, with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")


def clock_time(seconds: float) -> str:
    """A moment without its day."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S.%f")[:-3]


def resource(arn: str) -> str:
    """An ARN as people name the thing: "queue orders", "function payment"."""
    parts = arn.split(":", 5)
    if len(parts) != 6:
        return arn
    service, name = parts[2], parts[5]
    kind, _, rest = name.partition("/")
    if service == "sqs":
        return f"queue {name}"
    if service == "lambda" and name.startswith("function:"):
        return f"function {name.removeprefix('function:')}"
    if service == "lambda" and name.startswith("event-source-mapping:"):
        return f"mapping {name.removeprefix('event-source-mapping:')[:8]}"
    if service == "events" and rest:
        return f"{'bus' if kind == 'event-bus' else kind} {rest}"
    return f"{service} {name}"
