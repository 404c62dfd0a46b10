"""Log streams: made, listed, deleted."""

from __future__ import annotations

from typing import Any

from penstock.engine.context import Context, WaitingContext
from penstock.engine.operation import Request, Response, operation
from penstock.services.logs import retention, rules
from penstock.services.logs.errors import NO_STREAM, InvalidParameter, ResourceAlreadyExists, ResourceNotFound
from penstock.services.logs.groups import find_group, group_arn, requested_group
from penstock.store.store import Reader

_MOMENT_DIGITS = 18  # of a moment in a token, at most: SQLite does not take every number of 19
_SELECT = "SELECT name, created, first_ts, last_ts, ingested FROM log_stream WHERE log_group = ?"


@operation
def create_log_stream(cx: Context, request: Request) -> Response:
    """Make a stream in a group."""
    group = find_group(cx.tx, cx.account, cx.region, request["logGroupName"])
    name = request["logStreamName"]
    if cx.one("SELECT 1 FROM log_stream WHERE log_group = ? AND name = ?", (group.id, name)) is not None:
        raise ResourceAlreadyExists("The specified log stream already exists")
    cx.write(
        "INSERT INTO log_stream (id, log_group, name, created) VALUES (?,?,?,?)",
        (cx.names.id(), group.id, name, cx.now),
    )
    return {}


@operation
def delete_log_stream(cx: Context, request: Request) -> Response:
    """Delete a stream with its events."""
    group = find_group(cx.tx, cx.account, cx.region, request["logGroupName"])
    row = cx.one("SELECT id FROM log_stream WHERE log_group = ? AND name = ?", (group.id, request["logStreamName"]))
    if row is None:
        raise ResourceNotFound(NO_STREAM)
    cx.write("DELETE FROM log_stream WHERE id = ?", row)
    cx.write("INSERT INTO log_doomed (owner, id) VALUES ('log_stream', ?)", row)
    parts = cx.parts
    cx.after(lambda: retention.sweep(parts))
    return {}


@operation
async def describe_log_streams(cx: WaitingContext, request: Request) -> Response:
    """List a group's streams by name or by the time of their last event."""
    by_time = request.get("orderBy") == "LastEventTime"
    prefix = request.get("logStreamNamePrefix")
    if by_time and prefix is not None:
        raise InvalidParameter("Cannot order by LastEventTime with a logStreamNamePrefix.")
    name = requested_group(request, cx.account, cx.region)
    descending = bool(request.get("descending"))
    after, limit = rules.PAGING.after(request), rules.PAGING.limit(request)
    await cx.parts.store.synced()

    def query(reader: Reader) -> list[tuple[Any, ...]]:
        group = find_group(reader, cx.account, cx.region, name)
        key = "coalesce(last_ts, 0)" if by_time else "''"
        where, parameters = _beyond(after, key, by_time=by_time, descending=descending)
        order = "DESC" if descending else "ASC"
        return reader.all(
            f"{_SELECT} AND substr(name, 1, ?) = ? {where} ORDER BY {key} {order}, name {order} LIMIT ?",
            (group.id, len(prefix or ""), prefix or "", *parameters, limit + 1),
        )

    rows, token = rules.PAGING.cut(
        request, await cx.read(query), lambda row: f"{(row[3] or 0) if by_time else ''}:{row[0]}"
    )
    arn = group_arn(cx.account, cx.region, name)
    return {"logStreams": [_described(arn, row) for row in rows], **token}


def _beyond(after: str, key: str, *, by_time: bool, descending: bool) -> tuple[str, tuple[Any, ...]]:
    """The condition for streams behind a page's key: "moment:name", the moment only where they are listed by it."""
    if not after:
        return "", ()
    moment, _, name = after.partition(":")
    if by_time != (moment.isdecimal() and len(moment) <= _MOMENT_DIGITS):
        raise InvalidParameter("The specified nextToken is of a list in another order: pass the same orderBy with it.")
    return f"AND ({key}, name) {'<' if descending else '>'} (?, ?)", (int(moment) if by_time else "", name)


def _described(arn: str, row: tuple[Any, ...]) -> dict[str, Any]:
    name, created, first, last, ingested = row
    described: dict[str, Any] = {
        "logStreamName": name,
        "creationTime": created,
        "arn": f"{arn}:log-stream:{name}",
        "storedBytes": 0,  # AWS: no longer counted per stream since 2019
    }
    if ingested is not None:
        described |= {
            "firstEventTimestamp": first,
            "lastEventTimestamp": last,
            "lastIngestionTime": ingested,
            "uploadSequenceToken": f"{ingested:056d}",
        }
    return described
