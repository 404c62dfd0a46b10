"""``penstock status`` and ``penstock reset``: what runs, and beginning anew."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console

from penstock.cli.find import Account, AsJson, Data, Region, Url, client_for
from penstock.cli.problems import TOO_LONG
from penstock.cli.show import console, duration, moment, print_json


def status(
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until all has settled; exit code 124 if it does not.")
    ] = False,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait at most.", min=0)] = 60,
    as_json: AsJson = False,
    url: Url = None,
    data: Data = None,
    account: Account = None,
    region: Region = None,
) -> None:
    """Show what runs: server, clock, applications, and what is under way or due.

    Examples:

    \b
      penstock status
      penstock status --wait --timeout 10 && echo settled
    """
    client = client_for(url, data, account, region)
    quiet = client.own("POST", "/quiet", {"timeoutSeconds": timeout}) if wait else client.own("GET", "/quiet")
    health = client.own("GET", "/health")
    if as_json:
        print_json({**health, "quiet": quiet})
    else:
        _show(console(), health, quiet)
    if wait and not quiet["quiet"]:
        raise typer.Exit(TOO_LONG)


def _show(out: Console, health: dict[str, Any], quiet: dict[str, Any]) -> None:
    def row(name: str, text: str, style: str = "") -> None:
        out.print(f"{name:<13}", style="dim", end="")
        out.print(text, style=style, markup=False)

    row("server", f"{health['endpoint']}  (Penstock {health['version']}, process {health['pid']})")
    row("data", f"{health.get('dataDirectory') or 'in memory'}  (durability: {health['durability']})")
    sandbox = health["sandbox"]
    row("functions", ", ".join(sandbox[part] for part in ("mode", "reason", "python", "node") if sandbox.get(part)))
    clock = health["clock"]
    row("clock", f"{moment(clock['now'])}  {'frozen' if clock['frozen'] else 'flows'}")
    if quiet["quiet"]:
        later = quiet.get("next")
        row(
            "under way",
            "nothing" + (f", next due in {duration(max(later - clock['now'], 0))}" if later else ""),
            "green",
        )
    for phrase in quiet["busy"]:
        row("under way", phrase, "yellow")
    for phrase in quiet.get("outside", ()):
        row("outside", phrase)
    if health.get("faults"):
        row("faults", f"{health['faults']}, please report them; the last: {health.get('lastFault')}", "red")
    for application in health["applications"]:
        failed = "FAILED" in application["state"] or "ROLLBACK" in application["state"]
        row("application", f"{application['name']}  {application['state']}", "red" if failed else "green")
        for name, value in (application.get("outputs") or {}).items():
            row("", f"{name} = {value}")


def reset(
    everything: Annotated[bool, typer.Option("--all", help="Every account.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    data: Data = None,
    account: Account = None,
    region: Region = None,
) -> None:
    """Delete everything an account has: resources, messages, functions, history.

    Its credentials are revoked and its functions ended first, so that nothing old writes into the clean state. It asks
    before it deletes, where there is somebody to ask.

    Examples:

    \b
      penstock reset
      penstock reset --all --yes
    """
    client = client_for(url, data, account, region)
    whose = "every account" if everything else f"account {client.account}"
    out = console(stderr=True)
    if not yes and out.is_terminal:
        typer.confirm(f"Delete everything that {whose} has on {client.url}?", abort=True, err=True)
    answer = client.own("POST", "/reset", {"everything": True} if everything else {"account": client.account})
    if as_json:
        print_json(answer)
    else:
        console().print(f"Everything of {whose} is deleted.")
