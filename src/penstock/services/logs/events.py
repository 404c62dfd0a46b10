"""Reading log events: GetLogEvents, FilterLogEvents, TestMetricFilter."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.engine.context import Context, WaitingContext
from penstock.engine.operation import Request, Response, operation
from penstock.services.logs import rules
from penstock.services.logs.errors import NO_STREAM, InvalidParameter, ResourceNotFound
from penstock.services.logs.groups import Group, find_group, requested_group
from penstock.services.logs.patterns import Pattern, PatternError, compile_pattern
from penstock.services.logs.reading import Event, Scope, read
from penstock.services.logs.rules import START, Position
from penstock.store.store import Reader

_FOREVER = 1 << 53  # a timestamp later than any
_BACKWARD_SINCE = 1_704_067_200_000  # 2024-01-01: FilterLogEvents goes backward only from there on, as on AWS


@operation(kept={"unmask"})  # nothing is masked
async def get_log_events(cx: WaitingContext, request: Request) -> Response:
    """A page of one stream's events, oldest first, with tokens to go on in either direction.

    Nothing is masked here, so ``unmask`` changes nothing.
    """
    name = requested_group(request, cx.account, cx.region)
    start, end = request.get("startTime") or 0, request.get("endTime")
    token = request.get("nextToken")
    forward, from_ = rules.read_token(token) if token else (bool(request.get("startFromHead")), None)
    limit = request.get("limit") or rules.PAGE_EVENTS
    await cx.parts.store.synced()

    def query(reader: Reader) -> list[Event]:
        group = find_group(reader, cx.account, cx.region, name)
        row = reader.one(
            "SELECT id, name FROM log_stream WHERE log_group = ? AND name = ?", (group.id, request["logStreamName"])
        )
        if row is None:
            raise ResourceNotFound(NO_STREAM)
        last = _FOREVER if end is None else end - 1
        scope = Scope(group.id, max(start, _alive_since(group, cx.now)), last, {row[0]: row[1]})
        return _fill(read(reader, scope, from_, forward=forward), limit)

    events = await cx.read(query)
    if not forward:
        events.reverse()
    ahead, back = _tokens(events, from_, forward=forward)
    if token and not events:
        (ahead, back) = (token, back) if forward else (ahead, token)
    return {
        "events": [
            {"timestamp": event.position.timestamp, "message": event.message, "ingestionTime": event.ingested}
            for event in events
        ],
        "nextForwardToken": ahead,
        "nextBackwardToken": back,
    }


@operation(kept={"interleaved", "unmask"})  # AWS ignores the first; nothing is masked
async def filter_log_events(cx: WaitingContext, request: Request) -> Response:
    """A page of the events of a group that a filter pattern takes, over all its streams or some, by time.

    A page looks at a bounded number of events: it may be empty and have a token. ``interleaved`` is ignored, as by
    AWS since 2019; nothing is masked here, so ``unmask`` changes nothing.
    """
    name = requested_group(request, cx.account, cx.region)
    names, prefix = request.get("logStreamNames"), request.get("logStreamNamePrefix")
    if names is not None and prefix is not None:
        raise InvalidParameter("logStreamNames and logStreamNamePrefix are mutually exclusive: pass one of them.")
    pattern = compiled(request.get("filterPattern") or "")
    start, end = request.get("startTime") or 0, request.get("endTime")
    token = request.get("nextToken")
    forward, from_ = rules.read_token(token) if token else (request.get("startFromHead") is not False, None)
    if not forward and start < _BACKWARD_SINCE:
        raise InvalidParameter("startFromHead can be false only with a startTime on or after 2024-01-01: pass one.")
    limit = request.get("limit") or rules.PAGE_EVENTS
    await cx.parts.store.synced()

    def query(reader: Reader) -> tuple[list[Event], Position | None]:
        group = find_group(reader, cx.account, cx.region, name)
        scope = Scope(
            group.id,
            max(start, _alive_since(group, cx.now)),
            _FOREVER if end is None else end,
            _streams(reader, group, names, prefix),
        )
        return _filtered(read(reader, scope, from_, forward=forward), pattern, limit)

    events, more = await cx.read(query)
    answer: Response = {
        "events": [
            {
                "logStreamName": event.stream,
                "timestamp": event.position.timestamp,
                "message": event.message,
                "ingestionTime": event.ingested,
                "eventId": rules.event_id(event.position),
            }
            for event in events
        ],
        "searchedLogStreams": [],
    }
    if more is not None:
        answer["nextToken"] = rules.token(more, forward=forward)
    return answer


@operation
def test_metric_filter(cx: Context, request: Request) -> Response:
    """Which of some messages a filter pattern takes, and what a metric filter could use of them."""
    pattern = compiled(request["filterPattern"])
    return {
        "matches": [
            {"eventNumber": number, "eventMessage": message, "extractedValues": pattern.values(message)}
            for number, message in enumerate(request["logEventMessages"], start=1)
            if pattern.matches(message)
        ]
    }


def compiled(text: str) -> Pattern:
    """A filter pattern; InvalidParameterException when it is none."""
    try:
        return compile_pattern(text)
    except PatternError as error:
        raise InvalidParameter(f"Invalid filter pattern: {error}") from None


def _alive_since(group: Group, now: int) -> int:
    """The earliest timestamp that the group's retention leaves."""
    return 0 if group.retention_days is None else now - group.retention_days * rules.DAY_MS


def _streams(reader: Reader, group: Group, names: list[str] | None, prefix: str | None) -> dict[int, str] | None:
    """The wanted streams, or None for all; ResourceNotFound when a named one does not exist."""
    if prefix is not None:
        return dict(
            reader.all(
                "SELECT id, name FROM log_stream WHERE log_group = ? AND substr(name, 1, ?) = ?",
                (group.id, len(prefix), prefix),
            )  # type: ignore[arg-type]
        )
    if not names:
        return None
    found: dict[int, str] = {}
    for name in names:
        row = reader.one("SELECT id FROM log_stream WHERE log_group = ? AND name = ?", (group.id, name))
        if row is None:
            raise ResourceNotFound(NO_STREAM)
        found[row[0]] = name
    return found


def _fill(events: Iterable[Event], limit: int) -> list[Event]:
    found: list[Event] = []
    size = 0
    for event in events:
        size += rules.size_of(event.message)
        if found and size > rules.PAGE_BYTES:
            break
        found.append(event)
        if len(found) == limit:
            break
    return found


def _filtered(events: Iterable[Event], pattern: Pattern, limit: int) -> tuple[list[Event], Position | None]:
    """The events of one page, and where the next page goes on: None when everything was looked at."""
    found: list[Event] = []
    size = 0
    last: Position | None = None
    for scanned, event in enumerate(events):
        if len(found) == limit or scanned == rules.SCANNED_EVENTS:
            return found, last
        if pattern.matches(event.message):
            size += rules.size_of(event.message)
            if found and size > rules.PAGE_BYTES:
                return found, last
            found.append(event)
        last = event.position
    return found, None


def _tokens(events: list[Event], from_: Position | None, *, forward: bool) -> tuple[str, str]:
    """The tokens that continue after the last and before the first event of a page."""
    if events:
        last, first = events[-1].position, events[0].position
    elif from_ is None:
        last = first = START
    elif forward:
        last, first = from_, rules.after(from_)
    else:
        last, first = rules.before(from_), from_
    return rules.token(last, forward=True), rules.token(first, forward=False)
