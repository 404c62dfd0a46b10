"""Deploying and removing over a server's own API, with what is shown of it; ``penstock down``."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import typer
from rich.console import Console

from penstock.base.errors import TemplateError
from penstock.cli.client import Client
from penstock.cli.find import Account, AsJson, Data, Region, Url, address, client_for, running_on, settings_for
from penstock.cli.problems import NO_SERVER, NOT_FOUND, TOO_LONG, WRONG_USE, Problem, Unreachable
from penstock.cli.show import console, print_json
from penstock.deploy.samconfig import Found, find
from penstock.store.lock import owner_of

STOP_S: Final = 20.0  # machine seconds a server has to stop


def choose(
    given: Path | None, name: str | None, parameters: Iterable[str], environment: str = "default"
) -> Found | None:
    """What is to be deployed; None when no template was named and the folder has none."""
    if given is not None and not given.exists():
        raise Problem(f"{given} does not exist: name a template file or a folder that has one.", exit_code=WRONG_USE)
    try:
        found = find(given or Path.cwd(), name=name, environment=environment,
                     given=dict(_parameter(each) for each in parameters))  # fmt: skip
    except TemplateError as error:
        raise Problem(error.message) from error
    if found is None and given is not None:
        raise Problem(f"{given} has no template.yaml, template.yml or template.json.", exit_code=WRONG_USE)
    return found


def _parameter(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals or not name:
        raise Problem(f"--param {given} has no value: write NAME=VALUE", exit_code=WRONG_USE)
    return name, value


# --- showing what goes on


def deploy(client: Client, chosen: Found, *, stub_unknown: bool, out: Console) -> dict[str, Any]:
    """Deploy, showing what happens; what was made. Problem, with resource and line, when it could not be."""
    request = {"name": chosen.name, **_request(chosen, stub_unknown, out)}
    return follow(client.progress("POST", "/applications", request), chosen.name, out)


def watch(
    client: Client, chosen: Found, *, stub_unknown: bool, out: Console
) -> tuple[dict[str, Any], Iterator[Mapping[str, Any]]]:
    """Deploy in the same way, and have every edit taken over for as long as the lines are read that come with it."""
    request = _request(chosen, stub_unknown, out)
    lines = client.progress("POST", f"/applications/{chosen.name}/watch", request)
    return follow(lines, chosen.name, out), lines


def show_edits(
    lines: Iterable[Mapping[str, Any]], out: Console, alone: AbstractContextManager[Any] | None = None
) -> None:
    """Show what edits do, until the server goes away; ``alone`` is held while something is shown."""
    alone = alone or nullcontext()
    try:
        for line in lines:
            with alone:
                if "error" in line:
                    out.print(f"No longer watching: {line['error']['message']}", style="red", markup=False)
                else:
                    _show_line(line, out)
    except Unreachable:
        return  # whoever else talks to the server says so


def _request(chosen: Found, stub_unknown: bool, out: Console) -> dict[str, Any]:
    if chosen.ignored:
        out.print(f"samconfig.toml: without effect here: {', '.join(chosen.ignored)}", style="yellow", markup=False)
    return {
        "template": str(chosen.template), "parameters": dict(chosen.parameters), "tags": dict(chosen.tags),
        "stubUnknown": stub_unknown,
    }  # fmt: skip


def follow(lines: Iterable[Mapping[str, Any]], name: str, out: Console) -> dict[str, Any]:
    """Show progress until it is over, and return its last word."""
    for line in lines:
        if "done" in line:
            done: dict[str, Any] = line["done"]
            return done
        if "error" in line:
            raise Problem(f"{name}: {line['error']['message']}")
        _show_line(line, out)
    raise Unreachable(f"The server ended before {name} was done: look at its log, and run the command again.")


def _show_line(line: Mapping[str, Any], out: Console) -> None:
    state = line.get("state", "")
    bad = "FAILED" in state or "ROLLBACK" in state
    style = "red" if bad else "dim" if state.endswith("_IN_PROGRESS") or state == "BUILDING" else "green"
    style = "yellow" if state == "WARNING" else style
    out.print(f"  {state.replace('_', ' ').lower():<20}", style=style, end=" ")
    what = (
        f"{line['resource']}  ({line['type']})"
        if line.get("resource") and line.get("type")
        else line.get("resource") or line.get("application", "")
    )
    out.print("  ".join(part for part in (what, line.get("message", "")) if part), markup=False)


def show_result(client: Client, chosen: Found, done: Mapping[str, Any], out: Console) -> None:
    """Outputs, endpoints, what to know, and how SDKs get there."""
    for warning in done["warnings"]:
        out.print(f"Warning: {warning}", style="yellow", markup=False)
    if done["newlyKept"]:
        out.print("Kept without effect here (validated, stored, given back):", style="yellow")
        for kept in done["newlyKept"]:
            out.print(f"  {kept}", markup=False)
    application = client.own("GET", f"/applications/{chosen.name}")
    _table(out, "Outputs", application["outputs"].items())
    queues = _of_type(application, "AWS::SQS::Queue")
    _table(out, "Queues", ((name, client.url + urlsplit(url).path) for name, url in queues))
    _table(
        out,
        "Functions",
        ((name, f"penstock invoke {id_}") for name, id_ in _of_type(application, "AWS::Lambda::Function")),
    )
    stubs = [(each["logicalId"], each["type"]) for each in application["resources"] if each.get("stub")]
    _table(out, "Stubs (names only: nothing is behind them)", stubs)


def _of_type(application: Mapping[str, Any], type_: str) -> list[tuple[str, str]]:
    return [(each["logicalId"], each["physicalId"]) for each in application["resources"] if each["type"] == type_]


def _table(out: Console, title: str, rows: Iterable[tuple[str, str]]) -> None:
    rows = list(rows)
    if rows:
        out.print(title, style="bold")
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            out.print(f"  {name:<{width}}  {value}", markup=False)


def show_exports(client: Client, out: Console) -> None:
    """The lines that point SDKs and the AWS CLI here."""
    out.print("For SDKs and the AWS CLI", style="bold")
    for line in exports(client):
        out.print(f"  export {line}", markup=False)


def exports(client: Client) -> list[str]:
    """The environment variables that point SDKs and the AWS CLI here."""
    return [
        f"AWS_ENDPOINT_URL={client.url}", f"AWS_REGION={client.region}", f"AWS_DEFAULT_REGION={client.region}",
        f"AWS_ACCESS_KEY_ID={client.key_id}", f"AWS_SECRET_ACCESS_KEY={client.secret}",
    ]  # fmt: skip


# --- down


def down(
    application: Annotated[
        str | None, typer.Argument(help="Its name; else that of the template in this folder, or the only one there is.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove every application and stop the server.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Only stop the server; its state is kept.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    data: Data = None,
    account: Account = None,
    region: Region = None,
) -> None:
    """Remove an application, or stop the server.

    Examples:

    \b
      penstock down            remove the application of this folder
      penstock down --stop     stop the server that runs in the background, if one does; state is kept
      penstock down --all      remove every application, then stop the server
    """
    out = console(stderr=as_json)
    try:
        client = client_for(url, data, account, region)
        client.own("GET", "/health")
    except Problem as problem:
        if everything or not stop or problem.exit_code != NO_SERVER:
            raise
        _say_that_nothing_runs(url, data, out, as_json)
        return
    if application is None and url is None:
        _check_ours(client, data)
    removed: list[str] = []
    if not stop:
        there = client.own("GET", "/applications")["applications"]
        if not everything:
            there = [_which(application, [each for each in there if _is_mine(each, client)])]
        for each in there:
            at = client.within(each["account"], each["region"])
            follow(at.progress("DELETE", f"/applications/{each['name']}"), each["name"], out)
            removed.append(each["name"])
    if stop or everything:
        _stop(client, data, out)
    if as_json:
        print_json({"removed": removed, "stopped": stop or everything})
    elif removed:
        out.print(f"Removed {', '.join(removed)}.", style="green", markup=False)


def _say_that_nothing_runs(url: str | None, data: Path | None, out: Console, as_json: bool) -> None:
    """What was to be stopped is not there: that is how it should be. Problem while a server is starting."""
    settings = settings_for(data=data)
    url = url or settings.environment.get("AWS_ENDPOINT_URL")
    folder = None if url else settings.data
    owner = owner_of(folder) if folder is not None and folder.is_dir() else None
    if owner is not None:
        raise Problem(f"Process {owner.get('pid', '?')} is starting a server on {folder}: try again in a moment.")
    if as_json:
        print_json({"removed": [], "stopped": False})
    else:
        where = f"at {url or address(settings)}" if folder is None else f"on {folder}"
        out.print(f"No server runs {where}: there is nothing to stop.", markup=False)


def _check_ours(client: Client, data: Path | None) -> None:
    """Refuse the server of another folder that happens to listen on the usual port: nobody has named it."""
    settings = settings_for(data=data)
    if settings.environment.get("AWS_ENDPOINT_URL") or running_on(settings.data) is not None:
        return
    other = client.own("GET", "/health").get("dataDirectory")
    if other:
        raise Problem(
            f"No server runs on {settings.data}. The one at {client.url} serves {other}: to mean it, give "
            f"--url {client.url}."
        )


def _is_mine(application: Mapping[str, Any], client: Client) -> bool:
    return bool(application["account"] == client.account and application["region"] == client.region)


def _which(given: str | None, there: list[dict[str, Any]]) -> dict[str, Any]:
    """The application that is meant: by its name, else this folder's, else the only one."""
    by_name = {each["name"]: each for each in there}
    if not there:
        named = f"{given}, nor any other" if given else "to remove; `penstock down --stop` stops the server"
        raise Problem(f"There is no application {named}.", exit_code=NOT_FOUND)
    if given is None:
        chosen = choose(None, None, ())
        given = chosen.name if chosen is not None and chosen.name in by_name else None
        if given is None and len(there) == 1:
            given = there[0]["name"]
    if given is None or given not in by_name:
        have = f"There are: {', '.join(by_name)}; name the one that is meant."
        raise Problem(f"{'Which application?' if given is None else f'There is no application {given}.'} {have}",
                      exit_code=NOT_FOUND)  # fmt: skip
    return by_name[given]


def _stop(client: Client, data: Path | None, out: Console) -> None:
    """Have the server stop, and wait until it has."""
    health = client.own("GET", "/health")
    pid = health["pid"]
    owner = running_on(settings_for(data=data).data)
    if owner is not None and owner.get("pid") != pid:
        raise Problem(
            f"The server at {client.url} is not the one on this data directory: name one with --url or --data."
        )
    stop_process(pid)
    kept = f"; the state is kept in {health['dataDirectory']}" if health.get("dataDirectory") else ""
    out.print(f"The server at {client.url} has stopped{kept}.", markup=False)


def stop_process(pid: int) -> None:
    """Have a server's process stop, and wait until it has; Problem when it does not."""
    try:
        os.kill(pid, signal.SIGTERM)
    except (ProcessLookupError, PermissionError) as error:
        raise Problem(f"Process {pid} cannot be stopped from here: {error.strerror}.") from error
    if not wait_until(lambda: not _is_running(pid), STOP_S):
        raise Problem(f"Process {pid} is still stopping after {STOP_S:.0f} s: look at its log.", exit_code=TOO_LONG)


def wait_until(holds: Callable[[], bool], limit_s: float, step_s: float = 0.02) -> bool:
    """Look again and again until something holds; False when it does not within the limit."""
    pause = threading.Event().wait
    for _ in range(round(limit_s / step_s)):
        if holds():
            return True
        pause(step_s)
    return holds()


def _is_running(pid: int) -> bool:
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:  # our own child, which has ended
            return False
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
