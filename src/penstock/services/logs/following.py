"""Log events in the order in which they were written: for who follows a log while it grows.

A function's output is written when its run ends, so lines come later than their times say: a reader that asks for what
is younger than the last line it saw misses them. Chunks are numbered as they are written.
"""

from __future__ import annotations

from typing import Final

import orjson

from penstock.engine.context import WaitingContext
from penstock.engine.operation import Request, Response, operation
from penstock.services.logs import rules
from penstock.services.logs.events import compiled
from penstock.services.logs.rules import Position
from penstock.store.store import Reader, Row

# Chunks come first in these joins, by their ids: what was looked at once is not looked at again, whoever wrote it.
_LOOKED_AT: Final = "SELECT count(*), max(id) FROM (SELECT id FROM log_chunk WHERE id > ? ORDER BY id LIMIT ?)"
_WRITTEN: Final = """
SELECT log_chunk.id, log_chunk.lines, log_stream.name, log_group.name FROM log_chunk
CROSS JOIN log_group ON log_group.id = log_chunk.log_group CROSS JOIN log_stream ON log_stream.id = log_chunk.log_stream
WHERE log_chunk.id > ? AND log_chunk.id <= ? AND log_group.account = ? AND log_group.region = ?
ORDER BY log_chunk.id LIMIT ?
"""
_LOOKS: Final = 2000  # chunks of all accounts that one answer looks at
_CHUNKS: Final = 200  # chunks of the caller's that it reads
_MORE_BYTES: Final = 1 << 20  # of lines in one answer; the chunk that reaches it still belongs to it


@operation(internal=True)
async def list_written(cx: WaitingContext, request: Request) -> Response:
    """What was written to any group after the chunk ``after``, by a filter ``pattern``; None: only where to begin.

    ``next`` is the chunk to go on from; there is more at once when ``more`` says so.
    """
    pattern, after = compiled(request.get("pattern") or ""), request.get("after")

    def latest(reader: Reader) -> int:
        row = reader.one("SELECT max(id) FROM log_chunk")
        return 0 if row is None or row[0] is None else int(row[0])

    def written(reader: Reader, after: int) -> tuple[list[Row], int, bool]:
        """The caller's chunks, the last that was looked at, and whether there are others after it."""
        row = reader.one(_LOOKED_AT, (after, _LOOKS))
        if row is None or row[1] is None:
            return [], after, False
        rows = reader.all(_WRITTEN, (after, row[1], cx.account, cx.region, _CHUNKS))
        if len(rows) == _CHUNKS:
            return rows, rows[-1][0], True
        return rows, row[1], row[0] == _LOOKS

    await cx.parts.store.synced()
    if after is None:
        return {"lines": [], "next": await cx.read(latest), "more": False}
    lines, size = [], 0
    rows, next_, more = await cx.read(lambda reader: written(reader, after))
    for chunk, text, stream, group in rows:
        size += len(text)
        for index, (timestamp, message) in enumerate(orjson.loads(text)):
            if pattern.matches(message):
                id_ = rules.event_id(Position(timestamp, chunk, index))
                lines.append({"logGroupName": group, "logStreamName": stream, "timestamp": timestamp,
                              "message": message, "eventId": id_})  # fmt: skip
        if size > _MORE_BYTES:
            return {"lines": lines, "next": chunk, "more": True}
    return {"lines": lines, "next": next_, "more": more}
