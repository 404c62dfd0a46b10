"""Pure rules of log events: limits, what of a batch is taken, the ids and tokens of events.

Sources: the API reference of PutLogEvents, GetLogEvents and FilterLogEvents, and "CloudWatch Logs quotas".
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from penstock.engine.paging import Paging
from penstock.services.logs.errors import InvalidParameter

DAY_MS: Final = 86_400_000
BATCH_BYTES: Final = 1_048_576  # of one PutLogEvents, an event counting EVENT_BYTES beside its message
BATCH_EVENTS: Final = 10_000
BATCH_SPAN_MS: Final = DAY_MS
EVENT_BYTES: Final = 26
EVENT_LARGEST: Final = 1_048_576  # bytes of one event's message, EVENT_BYTES included
WHOLE_CHARACTERS: Final = (EVENT_LARGEST - EVENT_BYTES) // 4  # that fit into one event whatever they are
FUTURE_MS: Final = 2 * 3_600_000  # how far ahead an event may be
PAST_MS: Final = 14 * DAY_MS  # how old an event may be
PAGE_BYTES: Final = 1_048_576  # of one answer's events
PAGE_EVENTS: Final = 10_000
RETENTION_DAYS: Final = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip
TAGS: Final = 50
PAGING: Final = Paging("nextToken", "limit", 50, InvalidParameter)  # of groups, streams and policies

SPAN_MS: Final = 10_000  # between the first and the last event of one chunk: ours, see tables.sql
SCANNED_EVENTS: Final = 100_000  # events one page may look at before it answers with what it has: ours

Line = tuple[int, str]  # timestamp, message


class Position(NamedTuple):
    """An event's place in the order of all: by timestamp, then by writing."""

    timestamp: int
    chunk: int
    index: int


START: Final = Position(0, 0, 0)


def event_id(position: Position) -> str:
    """An event's public id: 56 digits that sort as the events do."""
    return f"{position.timestamp:015d}{position.chunk:019d}{position.index:022d}"


def position_of(event: str) -> Position:
    """The place of the event with this id."""
    return Position(int(event[:15]), int(event[15:34]), int(event[34:]))


def before(position: Position) -> Position:
    """The place just before this one."""
    timestamp, chunk, index = position
    return Position(timestamp, chunk, index - 1) if index else Position(timestamp, max(chunk - 1, 0), 10**22 - 1)


def after(position: Position) -> Position:
    """The place just after this one."""
    return Position(position.timestamp, position.chunk, position.index + 1)


_TOKEN = re.compile(r"([fb])/(\d{56})(?:/s)?")


def token(position: Position, *, forward: bool) -> str:
    """A token that continues from this event, which the reader has seen."""
    return f"{'f' if forward else 'b'}/{event_id(position)}/s"


def read_token(text: str) -> tuple[bool, Position]:
    """Whether a token goes forward, and from where; InvalidParameter when it is none of ours."""
    match = _TOKEN.fullmatch(text)
    if match is None:
        raise InvalidParameter("The specified nextToken is invalid. Pass a token of an earlier answer, unchanged.")
    return match.group(1) == "f", position_of(match.group(2))


def size_of(message: str) -> int:
    """What an event counts, in bytes."""
    return (len(message) if message.isascii() else len(message.encode("utf-8", "surrogatepass"))) + EVENT_BYTES


@dataclass(slots=True)
class Accepted:
    """What of a batch is taken: ``rejected`` is PutLogEvents' rejectedLogEventsInfo."""

    lines: list[Line]
    rejected: dict[str, int] = field(default_factory=dict)


def accept(events: Sequence[dict[str, Any]], now: int, retention_days: int | None) -> Accepted:
    """Take the events of a batch that are neither too old nor too new; InvalidParameter when the batch is wrong."""
    if len(events) > BATCH_EVENTS or not events:
        raise InvalidParameter(
            f"1 validation error detected: Value at 'logEvents' failed to satisfy constraint: Member must have length "
            f"between 1 and {BATCH_EVENTS}"
        )
    lines: list[Line] = [(event["timestamp"], event["message"]) for event in events]
    total = 0
    for _, message in lines:
        size = size_of(message)
        if size > EVENT_LARGEST:
            raise InvalidParameter(f"Log event too large: {size} bytes exceeds limit of {EVENT_LARGEST}")
        total += size
    if total > BATCH_BYTES:
        raise InvalidParameter(f"Upload too large: {total} bytes exceeds limit of {BATCH_BYTES}")
    if any(later[0] < earlier[0] for earlier, later in itertools.pairwise(lines)):
        raise InvalidParameter("Log events in a single PutLogEvents request must be in chronological order.")
    rejected: dict[str, int] = {}
    too_old = sum(timestamp < now - PAST_MS for timestamp, _ in lines)
    expired = 0
    if retention_days is not None:
        expired = sum(timestamp < now - retention_days * DAY_MS for timestamp, _ in lines)
    first_new = sum(timestamp <= now + FUTURE_MS for timestamp, _ in lines)
    if too_old:
        rejected["tooOldLogEventEndIndex"] = too_old
    if expired:
        rejected["expiredLogEventEndIndex"] = expired
    if first_new < len(lines):
        rejected["tooNewLogEventStartIndex"] = first_new
    lines = lines[max(too_old, expired) : first_new]
    if lines and lines[-1][0] - lines[0][0] > BATCH_SPAN_MS:
        raise InvalidParameter(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
        )
    return Accepted(lines, rejected)


def chunks(lines: Iterable[Line]) -> Iterator[tuple[list[Line], int]]:
    """Cut lines in order of time into chunks that span SPAN_MS and hold BATCH_BYTES at most; with their size."""
    chunk: list[Line] = []
    size = 0
    for line in lines:
        more = size_of(line[1])
        if chunk and (line[0] - chunk[0][0] > SPAN_MS or size + more > BATCH_BYTES):
            yield chunk, size
            chunk, size = [], 0
        chunk.append(line)
        size += more
    if chunk:
        yield chunk, size


def pieces(message: str) -> list[str]:
    """A message cut so that each piece fits into one event."""
    if len(message) <= WHOLE_CHARACTERS or size_of(message) <= EVENT_LARGEST:
        return [message]
    return [message[start : start + WHOLE_CHARACTERS] for start in range(0, len(message), WHOLE_CHARACTERS)]
