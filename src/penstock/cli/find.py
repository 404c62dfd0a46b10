"""Which server a command talks to, and the options that say so."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from penstock.base.names import is_account
from penstock.cli.client import Client
from penstock.cli.problems import NO_SERVER, WRONG_USE, Problem
from penstock.settings import DATA_FOLDER, Settings, SettingsError, load
from penstock.store.lock import owner_of

PROBE_S: Final = 2  # machine seconds a server has to say who it is

Url = Annotated[
    str | None,
    typer.Option("--url", help="The server's address; else of the data directory, AWS_ENDPOINT_URL or the port."),
]
Data = Annotated[Path | None, typer.Option("--data", help="The data directory.", show_default=".penstock")]
Account = Annotated[str | None, typer.Option("--account", help="The account to work in.", show_default="000000000000")]
Region = Annotated[str | None, typer.Option("--region", help="The region to work in.", show_default="us-east-1")]
AsJson = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]


def settings_for(folder: Path | None = None, **given: Any) -> Settings:
    """The settings in force for a folder, with what the command line gave."""
    try:
        settings = load(folder, **given)
    except SettingsError as error:
        raise Problem(str(error), exit_code=WRONG_USE) from error
    if not is_account(settings.account):
        raise Problem(f"{settings.account} is no account: that is twelve digits.", exit_code=WRONG_USE)
    return settings


def client_for(url: str | None, data: Path | None, account: str | None, region: str | None) -> Client:
    """A client for the server of --url, else that on the data directory, of AWS_ENDPOINT_URL, or on the port."""
    settings = settings_for(data=data, account=account, region=region)
    if url is None:
        url = address_in_force(settings)
        if running_on(settings.data) is None and url == address(settings) and settings.port == 0:
            raise Problem(
                f"No Penstock server runs on {settings.data}. "
                "Start one with `penstock up`, or name another with --url.",
                exit_code=NO_SERVER,
            )
    return Client(url, account=settings.account, region=settings.region, keys=settings.access_keys)


def address_in_force(settings: Settings) -> str:
    """Where a command that names no server looks for one."""
    owner = running_on(settings.data)
    return str(owner["url"]) if owner else settings.environment.get("AWS_ENDPOINT_URL") or address(settings)


def running_on(data: Path | None) -> Mapping[str, Any] | None:
    """Who serves from this data directory, with its url, or None. The folders above are looked at as well."""
    if data is None:
        return None
    data = data.absolute()
    candidates = [data]
    if data.name == DATA_FOLDER:
        candidates += [folder / DATA_FOLDER for folder in data.parent.parents]
    for candidate in candidates:
        if candidate.is_dir() and (owner := owner_of(candidate)) is not None and owner.get("url"):
            return owner
    return None


def physical(client: Client, name: str, type_: str) -> str | None:
    """What a resource that a template calls ``name`` is called here; None when none is, Problem when several are."""
    there = client.own("GET", "/applications")["applications"]
    found = {
        resource["physicalId"]: application["name"]
        for application in there
        if (application["account"], application["region"]) == (client.account, client.region)
        for resource in application["resources"]
        if resource["type"] == type_ and resource["logicalId"] == name and resource.get("physicalId")
    }
    if len(found) > 1:
        raise Problem(
            f"{', '.join(found.values())} have a {name} each: name it as it is called here: {', '.join(found)}"
        )
    return next(iter(found), None)


def physical_of(client: Client, name: str, type_: str, missing: Problem) -> str:
    """What a resource that a template calls ``name`` is called here; else ``missing``, with the names there are."""
    found = physical(client, name, type_)
    if found is not None:
        return found
    raise Problem(f"{missing.message.removesuffix('.')}: nothing here is called {name}. {known(client, type_)}",
                  code=missing.code, exit_code=missing.exit_code) from missing  # fmt: skip


def known(client: Client, type_: str) -> str:
    """A sentence with the names of all resources of a type that templates made."""
    there = client.own("GET", "/applications")["applications"]
    names = sorted({each["logicalId"] for one in there for each in one["resources"] if each["type"] == type_})
    return f"The templates here have: {', '.join(names)}." if names else "No template here has one."


def address(settings: Settings) -> str:
    """Where a server with these settings listens."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "localhost") else settings.host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def who_listens(url: str) -> str:
    """Who holds a port, as far as it says so itself."""
    try:
        with urllib.request.urlopen(f"{url}/_penstock/health", timeout=PROBE_S) as answer:
            health = json.load(answer)
            where = f"on {health['dataDirectory']}" if health.get("dataDirectory") else "in memory"
            return f"a Penstock server, process {health['pid']}, {where}"
    except urllib.error.HTTPError as error:
        return f"another web server ({error.headers.get('Server') or 'unnamed'})"
    except (OSError, ValueError, KeyError):
        return "a program that is no Penstock server"


@contextmanager
def interruptible() -> Iterator[None]:
    """Following ends with Ctrl-C, quietly and well."""
    try:
        yield
    except KeyboardInterrupt:
        return
