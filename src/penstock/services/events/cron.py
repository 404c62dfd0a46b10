"""Schedule expressions: ``rate(5 minutes)`` and ``cron(0 10 ? * MON-FRI *)``. Pure; all times are UTC.

docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html. A cron expression has minutes, hours,
day of month, month, day of week (SUN is 1) and year; one of the two days is ``?``. ``L``, ``W`` and ``#`` are known.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple

_UNITS_MS: Final = {"minute": 60_000, "hour": 3_600_000, "day": 86_400_000}
_RATE: Final = re.compile(r"rate\((\d+) (minute|hour|day)(s?)\)")
_CRON: Final = re.compile(r"cron\((.+)\)")
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_LAST_YEAR: Final = 2199


class Rate(NamedTuple):
    """Every so often, counted from when the rule was put."""

    every_ms: int

    def next_after(self, moment: int, now: int) -> int:
        """The first moment after ``now`` that is a whole number of periods after ``moment``."""
        return moment + max(1, -(-(now + 1 - moment) // self.every_ms)) * self.every_ms


class Cron(NamedTuple):
    """At minutes of a calendar."""

    minutes: list[int]
    hours: list[int]
    months: frozenset[int]
    years: frozenset[int]
    on: Callable[[date], bool]

    def next_after(self, moment: int, now: int) -> int | None:
        """The first such minute after ``now``, or None when there is none any more."""
        start = datetime.fromtimestamp(max(moment, now) // 60_000 * 60, UTC) + timedelta(minutes=1)
        day = start.date()
        while day.year <= _LAST_YEAR:
            if day.year not in self.years:
                later = [year for year in self.years if year > day.year]
                if not later:
                    return None
                day = date(min(later), 1, 1)
            elif day.month not in self.months:
                day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
            else:
                if self.on(day):
                    for hour in self.hours:
                        for minute in self.minutes:
                            found = datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)
                            if found >= start:
                                return int(found.timestamp()) * 1000
                day += timedelta(days=1)
        return None


def parse(expression: str) -> Rate | Cron:
    """A schedule expression; ValueError when it is none."""
    if rate := _RATE.fullmatch(expression):
        count = int(rate[1])
        if count < 1 or (count == 1) != (rate[3] == ""):
            raise ValueError(expression)
        return Rate(count * _UNITS_MS[rate[2]])
    cron = _CRON.fullmatch(expression)
    fields = cron[1].split() if cron else []
    if len(fields) != 6:
        raise ValueError(expression)
    minutes, hours, month_day, months, week_day, years = fields
    if (month_day == "?") == (week_day == "?"):
        raise ValueError(expression)
    return Cron(
        sorted(_numbers(minutes, 0, 59)),
        sorted(_numbers(hours, 0, 23)),
        _numbers(months, 1, 12, _MONTHS),
        _numbers(years, 1970, _LAST_YEAR),
        _on_month_day(month_day) if week_day == "?" else _on_week_day(week_day),
    )


def _numbers(field: str, low: int, high: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            begin, end = low, high
        else:
            begin = _number(first, low, high, names)
            end = _number(last, low, high, names) if dash else high if slash else begin
        width = int(step) if slash else 1
        if width < 1:
            raise ValueError(field)
        if begin <= end:
            found.update(range(begin, end + 1, width))
        else:  # FRI-MON
            found.update([*range(begin, high + 1), *range(low, end + 1)][::width])
    return frozenset(found)


def _number(text: str, low: int, high: int, names: tuple[str, ...]) -> int:
    number = names.index(text.upper()) + 1 if text.upper() in names else int(text)
    if not low <= number <= high:
        raise ValueError(text)
    return number


def _on_month_day(field: str) -> Callable[[date], bool]:
    if field == "L":
        return lambda day: day.day == _length(day)
    if field.endswith("W"):
        wanted = 0 if field == "LW" else _number(field[:-1], 1, 31, ())
        return lambda day: day.day == _nearest_weekday(day, wanted or _length(day))
    days = _numbers(field, 1, 31)
    return lambda day: day.day in days


def _on_week_day(field: str) -> Callable[[date], bool]:
    if field == "L":
        return lambda day: _week_day(day) == 7
    if field.endswith("L"):
        last = _number(field[:-1], 1, 7, _DAYS)
        return lambda day: _week_day(day) == last and day.day > _length(day) - 7
    if "#" in field:
        name, _, which = field.partition("#")
        wanted, week = _number(name, 1, 7, _DAYS), _number(which, 1, 5, ())
        return lambda day: _week_day(day) == wanted and (day.day - 1) // 7 + 1 == week
    days = _numbers(field, 1, 7, _DAYS)
    return lambda day: _week_day(day) in days


def _week_day(day: date) -> int:
    """SUN is 1."""
    return day.isoweekday() % 7 + 1


def _length(day: date) -> int:
    return monthrange(day.year, day.month)[1]


def _nearest_weekday(day: date, wanted: int) -> int:
    """The day of month from Monday to Friday that is nearest to the wanted one, in the same month."""
    length = _length(day)
    wanted = min(wanted, length)
    match day.replace(day=wanted).isoweekday():
        case 6:
            return wanted - 1 if wanted > 1 else wanted + 2
        case 7:
            return wanted + 1 if wanted < length else wanted - 2
        case _:
            return wanted
