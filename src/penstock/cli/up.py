"""``penstock up``: a server, an application in it, and its log.

``up`` is one of three: it deploys into the server that runs on the data directory; or it is the server itself and
ends with Ctrl-C; or, with --detach, it leaves a server of its own process behind.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from penstock.cli import deployments
from penstock.cli.client import Client
from penstock.cli.deployments import choose
from penstock.cli.find import Account, Data, Region, address_in_force, interruptible, settings_for
from penstock.cli.functions import Lines, follow_logs, newest
from penstock.cli.problems import INTERRUPTED, TOO_LONG, WRONG_USE, Problem
from penstock.cli.show import console, print_json
from penstock.deploy.samconfig import Found
from penstock.settings import Settings, as_environment
from penstock.store.lock import owner_of

LOG_FILE: Final = "server.log"  # in the data directory: what a server in the background says


@dataclass(frozen=True, slots=True)
class Wish:
    """What ``up`` was asked for, beside the settings."""

    chosen: Found | None
    settings: Settings
    wait: bool
    follow: bool
    watch: bool
    as_json: bool

    @property
    def out(self) -> Console:
        """Where what goes on is shown: not among JSON."""
        return console(stderr=self.as_json)

    def client(self, url: str) -> Client:
        """A client for the server, in the account and region to deploy to."""
        settings = self.settings
        return Client(url, account=settings.account, region=settings.region, keys=settings.access_keys)

ConfigEnv = Annotated[str, typer.Option(help="The environment of samconfig.toml to take.")]
Wait = Annotated[
    bool, typer.Option("--wait", help="Return only when all that the deployment set off has settled.")
]
AllowHost = Annotated[
    list[str] | None, typer.Option("--allow-host", help="Answer to this Host header as well; repeatable.")
]
AllowOrigin = Annotated[
    list[str] | None, typer.Option("--allow-origin", help="Let web pages of this origin call it; repeatable.")
]


def up(
    template: Annotated[
        Path | None, typer.Argument(help="A SAM or CloudFormation template, or its folder. Else this folder's, if any.")
    ] = None,
    memory: Annotated[bool, typer.Option("--memory", help="Keep nothing when it ends.")] = False,
    port: Annotated[
        int | None, typer.Option(help="The port of every service; 0 takes a free one.", show_default="4566")
    ] = None,
    data: Data = None,
    parameters: Annotated[
        list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="A parameter of the template; repeatable.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The application's name; else samconfig.toml's, else its folder's.")
    ] = None,
    config_env: ConfigEnv = "default",
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Leave the server running in the background.")] = False,
    wait: Wait = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Take over every edit of code and template as it is saved.")
    ] = False,
    stub_unknown: Annotated[
        bool, typer.Option("--stub-unknown", help="Make named stubs of unknown resource types, with a warning.")
    ] = False,
    allow_host: AllowHost = None,
    allow_origin: AllowOrigin = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on.", show_default="127.0.0.1")] = None,
    durability: Annotated[
        str | None, typer.Option(help="full: synced to the disk before an answer; os: not.", show_default="full")
    ] = None,
    auth: Annotated[
        bool, typer.Option("--auth", help="Verify signatures, by the access_keys of penstock.toml.")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Make ids and random choices repeatable.")] = None,
    log_level: Annotated[
        str | None, typer.Option(help="debug, info, warning or error.", show_default="warning")
    ] = None,
    account: Account = None,
    region: Region = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what was made as JSON; do not follow the log.")
    ] = False,
) -> None:
    """Start a server, deploy a template into it, show what was made, and follow the log until Ctrl-C.

    If a server runs on the data directory already (.penstock beside the template unless --data says otherwise), the
    template is deployed into that one. Running it again changes only what changed. Ctrl-C stops it and keeps the state.

    Examples:

    \b
      penstock up                                  the template of this folder; without one, just serve
      penstock up app/template.yaml --param Stage=dev
      penstock up --config-env staging             as samconfig.toml says for this environment
      penstock up --watch                          edited handlers are live within a second; the state stays
      penstock up --detach --wait && npm test      in the background; see also `penstock down --stop`
      penstock up --memory --port 0                keep nothing, on a free port
    """
    chosen = choose(template, name, parameters or (), config_env)
    if memory and data is not None:
        raise Problem("--memory keeps nothing, --data says where to keep it: choose one.", exit_code=WRONG_USE)
    _check_watch(watch, chosen, detach or as_json)
    settings = settings_for(
        chosen.template.parent if chosen else None,
        memory=memory or None, data=data.absolute() if data else None, port=port, host=host, durability=durability,
        seed=seed, allow_hosts=tuple(allow_host) if allow_host else None,
        allow_origins=tuple(allow_origin) if allow_origin else None, auth=auth or None, account=account,
        region=region, log_level=log_level, stub_unknown=stub_unknown or None,
    )  # fmt: skip
    raise typer.Exit(_carry_out(Wish(chosen, settings, wait, not (detach or as_json), watch, as_json), detach))


def _check_watch(watch: bool, chosen: Found | None, leaves: bool) -> None:
    if watch and (chosen is None or leaves):
        reason = "leave --detach and --json out" if chosen else "this folder has no template"
        raise Problem(f"--watch follows a template's files in the foreground: {reason}.", exit_code=WRONG_USE)


def _carry_out(wish: Wish, detach: bool) -> int:
    data = wish.settings.data
    owner = owner_of(data) if data is not None and data.is_dir() else None
    if owner is not None:
        return _join(wish, owner)
    return _leave_behind(wish) if detach else _serve(wish)


# --- the three ways


def _join(wish: Wish, owner: dict[str, Any]) -> int:
    """Deploy into the server that runs."""
    if not owner.get("url"):
        raise Problem(
            f"Process {owner.get('pid', '?')} has the data directory {wish.settings.data} and is still starting."
        )
    wish.out.print(f"A server runs here already: {owner['url']} (process {owner['pid']}).", style="dim", markup=False)
    client = wish.client(owner["url"])
    edits = _deploy(wish, client)
    if wish.follow and wish.chosen:
        with interruptible():
            _follow(wish, client, edits)
    return 0


def _serve(wish: Wish) -> int:
    """Be the server; the session beside it deploys, and a process of its own shows the log."""
    # Imported only here: it takes as long as everything else together, and no other command needs it.
    serve: Callable[..., int] = importlib.import_module("penstock.cli.serve").serve
    followers: list[subprocess.Popen[bytes]] = []
    deployed = threading.Event()

    def session(platform: Any) -> int:
        client = wish.client(platform.url)
        _show_server(wish, platform.health())
        edits = _deploy(wish, client)
        deployed.set()
        if wish.follow:
            place = newest(client)
            wish.out.print(
                "Following the log. Ctrl-C stops the server" + _kept(wish.settings), style="dim", markup=False
            )
            followers.append(_follower(wish.settings, client.url, place))
            deployments.show_edits(edits, wish.out)
        threading.Event().wait()
        return 0

    code = serve(wish.settings, session)
    for follower in followers:
        follower.terminate()
        follower.wait()
    wish.out.print("Stopped" + _kept(wish.settings), style="dim", markup=False)
    return code if code or deployed.is_set() else INTERRUPTED


def _follower(settings: Settings, url: str, place: str) -> subprocess.Popen[bytes]:
    """A process that shows the log from a place on: what a busy application says costs its server little.

    Its session is its own, so that Ctrl-C reaches the server alone: the follower is ended once that has stopped.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "penstock", "follow-beside", url, place], stdin=subprocess.DEVNULL,
        env=as_environment(settings), cwd="/", start_new_session=True,
    )  # fmt: skip


def _kept(settings: Settings) -> str:
    return "; nothing is kept." if settings.memory else f"; the state is kept in {settings.data}."


def _leave_behind(wish: Wish) -> int:
    """Start a server in a process of its own, and deploy into it."""
    told = start_detached(wish.settings)
    _show_server(wish, told)
    try:
        _deploy(wish, wish.client(told["url"]))
    except Problem:
        deployments.stop_process(told["pid"])
        raise
    where = "" if address_in_force(settings_for()) == told["url"] else f" --url {told['url']}"
    commands = ", ".join(f"`penstock {command}{where}`" for command in ("status", "logs -f", "down --stop"))
    wish.out.print(f"It runs in the background: {commands}.", style="dim", markup=False)
    return 0


def start_detached(settings: Settings) -> dict[str, Any]:
    """Start a server that outlives this process; what it says of itself. Problem when it does not start."""
    if settings.data is not None:
        settings.data.mkdir(parents=True, exist_ok=True)
        log = settings.data / LOG_FILE
    else:
        log = Path(tempfile.mkstemp(prefix="penstock-", suffix=".log")[1])
    reading, writing = os.pipe()
    with log.open("ab") as output:
        subprocess.Popen(
            [sys.executable, "-m", "penstock", "serve-detached", str(writing)],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=(writing,), start_new_session=True,
            env=as_environment(settings), cwd="/",
        )  # fmt: skip
    os.close(writing)
    with os.fdopen(reading) as pipe:
        line = pipe.readline()
    told: dict[str, Any] = json.loads(line) if line else {"error": f"The server ended at once: {log} says why."}
    if "error" in told:
        raise Problem(told["error"])
    return {**told, "log": str(log)}


def serve_detached(ready: int) -> None:
    """Serve, as a process that another one started; ``ready`` is the file descriptor to say so on."""
    serve: Callable[..., int] = importlib.import_module("penstock.cli.serve").serve

    def say(**told: Any) -> None:
        with os.fdopen(ready, "w") as pipe:
            pipe.write(json.dumps(told) + "\n")

    def session(platform: Any) -> int:
        say(**platform.health())
        threading.Event().wait()
        return 0

    try:
        code = serve(settings_for(Path("/")), session)
    except Problem as problem:
        say(error=problem.message)
        raise
    raise typer.Exit(code)


# --- what all three do


def _show_server(wish: Wish, health: dict[str, Any]) -> None:
    out = wish.out
    out.print("Penstock", style="bold green", end="  ")
    kept = "in memory" if wish.settings.memory else f"{health['data']} (durability: {health['durability']})"
    out.print(f"{health['url']}  {kept}", markup=False)


def _deploy(wish: Wish, client: Client) -> Iterator[Mapping[str, Any]]:
    """Deploy what was chosen, if anything, and show what there is; what edits do from then on, when it is watched."""
    edits: Iterator[Mapping[str, Any]] = iter(())
    out = wish.out
    document: dict[str, Any] = {"url": client.url}
    if wish.chosen is not None:
        out.print(f"Deploying {wish.chosen.name} from {wish.chosen.template}", style="bold", markup=False)
        stub_unknown = wish.settings.stub_unknown
        if wish.watch:
            done, edits = deployments.watch(client, wish.chosen, stub_unknown=stub_unknown, out=out)
        else:
            done = deployments.deploy(client, wish.chosen, stub_unknown=stub_unknown, out=out)
        document |= {"application": done}
        deployments.show_result(client, wish.chosen, done, out)
    if wish.wait:
        quiet = client.own("POST", "/quiet", {})
        if not quiet["quiet"]:
            raise Problem(f"It does not settle: {'; '.join(quiet['busy'][:3])}", exit_code=TOO_LONG)
    if wish.as_json:
        print_json(document | {"environment": dict(line.split("=", 1) for line in deployments.exports(client))})
    else:
        deployments.show_exports(client, out)
    return edits


def _follow(wish: Wish, client: Client, edits: Iterator[Mapping[str, Any]]) -> None:
    """Show what functions log from now on, and what edits do, for ever."""
    alone = threading.Lock()
    threading.Thread(target=deployments.show_edits, args=(edits, wish.out, alone), name="edits", daemon=True).start()
    lines = Lines(named=True)
    for line in follow_logs(client, None, None, newest(client)):
        with alone:
            lines.show(line)
