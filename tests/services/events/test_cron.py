"""Schedule expressions, as the EventBridge User Guide describes them and against a calendar that is plainly right."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.services.events import cron

MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


@pytest.mark.parametrize(
    ("expression", "now", "expected"),
    [
        ("cron(0 10 * * ? *)", "2026-11-21T09:59:59", "2026-11-21T10:00"),
        ("cron(0 10 * * ? *)", "2026-11-21T10:00:00", "2026-11-22T10:00"),
        ("cron(15 12 * * ? *)", "2026-11-21T12:30", "2026-11-22T12:15"),
        ("cron(0 18 ? * MON-FRI *)", "2026-11-20T18:00", "2026-11-23T18:00"),
        ("cron(0 8 1 * ? *)", "2026-11-21T00:00", "2026-12-01T08:00"),
        ("cron(0/10 * ? * MON-FRI *)", "2026-11-20T23:50", "2026-11-23T00:00"),
        ("cron(0/5 8-17 ? * MON-FRI *)", "2026-11-20T17:55", "2026-11-23T08:00"),
        ("cron(0 9 ? * 2#1 *)", "2026-11-21T00:00", "2026-12-07T09:00"),
        ("cron(0 9 L * ? *)", "2026-02-01T00:00", "2026-02-28T09:00"),
        ("cron(0 9 LW * ? *)", "2026-02-01T00:00", "2026-02-27T09:00"),
        ("cron(0 9 15W * ? *)", "2026-11-01T00:00", "2026-11-16T09:00"),
        ("cron(0 9 ? * 6L *)", "2026-11-01T00:00", "2026-11-27T09:00"),
        ("cron(0 0 29 2 ? *)", "2026-11-21T00:00", "2028-02-29T00:00"),
        ("cron(30 6 1,15 JAN,JUL ? 2027)", "2026-11-21T00:00", "2027-01-01T06:30"),
        ("cron(0 0 29 2 ? *)", "2096-03-01T00:00", "2104-02-29T00:00"),
        ("cron(0 0 ? 2 2#5 *)", "2026-11-21T00:00", "2044-02-29T00:00"),
        ("cron(0 0 1 1 ? 2199)", "2026-11-21T00:00", "2199-01-01T00:00"),
        ("cron(0 9 ? * L *)", "2026-11-21T09:00", "2026-11-28T09:00"),
        ("cron(0 9 L-3 * ? *)", "2026-11-21T00:00", "2026-11-27T09:00"),
        ("cron(0 9 L-3 * ? *)", "2026-11-27T09:00", "2026-12-28T09:00"),
        ("cron(0 9 L-30 * ? *)", "2026-11-02T00:00", "2026-12-01T09:00"),
        ("cron(0 9 ? * FRI-MON *)", "2026-11-24T00:00", "2026-11-27T09:00"),
        ("cron(0 9 ? jan-jan mon *)", "2026-11-24T00:00", "2027-01-04T09:00"),
        ("cron(0  9 ? *\tMON-MON *)", "2026-11-24T00:00", "2026-11-30T09:00"),
        ("cron(0 9 ? * MON/2 *)", "2026-11-21T00:00", "2026-11-23T09:00"),
        ("cron(0/90 * * * ? *)", "2026-11-21T00:00", "2026-11-21T01:00"),
    ],
)
def test_the_next_moment_of_a_cron_expression(expression: str, now: str, expected: str) -> None:
    assert cron.parse(expression).next_after(at(now), at(now)) == at(expected)


@pytest.mark.parametrize(
    "expression",
    ["cron(0 0 1 1 ? 2020)", "cron(0 0 31 2 ? *)", "cron(* * L-29 2 ? *)", "cron(* * L-30 2,4,6,9,11 ? 1970-2199)"],
)
def test_a_cron_expression_may_have_no_moment_left(expression: str) -> None:
    assert cron.parse(expression).next_after(at("2026-11-21T00:00"), at("2026-11-21T00:00")) is None


@pytest.mark.parametrize(
    "expression",
    [
        "rate(0 minutes)", "rate(1 minutes)", "rate(5 minute)", "rate(5 weeks)", "cron(0 10 * * *)", "", "at(2026)",
        "cron(0 10 * * * *)", "cron(0 10 ? * ? *)", "cron(60 10 * * ? *)", "cron(0 10 32 * ? *)", "cron(0 10 ? * 8 *)",
        "cron(0 10 ? * 0 *)", "cron(0 10 * 13 ? *)", "cron(0 10 * * ? 1969)", "cron(0 10 * * ? 2200)",
        "cron(0 10 * * ? 2030-2027)", "cron(*/0 * * * ? *)", "cron(0 10 L,3 * ? *)", "cron(0 10 W15 * ? *)",
        "cron(0 10 15W,16W * ? *)", "cron(0 10 ? * 2#6 *)", "cron(0 10 ? * 3#1,6#3 *)", "cron(0 10 ? * 2L,3L *)",
        "cron(0 10 L-31 * ? *)", "cron(5- 10 * * ? *)", "cron(h 10 * * ? *)", "cron(+5 10 * * ? *)",
        "cron(\u0665 10 * * ? *)", "cron()", "rate(01 minutes)", "rate(-5 minutes)", "rate(2147483648 days)",
        "rate(5  minutes)", "Rate(5 minutes)", " rate(5 minutes)", "rate(\u0665 minutes)",
    ],
)  # fmt: skip
def test_what_is_no_schedule_is_refused(expression: str) -> None:
    with pytest.raises(ValueError):
        cron.parse(expression)


@given(st.integers(1, 100), st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_rate_keeps_its_beat(minutes: int, begin: int, passed: int) -> None:
    rate = cron.Rate(minutes * 60_000)
    due = rate.next_after(begin, begin + passed)
    assert due is not None
    assert due > begin + passed
    assert due - (begin + passed) <= rate.every_ms
    assert (due - begin) % rate.every_ms == 0


@given(st.integers(0, 59), st.integers(0, 23), st.integers(at("2020-01-01T00:00"), at("2030-01-01T00:00")))
def test_a_daily_cron_comes_within_a_day(minute: int, hour: int, now: int) -> None:
    due = cron.parse(f"cron({minute} {hour} * * ? *)").next_after(now, now)
    assert due is not None
    assert now < due <= now + 86_400_000
    moment = datetime.fromtimestamp(due / 1000, UTC)
    assert (moment.hour, moment.minute, moment.second) == (hour, minute, 0)


def test_what_would_come_after_the_calendar_ends_never_comes() -> None:
    assert cron.parse("rate(2147483647 days)").next_after(at("2026-11-21T00:00"), at("2026-11-21T00:00")) is None
    assert cron.parse("cron(0 0 30 2 ? *)").next_after(at("2026-11-21T00:00"), at("2026-11-21T00:00")) is None
    assert cron.parse("cron(0 0 * * ? *)").next_after(at("2199-12-31T12:00"), at("2199-12-31T12:00")) is None


# --- against a calendar that looks at every day and every minute


def value(text: str, names: list[str]) -> int:
    return names.index(text.upper()) + 1 if text.upper() in names else int(text)


def takes(field: str, number: int, low: int, high: int, names: list[str] | None = None) -> bool:
    """Whether a field of values, ranges and steps takes a number: the definition, word by word."""
    for part in field.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            begin, end = low, high
        elif "-" in span:
            begin, end = (value(text, names or []) for text in span.split("-"))
        else:
            begin = value(span, names or [])
            end = high if step else begin
        while end < begin:
            end += high - low + 1
        every = range(begin, end + 1, int(step or 1))
        if number in every or number + high - low + 1 in every:
            return True
    return False


def last_of(day: date) -> date:
    while (day + timedelta(days=1)).month == day.month:
        day += timedelta(days=1)
    return day


def nearest_weekday(day: date, wanted: int) -> date:
    wanted_day = day.replace(day=min(wanted, last_of(day).day))
    for days in (0, -1, 1, -2, 2):
        found = wanted_day + timedelta(days=days)
        if found.month == day.month and found.isoweekday() < 6:
            return found
    raise AssertionError(day)


def takes_day(month_day: str, week_day: str, day: date) -> bool:
    aws_week_day = day.isoweekday() % 7 + 1
    if week_day == "?":
        if month_day == "LW":
            return day == nearest_weekday(day, 31)
        if month_day.startswith("L"):
            return day + timedelta(days=int(month_day[2:] or 0)) == last_of(day)
        if month_day.endswith("W"):
            return day == nearest_weekday(day, int(month_day[:-1]))
        return takes(month_day, day.day, 1, 31)
    if week_day == "L":
        return aws_week_day == 7
    if week_day.endswith("L"):
        return aws_week_day == value(week_day[:-1], DAYS) and (day + timedelta(days=7)).month != day.month
    if "#" in week_day:
        name, which = week_day.split("#")
        of_month = [day.replace(day=number) for number in range(1, day.day + 1)]
        return aws_week_day == value(name, DAYS) and int(which) == sum(
            one.isoweekday() == day.isoweekday() for one in of_month
        )
    return takes(week_day, aws_week_day, 1, 7, DAYS)


def first_after(fields: list[str], now: datetime, days: int) -> datetime | None:
    """The first minute after now, among so many days, that every field takes."""
    minutes, hours, month_day, months, week_day, years = fields
    for number in range(days):
        day = now.date() + timedelta(days=number)
        if not (
            takes(years, day.year, 1970, 2199)
            and takes(months, day.month, 1, 12, MONTHS)
            and takes_day(month_day, week_day, day)
        ):
            continue
        for minute in range(24 * 60):
            moment = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=UTC)
            if moment > now and takes(hours, moment.hour, 0, 23) and takes(minutes, moment.minute, 0, 59):
                return moment
    return None


def plain(low: int, high: int, names: list[str] | None = None, *, wraps: bool = True) -> st.SearchStrategy[str]:
    """Fields of values, ranges and steps."""
    texts = st.integers(low, high).map(str)
    if names:
        texts |= st.sampled_from([*names, *[name.lower() for name in names]])
    ranges = st.tuples(texts, texts).map("-".join)
    if not wraps:
        ranges = st.tuples(st.integers(low, high), st.integers(low, high)).map(lambda two: f"{min(two)}-{max(two)}")
    spans = texts | ranges | st.just("*")
    stepped = st.tuples(spans, st.integers(1, high - low + 3).map(str)).map("/".join)
    return st.lists(spans | stepped, min_size=1, max_size=3).map(",".join)


EITHER_DAY = st.tuples(
    plain(1, 31)
    | st.sampled_from(["L", "LW"])
    | st.integers(1, 31).map(lambda day: f"{day}W")
    | st.integers(0, 30).map(lambda days: f"L-{days}"),
    st.just("?"),
) | st.tuples(
    st.just("?"),
    plain(1, 7, DAYS)
    | st.just("L")
    | st.sampled_from(["1", "6", *DAYS]).map(lambda day: f"{day}L")
    | st.tuples(st.sampled_from(["2", "7", *DAYS]), st.integers(1, 5)).map(lambda two: f"{two[0]}#{two[1]}"),
)


@given(
    plain(0, 59), plain(0, 23), EITHER_DAY, st.just("*") | plain(1, 12, MONTHS),
    st.just("*") | plain(2020, 2035, wraps=False),
    st.datetimes(datetime(2020, 1, 1), datetime(2034, 12, 31)),
)  # fmt: skip
def test_the_next_moment_is_that_of_a_calendar_looked_through_day_by_day_and_minute_by_minute(
    minutes: str, hours: str, days: tuple[str, str], months: str, years: str, now: datetime
) -> None:
    fields = [minutes, hours, days[0], months, days[1], years]
    begin = now.replace(tzinfo=UTC)
    due = cron.parse(f"cron({' '.join(fields)})").next_after(0, int(begin.timestamp() * 1000))
    expected = first_after(fields, begin, days=800)
    if expected is None:
        assert due is None or due > int((begin + timedelta(days=798)).timestamp()) * 1000
    else:
        assert due == int(expected.timestamp()) * 1000
