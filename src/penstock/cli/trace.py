"""``penstock trace``: everything an event caused."""

from __future__ import annotations

from typing import Annotated

import typer

from penstock.cli.find import Account, AsJson, Data, Region, Url, client_for
from penstock.cli.show import console, print_json
from penstock.cli.tree import event_tree


def trace(
    event: Annotated[str, typer.Argument(metavar="ID", help="A message id, event id, request id, or hop id.")],
    from_roots: Annotated[
        bool, typer.Option("--roots", help="Begin with what came from outside and led to it.")
    ] = False,
    why: Annotated[
        bool, typer.Option("--why", help="Tell why each rule of a bus took an event or did not, and where runs logged.")
    ] = False,
    payloads: Annotated[
        bool, typer.Option("--payloads", help="Show what went in, and what each target got where that is another.")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until all has settled first (a minute at most).")] = False,
    as_json: AsJson = False,
    url: Url = None,
    data: Data = None,
    account: Account = None,
    region: Region = None,
) -> None:
    """Show everything an event caused: hops, attempts, durations, payload sizes, errors.

    An id is what AWS's answers carry: the MessageId of a send, the request id of an invoke, the EventId of a put.
    --why asks the rules as they are now about the event as it was put. --json has all of a payload's first 4,096
    characters, the tree its first lines.

    Examples:

    \b
      penstock trace 3f6c0a5e-…
      penstock trace $(penstock send orders '{"id": 1}') --wait
      penstock trace 3f6c0a5e-… --why
      penstock trace 3f6c0a5e-… --payloads --roots --json
    """
    client = client_for(url, data, account, region)
    if wait:
        client.own("POST", "/quiet", {})
    asked = {"fromRoots": from_roots or None, "why": why or None, "payloads": payloads or None}
    found = client.own("GET", f"/events/{event}/trace", **asked)
    if as_json:
        print_json(found)
        return
    out = console()
    for tree in event_tree(found, logs=why):
        out.print(tree)
    notes = console(stderr=True)
    if found["causes"] and not from_roots:
        caused = ", ".join(found["causes"][:3]) + (" and others" if len(found["causes"]) > 3 else "")
        notes.print(f"Caused by {caused}: --roots begins there.", style="dim")
    if found["truncated"]:
        notes.print(f"Only the first {len(found['events'])} events are shown: there are more.", style="yellow")
