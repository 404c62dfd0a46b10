"""Writing log events: PutLogEvents, and the cheap way for what functions print."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.logs import retention, rules, subscriptions
from penstock.services.logs.errors import NO_GROUP, NO_STREAM, ResourceNotFound
from penstock.services.logs.groups import group_arn

_FIND = (
    "SELECT g.id, g.retention_days, s.id, EXISTS (SELECT 1 FROM log_subscription f WHERE f.log_group = g.id) "
    "FROM log_group g LEFT JOIN log_stream s ON s.log_group = g.id AND s.name = ? "
    "WHERE g.account = ? AND g.region = ? AND g.name = ?"
)
_INSERT_GROUP = "INSERT INTO log_group (id, account, region, name, created) VALUES (?,?,?,?,?)"
_INSERT_STREAM = "INSERT INTO log_stream (id, log_group, name, created) VALUES (?,?,?,?)"
_INSERT_CHUNK = (
    "INSERT INTO log_chunk (id, log_group, log_stream, first_ts, last_ts, ingested, bytes, lines) "
    "VALUES (?,?,?,?,?,?,?,?)"
)
_WRITTEN = (
    "UPDATE log_stream SET first_ts = min(coalesce(first_ts, ?1), ?1), last_ts = max(coalesce(last_ts, ?2), ?2), "
    "ingested = ?3, bytes = bytes + ?4 WHERE id = ?5"
)


@operation(
    kept={"sequenceToken"},  # AWS ignores it
    refused={"entity": "leave it out: Application Signals' entities are not here"},
)
def put_log_events(cx: Context, request: Request) -> Response:
    """Write a batch of events to a stream; those too old, expired or too new are named in the answer and left out.

    ``sequenceToken`` is ignored, as AWS does since 2023.
    """
    group_name, stream_name = request["logGroupName"], request["logStreamName"]
    row = cx.one(_FIND, (stream_name, cx.account, cx.region, group_name))
    if row is None:
        raise ResourceNotFound(NO_GROUP)
    group, retention_days, stream, subscribed = row
    if stream is None:
        raise ResourceNotFound(NO_STREAM)
    accepted = rules.accept(request["logEvents"], cx.now, retention_days)
    written = _write(cx, group, stream, accepted.lines)
    if subscribed:
        subscriptions.send(cx, group, group_name, stream_name, written, None)
    _written(cx, group_name, retention_days)
    answer: Response = {"nextSequenceToken": f"{written[-1][0] if written else 0:056d}"}
    if accepted.rejected:
        answer["rejectedLogEventsInfo"] = accepted.rejected
    return answer


@operation(internal=True)
def append_output(cx: Context, request: Request) -> Response:
    """Write what an environment printed: ``lines`` of (machine ms, text), however old or many, and ``run``, if any.

    Creates group and stream where they are missing. The machine's times become platform times, so that a moved clock
    neither hides nor expires what a function just printed.
    """
    group_name, stream_name = request["logGroupName"], request["logStreamName"]
    row = cx.one(_FIND, (stream_name, cx.account, cx.region, group_name))
    if row is None:
        group, retention_days, stream, subscribed = cx.names.id(), None, None, False
        cx.write(_INSERT_GROUP, (group, cx.account, cx.region, group_name, cx.now))
    else:
        group, retention_days, stream, subscribed = row
    if stream is None:
        stream = cx.names.id()
        cx.write(_INSERT_STREAM, (stream, group, stream_name, cx.now))
    written = _write(cx, group, stream, _platform_lines(cx, request["lines"]))
    if subscribed:
        subscriptions.send(cx, group, group_name, stream_name, written, request.get("run"))
    _written(cx, group_name, retention_days)
    return {}


def append(cx: Context, group_name: str, stream_name: str, lines: Iterable[rules.Line]) -> None:
    """Write what another service delivers to a group that exists; makes the stream. ResourceNotFound."""
    row = cx.one(_FIND, (stream_name, cx.account, cx.region, group_name))
    if row is None:
        raise ResourceNotFound(NO_GROUP)
    group, retention_days, stream, subscribed = row
    if stream is None:
        stream = cx.names.id()
        cx.write(_INSERT_STREAM, (stream, group, stream_name, cx.now))
    written = _write(cx, group, stream, lines)
    if subscribed:
        subscriptions.send(cx, group, group_name, stream_name, written, None)
    _written(cx, group_name, retention_days)


def _platform_lines(cx: Context, lines: Iterable[rules.Line]) -> list[rules.Line]:
    clock, now = cx.parts.clock, cx.now
    frozen, offset_ms = clock.frozen, clock.offset_ms
    latest = 0
    found: list[rules.Line] = []
    for machine_ms, text in lines:
        moment = machine_ms + offset_ms
        if frozen or moment > now:
            moment = now
        latest = max(latest, moment)
        if len(text) > rules.WHOLE_CHARACTERS:
            found.extend((latest, piece) for piece in rules.pieces(text))
        elif text:
            found.append((latest, text))
    return found


def _write(cx: Context, group: int, stream: int, lines: Iterable[rules.Line]) -> list[subscriptions.Written]:
    """Insert the chunks; their ids and lines."""
    written: list[subscriptions.Written] = []
    for chunk, size in rules.chunks(lines):
        id_ = cx.names.id()
        first_ts, last_ts = chunk[0][0], chunk[-1][0]
        cx.write(
            _INSERT_CHUNK, (id_, group, stream, first_ts, last_ts, cx.now, size, _encoded(chunk))
        )  # fmt: skip
        cx.write(_WRITTEN, (first_ts, last_ts, cx.now, size, stream))
        written.append((id_, chunk))
    return written


def _encoded(chunk: list[rules.Line]) -> bytes:
    try:
        return orjson.dumps(chunk)
    except TypeError:  # a lone surrogate: a program printed bytes that are no UTF-8
        return orjson.dumps([(at, text.encode("utf-8", "replace").decode()) for at, text in chunk])


def _written(cx: Context, group_name: str, retention_days: int | None) -> None:
    cx.wake(group_arn(cx.account, cx.region, group_name))
    if retention_days is not None and not cx.memory.armed:
        cx.after(lambda: retention.arm(cx.parts))
