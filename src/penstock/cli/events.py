"""``penstock events``: what happened, as a list or as a table that lives."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterator, Sequence
from itertools import islice
from typing import Annotated, Any, Final

import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from penstock.cli.client import Client
from penstock.cli.find import Account, AsJson, Data, Region, Url, client_for, interruptible
from penstock.cli.show import clock_time, console, moment, print_json, print_json_line, resource, size

LOOK_AGAIN_S: Final = 0.3  # machine seconds between two looks at the journal
WIDE: Final = 130  # columns that a line for each event takes
PAGE: Final = 1000  # events of one look at the journal
REMEMBERED: Final = 20_000  # events known to have been shown, so that none is shown twice


def events(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Stay and show what comes, until Ctrl-C.")] = False,
    kind: Annotated[str | None, typer.Option("--kind", help="Such as sqs:SendMessage, or a service: sqs.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="A resource's ARN or name.")] = None,
    state: Annotated[str | None, typer.Option("--state", help="With a hop that is waiting, running, failed…")] = None,
    outside: Annotated[bool, typer.Option("--outside", help="Only what nothing on this platform caused.")] = False,
    everyone: Annotated[bool, typer.Option("--all-accounts", help="Of every account.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the latest.", min=1, max=1000)] = 20,
    as_json: AsJson = False,
    url: Url = None,
    data: Data = None,
    account: Account = None,
    region: Region = None,
) -> None:
    """Show what happened, the latest last; `penstock trace ID` explains one.

    Examples:

    \b
      penstock events -f
      penstock events --kind sqs:SendMessage --source orders
      penstock events --state failed --json
    """
    client = client_for(url, data, account, region)
    wanted = {
        "kind": kind, "source": source, "state": state, "outsideOnly": outside or None,
        "allAccounts": everyone or None, "limit": lines, "newestFirst": True,
    }  # fmt: skip
    if not follow:
        found = latest(client, wanted)
        if as_json:
            print_json(found)
        else:
            _print(found)
        return
    with interruptible():
        if console().is_terminal and not as_json:
            _follow_table(client, wanted)
        else:
            show = print_json_line if as_json else _print_line
            for event in followed(client, wanted):
                show(event)


def latest(client: Client, wanted: dict[str, Any]) -> list[dict[str, Any]]:
    """The latest events, oldest first."""
    return list(reversed(client.own("GET", "/events", **wanted)["events"]))


def _print(found: Sequence[dict[str, Any]]) -> None:
    if not found:
        console(stderr=True).print("Nothing has happened yet that this would show.")
    elif console().is_terminal:
        console().print(table(found, console().width))
    else:
        for event in found:
            _print_line(event)


def followed(
    client: Client, wanted: dict[str, Any], wait: Callable[[float], object] | None = None
) -> Iterator[dict[str, Any]]:
    """The latest events and then each that comes, once, for ever.

    Ids rise as calls begin, so one of a call that took long comes among older ones: every look goes back over PAGE
    events, and on until it meets one that was there before.
    """
    wait = wait or threading.Event().wait
    found = latest(client, wanted | {"limit": PAGE})
    yield from found[-wanted["limit"] :]
    seen = dict.fromkeys(event["eventId"] for event in found)
    while True:
        wait(LOOK_AGAIN_S)
        found = _unseen(client, wanted, seen)
        yield from found
        seen |= dict.fromkeys(event["eventId"] for event in found)
        for old in list(islice(seen, max(len(seen) - REMEMBERED, 0))):
            del seen[old]


def _unseen(client: Client, wanted: dict[str, Any], seen: Container[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    asked = wanted | {"limit": PAGE}
    while True:
        answer = client.own("GET", "/events", **asked)
        unseen = [event for event in answer["events"] if event["eventId"] not in seen]
        found += unseen
        if len(unseen) < len(answer["events"]) or "next" not in answer:
            return found[::-1]
        asked["after"] = answer["next"]


def _follow_table(client: Client, wanted: dict[str, Any]) -> None:
    out = console()
    rows = min(wanted["limit"], max((out.height - 3) // (1 if out.width >= WIDE else 2), 1))
    with Live(table(latest(client, wanted)[-rows:], out.width), console=out, auto_refresh=False) as live:
        while True:
            threading.Event().wait(LOOK_AGAIN_S)
            live.update(table(latest(client, wanted)[-rows:], out.width), refresh=True)


def table(found: Sequence[dict[str, Any]], width: int = WIDE) -> Table:
    """Events as a table; where ``width`` columns are too few for a line each, in two lines each."""
    if width < WIDE:
        return _narrow(found)
    made = Table(box=None, pad_edge=False, header_style="dim")
    made.add_column("time (UTC)")
    made.add_column("what")
    made.add_column("to what")
    made.add_column("size", justify="right")
    made.add_column("went on to")
    made.add_column("id", style="dim", no_wrap=True)
    for event in found:
        made.add_row(
            clock_time(event["at"]), event["kind"], resource(event["source"]), size(event["size"]), _hops(event),
            event["eventId"],
        )  # fmt: skip
    return made


def _narrow(found: Sequence[dict[str, Any]]) -> Table:
    made = Table(box=None, pad_edge=False, header_style="dim")
    made.add_column("time (UTC)", no_wrap=True, width=12)
    made.add_column("what\nto what", no_wrap=True, overflow="ellipsis")
    made.add_column("went on to\nid", no_wrap=True, width=36)
    for event in found:
        last = Text("\n").join([_hops(event), Text(event["eventId"], style="dim")])
        made.add_row(clock_time(event["at"]), f"{event['kind']}\n{resource(event['source'])}", last)
    return made


def _hops(event: dict[str, Any]) -> Text:
    """How its hops stand."""
    failed, waiting = event["failedHops"], event["waitingHops"]
    done = event["hops"] - failed - waiting
    parts = [(f"{done} done", "green")] if done else []
    if waiting:
        parts.append((f"{waiting} under way", "yellow"))
    if failed:
        parts.append((f"{failed} failed", "bold red"))
    return Text(", ").join([Text(*part) for part in parts])


def _print_line(event: dict[str, Any]) -> None:
    parts = [moment(event["at"]), event["eventId"], event["kind"], event["source"], size(event["size"])]
    print("  ".join([*parts, _hops(event).plain]).rstrip(), flush=True)
