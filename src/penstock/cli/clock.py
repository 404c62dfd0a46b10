"""``penstock clock``: platform time, shown and moved."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from penstock.cli.find import Account, AsJson, Data, Region, Url, client_for
from penstock.cli.problems import WRONG_USE, Problem
from penstock.cli.show import console, duration, moment, print_json

_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|min|m|h|d)")


class Action(StrEnum):
    """What to do with the clock."""

    SHOW = "show"
    FREEZE = "freeze"
    ADVANCE = "advance"
    RESUME = "resume"


def clock(
    action: Annotated[
        Action, typer.Argument(help="freeze stops time, advance moves it, resume lets it flow.")
    ] = Action.SHOW,
    how: Annotated[
        str | None, typer.Argument(metavar="SPAN|MOMENT", help="For advance: 30s, 15m, 2h30m, 3d, or ISO 8601 (UTC).")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
    data: Data = None,
    account: Account = None,
    region: Region = None,
) -> None:
    """Show, freeze, advance or resume platform time: the time of queues, schedules and retries.

    Everything due on the way of an advance happens first, in order. Functions see the machine's clock, not this one.

    Examples:

    \b
      penstock clock
      penstock clock freeze
      penstock clock advance 15m
      penstock clock advance 2026-12-24T18:00
      penstock clock resume
    """
    if (how is None) == (action is Action.ADVANCE):
        need = "advance needs a span or a moment, such as 15m" if how is None else f"only advance takes {how}"
        raise Problem(f"{need}.", exit_code=WRONG_USE)
    moved = moving(how) if how is not None else {}
    client = client_for(url, data, account, region)
    answer = client.own("GET", "/clock") if action is Action.SHOW else client.own("POST", f"/clock/{action}", moved)
    if as_json:
        print_json(answer)
    else:
        console().print(_line(answer))


def moving(how: str) -> dict[str, Any]:
    """What AdvanceClock takes, for what was typed: a span (2h30m) or a moment."""
    if spans := _SPAN.findall(how):
        if "".join(amount + unit for amount, unit in spans) == how:
            return {"bySeconds": sum(float(amount) * _UNITS[unit] for amount, unit in spans)}
    try:
        at = datetime.fromisoformat(how)
    except ValueError as error:
        raise Problem(
            f"{how} is neither a span, such as 90s, 15m or 2h30m, nor a moment, such as 2026-12-24T18:00",
            exit_code=WRONG_USE,
        ) from error
    return {"to": (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()}


def _line(answer: dict[str, Any]) -> str:
    line = f"{moment(answer['now'])}  {'frozen' if answer['frozen'] else 'flows'}"
    if "fired" in answer:
        line += f", {answer['fired']} timer{'s' * (answer['fired'] != 1)} fired"
    if answer.get("next") is not None:
        line += f", next due in {duration(max(answer['next'] - answer['now'], 0))}"
    return line
