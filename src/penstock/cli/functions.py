"""``penstock invoke`` and ``penstock logs``: functions, run and read."""

from __future__ import annotations

import base64
import sys
import threading
from collections.abc import Callable, Container, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from penstock.cli.client import Client
from penstock.cli.find import (
    Account,
    AsJson,
    Data,
    Region,
    Url,
    client_for,
    interruptible,
    known,
    physical,
    physical_of,
    settings_for,
)
from penstock.cli.problems import FAILED, NOT_FOUND, WRONG_USE, Problem, Unreachable
from penstock.cli.show import clock_time, console, print_json, print_json_line

LOOK_AGAIN_S: Final = 0.3  # machine seconds between two looks at what was logged
_GROUP: Final = "/aws/lambda/"
_FUNCTION: Final = "AWS::Lambda::Function"
_FUNCTION_ERROR: Final = "X-Amz-Function-Error"


def invoke(
    function: Annotated[str, typer.Argument(help="The function's name (here or in its template) or ARN.")],
    payload: Annotated[str, typer.Argument(help="The event, as JSON; @FILE reads a file, - standard input.")] = "{}",
    later: Annotated[bool, typer.Option("--async", help="Put it into the function's queue and do not wait.")] = False,
    log: Annotated[bool, typer.Option("--log", help="Show the end of its log as well, on standard error.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    data: Data = None,
    account: Account = None,
    region: Region = None,
) -> None:
    """Run a function and print its answer. The exit code is 1 when the function failed.

    Examples:

    \b
      penstock invoke intake '{"customer": 7}'
      penstock invoke intake @order.json --log
      penstock invoke intake '{}' --async
    """
    client = client_for(url, data, account, region)
    event, kind = _payload(payload), "Event" if later else "RequestResponse"
    try:
        headers, answer = client.invoke(function, event, kind=kind, tail=log and not later)
    except Problem as problem:
        if problem.exit_code != NOT_FOUND:
            raise
        found = physical_of(client, function, _FUNCTION, problem)
        headers, answer = client.invoke(found, event, kind=kind, tail=log and not later)
    failed = headers.get(_FUNCTION_ERROR)
    if log and (tail := headers.get("X-Amz-Log-Result")):
        console(stderr=True).print(base64.b64decode(tail).decode(errors="replace"), markup=False, style="dim", end="")
    if as_json:
        document = {"requestId": headers.get("x-amzn-RequestId"), "functionError": failed}
        print_json(document | {"payload": answer.decode(errors="replace")})
    elif later:
        console().print(headers.get("x-amzn-RequestId") or "", markup=False)
    else:
        console().print(answer.decode(errors="replace"), markup=False)
    if failed:
        raise typer.Exit(FAILED)


def _payload(given: str) -> bytes:
    if given == "-":
        return sys.stdin.buffer.read()
    if given.startswith("@"):
        try:
            return Path(given[1:]).expanduser().read_bytes()
        except OSError as error:
            raise Problem(f"{given[1:]} cannot be read: {error.strerror}", exit_code=WRONG_USE) from error
    return given.encode()


def logs(
    functions: Annotated[
        list[str] | None, typer.Argument(help="Functions, or log groups; all functions if none.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    pattern: Annotated[str | None, typer.Option("--filter", help="A CloudWatch Logs filter pattern.")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the latest lines.", min=0)] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document per line.")] = False,
    url: Url = None,
    data: Data = None,
    account: Account = None,
    region: Region = None,
) -> None:
    """Show what functions logged.

    Examples:

    \b
      penstock logs -f
      penstock logs payment --filter ERROR
    """
    client = client_for(url, data, account, region)
    functions = [physical(client, each, _FUNCTION) or each for each in functions or ()]
    show = _show_json if as_json else Lines(len(functions) != 1).show
    place = newest(client) if follow else ""
    found = sorted(read_logs(client, functions, pattern, since=0), key=lambda line: line["timestamp"])
    for line in found[-lines:] if lines else ():
        show(line)
    if follow:
        with interruptible():
            for line in follow_logs(client, functions, pattern, place, {line["eventId"] for line in found}):
                show(line)


def read_logs(client: Client, functions: list[str] | None, pattern: str | None, since: int) -> Iterator[dict[str, Any]]:
    """Log lines of some functions (all of them if none is named), each with its group's name."""
    for group in _groups(client, functions):
        request: dict[str, Any] = {"logGroupName": group, "startTime": since}
        if pattern:
            request["filterPattern"] = pattern
        while True:
            try:
                answer = client.json("logs", "Logs_20140328.FilterLogEvents", request, "1.1")
            except Problem as problem:
                if problem.code == "ResourceNotFoundException":
                    if functions:
                        raise Problem(
                            f"There is no log {group}: the function has not run yet, or has another name. "
                            f"{known(client, _FUNCTION)}", exit_code=NOT_FOUND,
                        ) from problem  # fmt: skip
                    break
                raise
            for event in answer.get("events", ()):
                yield {**event, "logGroupName": group}
            if not answer.get("nextToken"):
                break
            request["nextToken"] = answer["nextToken"]


def newest(client: Client) -> str:
    """Where ``follow_logs`` goes on from, so that nothing but what comes from now on is shown."""
    place: str = client.own("GET", "/logs")["next"]
    return place


def follow_logs(
    client: Client, functions: list[str] | None, pattern: str | None, place: str, seen: Container[str] = (),
    wait: Callable[[float], object] | None = None,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Log lines as they are written, for ever; a run's are when it ends. ``seen`` are ids of lines to leave out."""
    wait = wait or threading.Event().wait
    while True:
        answer = client.own("GET", "/logs", after=place, filter=pattern)
        for line in answer["lines"]:
            if line["eventId"] not in seen and (not functions or _wanted(line, functions)):
                yield line
        place = answer["next"]
        if not answer["more"]:
            wait(LOOK_AGAIN_S)


def follow_beside(url: str, place: str) -> None:
    """Show what all functions log until the server goes away: what ``up`` runs in a process of its own."""
    settings = settings_for(Path("/"))
    client = Client(url, account=settings.account, region=settings.region, keys=settings.access_keys)
    show = Lines(named=True).show
    with interruptible(), suppress(Unreachable):
        for line in follow_logs(client, None, None, place):
            show(line)


def _wanted(line: dict[str, Any], functions: list[str]) -> bool:
    return line["logGroupName"] in {_group(each) for each in functions}


def _group(function: str) -> str:
    return function if function.startswith("/") else _GROUP + function.rpartition(":")[2]


def _groups(client: Client, functions: list[str] | None) -> list[str]:
    if functions:
        return [_group(each) for each in functions]
    request: dict[str, Any] = {"logGroupNamePrefix": _GROUP}
    names: list[str] = []
    while True:
        answer = client.json("logs", "Logs_20140328.DescribeLogGroups", request, "1.1")
        names += [group["logGroupName"] for group in answer.get("logGroups", ())]
        if not answer.get("nextToken"):
            return names
        request["nextToken"] = answer["nextToken"]


class Lines:
    """Log lines on a terminal: time, function in a colour of its own, text."""

    COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta", "bright_green")

    def __init__(self, named: bool) -> None:
        self._named = named
        self._colours: dict[str, str] = {}
        self._out = console()

    def show(self, line: dict[str, Any]) -> None:
        """Print a line."""
        at = clock_time(line["timestamp"] / 1000)
        name = line["logGroupName"].removeprefix(_GROUP) if self._named else ""
        message = line["message"].rstrip("\n").replace("\t", "  ")
        if not self._out.is_terminal:  # many lines may come at once: they do not take the long way through styles
            sys.stdout.write("  ".join(part for part in (at, name) if part) + f"  {message}\n")
            sys.stdout.flush()
            return
        colour = self._colours.setdefault(name, self.COLOURS[len(self._colours) % len(self.COLOURS)])
        ours = message.startswith(("START RequestId", "END RequestId", "REPORT RequestId", "INIT_START"))
        parts: list[tuple[str, str]] = [(f"{at}  ", "dim")]
        if name:
            parts.append((f"{name}  ", colour))
        self._out.print(Text.assemble(*parts, (message, "dim" if ours else "")))


def _show_json(line: dict[str, Any]) -> None:
    print_json_line(line)
