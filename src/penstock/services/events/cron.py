"""Schedule expressions: ``rate(5 minutes)`` and ``cron(0 10 ? * MON-FRI *)``. Pure; all times are UTC.

docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html. A cron expression has minutes, hours,
day of month, month, day of week (SUN is 1) and year; one of the two days is ``?``. Beyond what that page says, AWS was
seen to read days as Quartz does: ``LW``, ``L-3`` and ``6L`` are known, names may be written in any case.

The grammar is AWS's and is read here; the calendar (which day is the last, the nearest weekday, the third Tuesday) is
croniter's, to which an expression is told with every range, step and name written out: the two disagree about some of
them, and about the number of Sunday (docs/internals/decisions/the-calendar-is-croniters.md).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from croniter import CroniterBadDateError, croniter

_UNITS_MS: Final = {"minute": 60_000, "hour": 3_600_000, "day": 86_400_000}
_RATE: Final = re.compile(r"rate\(([1-9][0-9]*) (minute|hour|day)(s?)\)")
_CRON: Final = re.compile(r"cron\((.+)\)")
_NUMBER: Final = re.compile(r"[0-9]{1,4}")
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_YEARS: Final = (1970, 2199)
_LARGEST_RATE: Final = 2**31 - 1  # ours: AWS tells no largest value
_END_MS: Final = 253_402_300_800_000  # the year 10000: what would come then never comes


class _Calendar(croniter):
    """croniter with the years that AWS knows; its own end in 2099."""

    RANGES = (*croniter.RANGES[:6], _YEARS)
    LEN_MEANS_ALL = (*croniter.LEN_MEANS_ALL[:6], _YEARS[1] - _YEARS[0] + 1)


class Rate(NamedTuple):
    """Every so often, counted from when the rule was put."""

    every_ms: int

    def next_after(self, moment: int, now: int) -> int | None:
        """The first moment after ``now`` that is a whole number of periods after ``moment``; None: none ever."""
        due = moment + max(1, -(-(now + 1 - moment) // self.every_ms)) * self.every_ms
        return due if due < _END_MS else None


class Cron(NamedTuple):
    """At minutes of a calendar: those of croniter's ``expression``, so many days earlier in the same month."""

    expression: str
    days_before: int

    def next_after(self, moment: int, now: int) -> int | None:
        """The first such minute after ``now``, or None when there is none any more."""
        before = timedelta(days=self.days_before)
        start = datetime.fromtimestamp(max(moment, now) // 1000, UTC) + before
        calendar = _Calendar(self.expression, start, datetime, max_years_between_matches=_YEARS[1] - _YEARS[0])
        while True:
            try:
                found = calendar.get_next()
            except CroniterBadDateError:
                return None
            if found.year > _YEARS[1]:
                return None
            if (found - before).month == found.month:
                return int((found - before).timestamp()) * 1000
            # The month is too short, whatever the minute: the next month is what is looked at, not each of its minutes.
            calendar.set_current(found.replace(hour=23, minute=59), force=True)


def parse(expression: str) -> Rate | Cron:
    """A schedule expression; ValueError when it is none."""
    if rate := _RATE.fullmatch(expression):
        count = int(rate[1])
        if count > _LARGEST_RATE or (count == 1) != (rate[3] == ""):
            raise ValueError(expression)
        return Rate(count * _UNITS_MS[rate[2]])
    cron = _CRON.fullmatch(expression)
    fields = cron[1].upper().split() if cron else []
    if len(fields) != 6:
        raise ValueError(expression)
    minutes, hours, month_day, months, week_day, years = fields
    if (month_day == "?") == (week_day == "?"):
        raise ValueError(expression)
    told_day, days_before = _month_day(month_day)
    told = [
        _told(_numbers(minutes, 0, 59)),
        _told(_numbers(hours, 0, 23)),
        told_day,
        _told(_numbers(months, 1, 12, _MONTHS)),
        _week_day(week_day),
        "0",  # seconds
        "*" if years == "*" else _told(_numbers(years, *_YEARS)),
    ]
    return Cron(" ".join(told), days_before)


def _told(numbers: list[int]) -> str:
    return ",".join(map(str, numbers))


def _numbers(field: str, low: int, high: int, names: tuple[str, ...] = ()) -> list[int]:
    """Every value of a field of numbers, names, ranges and steps; a range may go over the end, as FRI-MON does."""
    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        if span == "*":
            begin, end = low, high
        else:
            begin = _number(first, low, high, names)
            end = _number(last, low, high, names) if dash else high if slash else begin
        width = _number(step, 1, 9999) if slash else 1
        if begin <= end:
            found.update(range(begin, end + 1, width))
        elif high == _YEARS[1]:
            raise ValueError(field)
        else:
            found.update([*range(begin, high + 1), *range(low, end + 1)][::width])
    return sorted(found)


def _number(text: str, low: int, high: int, names: tuple[str, ...] = ()) -> int:
    number = names.index(text) + 1 if text in names else int(text) if _NUMBER.fullmatch(text) else -1
    if not low <= number <= high:
        raise ValueError(text)
    return number


def _month_day(field: str) -> tuple[str, int]:
    """A day of the month in croniter's words, and how many days before it."""
    if field in ("?", "L"):
        return ("*" if field == "?" else "l"), 0
    if field.startswith("L-"):
        return "l", _number(field[2:], 0, 30)
    if field == "LW":
        return "31w", 0  # where there is no 31st, croniter takes the last day
    if field.endswith("W"):
        return f"{_number(field[:-1], 1, 31)}w", 0
    return _told(_numbers(field, 1, 31)), 0


def _week_day(field: str) -> str:
    """A day of the week in croniter's words, where SUN is 0."""
    if field in ("?", "L"):
        return "*" if field == "?" else "6"
    if field.endswith("L"):
        return f"l{_number(field[:-1], 1, 7, _DAYS) - 1}"
    if "#" in field:
        name, _, which = field.partition("#")
        return f"{_number(name, 1, 7, _DAYS) - 1}#{_number(which, 1, 5)}"
    return _told([day - 1 for day in _numbers(field, 1, 7, _DAYS)])
