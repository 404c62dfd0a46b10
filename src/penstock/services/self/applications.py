"""Applications: what templates made, deployed and removed with progress while it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson

from penstock.base.errors import PenstockError, TemplateError
from penstock.engine.context import WaitingContext
from penstock.engine.operation import Request, Response, operation
from penstock.services.self.errors import InvalidRequest, NotFound
from penstock.services.self.rules import as_text

LINES = "application/x-ndjson"

Tell = Callable[[Any], None]


@operation
async def list_applications(cx: WaitingContext, request: Request) -> Response:
    """What templates have made, in every account."""
    return {"applications": [view(found) for found in await cx.parts.applications.list()]}


@operation
async def get_application(cx: WaitingContext, request: Request) -> Response:
    """One application of the caller's account and region."""
    try:
        found = await cx.parts.applications.describe(request["name"], account=cx.account, region=cx.region)
    except KeyError as error:
        raise _not_found(cx, request["name"]) from error
    return view(found)


@operation
async def deploy_application(cx: WaitingContext, request: Request) -> Response:
    """Make what a template declares; it goes on to its end even when nobody listens to its progress any more."""
    wanted = _wanted(cx, request)

    async def deploy(tell: Tell) -> Response:
        return _deployed(await cx.parts.control.deploy(tell, **wanted))

    return _with_progress(cx, f"deployment of {request['name']}", deploy)


@operation
async def watch_application(cx: WaitingContext, request: Request) -> Response:
    """Make what a template declares and keep it like its files, for as long as somebody reads the progress.

    The deployment's line with ``done`` is not the last one: what edits do follows it.
    """
    wanted = _wanted(cx, request)
    lines: asyncio.Queue[Response | None] = asyncio.Queue()
    listening = True

    def tell(progress: Any) -> None:
        lines.put_nowait(_line(progress))

    def gone() -> bool:
        sender = cx.call_.sender
        return not listening or (sender is not None and sender.gone)

    async def watch() -> None:
        what = f"deployment of {request['name']}"
        ticket, since = cx.parts.work.begin(what, cx.account), cx.parts.machine.now_ms()
        try:
            try:
                lines.put_nowait({"done": _deployed(await cx.parts.control.deploy(tell, **wanted))})
            finally:
                cx.parts.work.end(ticket)
            await cx.parts.applications.watch(tell, gone, since, **wanted)
        except PenstockError as error:
            lines.put_nowait({"error": _failure(error)})
        except BaseException as error:
            lines.put_nowait({"error": {"message": f"the watch ended unexpectedly: {type(error).__name__}: {error}"}})
            raise
        finally:
            lines.put_nowait(None)

    async def body() -> AsyncIterator[bytes]:
        nonlocal listening
        cx.parts.spawn(watch(), f"watching {request['name']}")
        try:
            while (line := await lines.get()) is not None:
                yield orjson.dumps(line) + b"\n"
        finally:
            listening = False

    return {"progress": body(), "contentType": LINES}


@operation
async def remove_application(cx: WaitingContext, request: Request) -> Response:
    """Delete an application's resources; it goes on to its end even when nobody listens to its progress any more."""
    name = request["name"]
    try:
        await cx.parts.applications.describe(name, account=cx.account, region=cx.region)
    except KeyError as error:
        raise _not_found(cx, name) from error

    async def remove(tell: Tell) -> Response:
        await cx.parts.applications.remove(name, tell, account=cx.account, region=cx.region)
        return {"name": name, "state": "DELETE_COMPLETE"}

    return _with_progress(cx, f"removal of {name}", remove)


def view(described: dict[str, Any]) -> Response:
    """An application as this API shows it."""
    return {**described, "outputs": as_text(described["outputs"]), "parameters": as_text(described["parameters"])}


def _wanted(cx: WaitingContext, request: Request) -> dict[str, Any]:
    """What a request asks to be deployed, as the fields of an application."""
    template = Path(request["template"])
    if not template.is_absolute():
        raise InvalidRequest(f"{template} is no absolute path: name the template's file on the server's machine")
    return {
        "name": request["name"], "template": template, "parameters": request.get("parameters") or {},
        "tags": request.get("tags") or {}, "account": cx.account, "region": cx.region,
        "stub_unknown": bool(request.get("stubUnknown")),
    }  # fmt: skip


def _deployed(result: Any) -> Response:
    return {
        "name": result.name,
        "state": result.status,
        "outputs": as_text(result.outputs),
        "kept": result.kept,
        "newlyKept": result.newly_kept,
        "warnings": result.warnings,
        "changes": [
            {"action": each.action, "resource": each.resource, "type": each.type, "physicalId": each.physical_id,
             "properties": each.properties} for each in result.changes
        ],
    }  # fmt: skip


def _line(progress: Any) -> Response:
    shown = {"application": progress.application, "state": progress.status, "resource": progress.resource,
             "type": progress.type, "message": progress.message, "line": progress.line}  # fmt: skip
    return {name: value for name, value in shown.items() if value}


def _failure(error: PenstockError) -> Response:
    if not isinstance(error, TemplateError):
        return {"message": str(error)}
    told = {"message": error.message, "resource": error.resource, "line": error.line}
    return {name: value for name, value in told.items() if value}


def _not_found(cx: WaitingContext, name: str) -> NotFound:
    return NotFound(
        f"There is no application {name} in account {cx.account}, {cx.region}; `penstock status` lists what there is"
    )


def _with_progress(cx: WaitingContext, what: str, work: Callable[[Tell], Awaitable[Response]]) -> Response:
    """Do it in the background; the answer's body are lines of JSON, the last of them with ``done`` or ``error``."""
    lines: asyncio.Queue[Response | None] = asyncio.Queue()

    def tell(progress: Any) -> None:
        lines.put_nowait(_line(progress))

    async def carry_out() -> None:
        ticket = cx.parts.work.begin(what, cx.account)
        try:
            lines.put_nowait({"done": await work(tell)})
        except PenstockError as error:
            lines.put_nowait({"error": _failure(error)})
        except BaseException as error:
            lines.put_nowait({"error": {"message": f"the {what} ended unexpectedly: {type(error).__name__}: {error}"}})
            raise
        finally:
            cx.parts.work.end(ticket)
            lines.put_nowait(None)

    async def body() -> AsyncIterator[bytes]:
        while (line := await lines.get()) is not None:
            yield orjson.dumps(line) + b"\n"

    cx.parts.spawn(carry_out(), what)
    return {"progress": body(), "contentType": LINES}
