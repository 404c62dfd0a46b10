"""``penstock clock``: platform time, shown and moved."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from penstock.cli.find import Account, AsJson, Data, Region, Url, client_for
from penstock.cli.problems import WRONG_USE, Problem
from penstock.cli.show import console, duration, moment, print_json

app = typer.Typer(
    help="""Show, freeze, advance or resume platform time: the time of queues, schedules and retries.

Functions see the machine's clock, not this one.

Examples:

\b
  penstock clock
  penstock clock freeze
  penstock clock advance 15m
  penstock clock advance 2026-12-24T18:00
  penstock clock resume
""",
    rich_markup_mode=None,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|min|m|h|d)")


@app.callback()
def clock(
    context: typer.Context, as_json: AsJson = False, url: Url = None, data: Data = None,
    account: Account = None, region: Region = None,
) -> None:  # fmt: skip
    """Show platform time unless a command says otherwise."""
    context.obj = (client_for(url, data, account, region), as_json)
    if context.invoked_subcommand is None:
        _show(context, context.obj[0].own("GET", "/clock"))


clock.__doc__ = None  # the help is the group's own


@app.command()
def freeze(context: typer.Context) -> None:
    """Stop platform time where it is."""
    _show(context, context.obj[0].own("POST", "/clock/freeze"))


@app.command()
def resume(context: typer.Context) -> None:
    """Let platform time flow on from where it stands."""
    _show(context, context.obj[0].own("POST", "/clock/resume"))


@app.command()
def advance(
    context: typer.Context,
    how: Annotated[
        str, typer.Argument(metavar="SPAN|MOMENT", help="30s, 15m, 2h30m, 3d, or an ISO 8601 moment (UTC).")
    ],
) -> None:
    """Move platform time forward. Everything due until then happens first, in order."""
    _show(context, context.obj[0].own("POST", "/clock/advance", moving(how)))


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


def _show(context: typer.Context, answer: dict[str, Any]) -> None:
    if context.obj[1]:
        print_json(answer)
        return
    state = "frozen" if answer["frozen"] else "flows"
    line = f"{moment(answer['now'])}  {state}"
    if "fired" in answer:
        line += f", {answer['fired']} timer{'s' * (answer['fired'] != 1)} fired"
    if answer.get("next") is not None:
        line += f", next due in {duration(max(answer['next'] - answer['now'], 0))}"
    console().print(line)
