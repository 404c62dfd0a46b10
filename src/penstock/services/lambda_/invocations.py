"""Running a function: the run itself, and the three ways to ask for one."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

import orjson

from penstock.base.errors import CannotRun
from penstock.base.names import id_of, uuid_of
from penstock.engine import journal
from penstock.engine.body import FileBody
from penstock.engine.compute import Invocation, InvocationResult
from penstock.engine.context import Context, WaitingContext
from penstock.engine.journal import DELIVERED, FAILED, Delivery
from penstock.engine.operation import Request, Response, operation
from penstock.services.lambda_ import admission, asynchronous, log_format, records, uploads
from penstock.services.lambda_.errors import (
    InvalidParameterValue,
    InvalidRequestContent,
    InvalidRuntime,
    RequestEntityTooLarge,
)
from penstock.services.lambda_.records import Loaded, Memory, memory_of, reference_of
from penstock.services.lambda_.rules import (
    ASYNC_PAYLOAD_BYTES,
    CLIENT_CONTEXT_BYTES,
    LATEST,
    SYNC_PAYLOAD_BYTES,
    event_too_large,
    log_tail,
    traced,
)


@operation(
    refused={
        "DurableExecutionName": "leave it out: durable functions come later",
        "TenantId": "leave it out: functions have no tenants here",
    }
)
async def invoke(cx: WaitingContext, request: Request) -> Response:
    """Run a function: now, from its durable queue (Event), or not at all (DryRun).

    The answer of a RequestResponse promises nothing stored, so it does not wait for its journal rows: they follow
    with the next commit.
    """
    reference = reference_of(cx, request)
    loaded = await records.load(cx, reference)
    kind = request.get("InvocationType")
    asynchronously = kind == "Event"
    payload = _json_payload(_body(request.get("Payload"), asynchronously=asynchronously))
    client_context = _client_context(request.get("ClientContext"))
    if kind == "DryRun":
        return {"StatusCode": 204, "ExecutedVersion": LATEST}
    if asynchronously:
        await _enqueue(cx, loaded, payload)
        return {"StatusCode": 202, "Payload": b""}

    run, request_id = _identity(cx)
    started = cx.now
    trace_header = traced(cx.call_.trace_header, request_id, run, started)
    keys = cx.parts.keys
    keys.wait_for(run, cx.principal)
    try:
        result = await execute(
            cx, loaded,
            Invocation(run, request_id, payload, reference.qualified_arn, trace_header, client_context),
            lambda inner, result: _record(inner, loaded, run, payload, started, result),
        )  # fmt: skip
    finally:
        keys.wait_no_more(run)
    answer: Response = {"StatusCode": 200, "ExecutedVersion": LATEST, "Payload": result.payload}
    if result.function_error:
        answer["FunctionError"] = result.function_error
    if request.get("LogType") == "Tail":
        answer["LogResult"] = base64.b64encode(log_tail(line for _, line in result.log)).decode()
    return answer


@operation
async def invoke_async(cx: WaitingContext, request: Request) -> Response:
    """The old form of an asynchronous invoke."""
    loaded = await records.load(cx, reference_of(cx, request))
    await _enqueue(cx, loaded, _json_payload(_body(request.get("InvokeArgs"), asynchronously=True)))
    return {"Status": 202}


async def execute(
    cx: WaitingContext,
    loaded: Loaded,
    invocation: Invocation,
    record: Callable[[Context, InvocationResult], None] | None = None,
    admit: Callable[[Memory, Loaded], None] = admission.admit,
) -> InvocationResult:
    """Run one invocation in an environment, if there is concurrency left: ``admit`` says so.

    Its log, and what ``record`` writes, follow with the next commit without being waited for. Raises TooManyRequests,
    or InvalidRuntime when this machine cannot run the function at all. A function that fails is no error: the result
    says so.
    """
    memory = memory_of(cx.parts)
    admit(memory, loaded)
    try:
        result = await cx.parts.environments.invoke(loaded.function, invocation)
    except CannotRun as error:
        raise InvalidRuntime(str(error)) from error
    finally:
        admission.dismiss(memory, loaded)
        if memory.unswept and not memory.running:  # the last one to end, however it ended
            cx.parts.spawn(uploads.sweep(cx.parts), "lambda code sweep")
    logging = loaded.row.settings["LoggingConfig"]
    if logging["LogFormat"] == "JSON":
        result.log = log_format.as_json(result.log, loaded.function, invocation, result, logging["SystemLogLevel"])
    cx.submit(lambda inner: _follow(inner, loaded, invocation.run, result, record))
    return result


def _follow(
    cx: Context,
    loaded: Loaded,
    run: int,
    result: InvocationResult,
    record: Callable[[Context, InvocationResult], None] | None,
) -> None:
    """Write down what a run has left: its log, its journal rows."""
    row = loaded.row
    if record is not None:
        record(cx, result)
    if result.log:
        output = {"logGroupName": row.log_group, "logStreamName": result.log_stream, "lines": result.log, "run": run}
        cx.call("logs", "AppendOutput", output, account=row.account, region=row.region)


def _identity(cx: WaitingContext) -> tuple[int, str]:
    """The id of an invocation and its public form: the request's own, where it came from outside.

    Calls that other operations make carry the outer request's id, which names only the first of them.
    """
    own = id_of(cx.request_id) if cx.ticket is not None else None
    if own is not None:
        return own, cx.request_id
    id_ = cx.names.id()
    return id_, uuid_of(id_)


async def _enqueue(cx: WaitingContext, loaded: Loaded, payload: bytes) -> None:
    """Put an event into the function's durable queue: one journal row and one delivery."""
    row = loaded.row
    event, request_id = _identity(cx)

    def accept(inner: Context) -> None:
        inner.event("lambda:Invoke", row.arn, payload, id_=event)
        asynchronous.enqueue(
            inner, row, event=event, source=row.arn, request_id=request_id, trace_header=cx.call_.trace_header
        )

    await cx.transact(accept)


def _record(cx: Context, loaded: Loaded, run: int, payload: bytes, started: int, result: InvocationResult) -> None:
    """Journal a synchronous run: the event is the run itself."""
    row = loaded.row
    cx.event("lambda:Invoke", row.arn, payload, id_=run, at=started)
    code, message = error_of(result)
    delivery = Delivery(
        id=cx.names.id(), event=run, account=row.account, region=row.region, kind="lambda:sync",
        source=cx.principal.arn, target=row.arn, state=FAILED if result.function_error else DELIVERED, due=started,
        attempts=1, max_attempts=1, at=started, started=started, ended=cx.now, run=run,
        outcome={"code": code, "message": message, **facts(result)},
    )  # fmt: skip
    journal.insert(cx.tx, delivery)


def facts(result: InvocationResult) -> dict[str, Any]:
    """What the journal tells of an invocation."""
    known = {"StatusCode": 200, "ExecutedVersion": result.version, **run_facts(result)}
    if result.function_error:
        known["FunctionError"] = result.function_error
    return known


def run_facts(result: InvocationResult) -> dict[str, Any]:
    """What the journal tells of a run, whoever asked for it."""
    known: dict[str, Any] = {
        "duration_ms": round(result.duration_ms, 2),
        "billed_ms": result.billed_ms,
        "max_memory_mb": result.max_memory_mb,
        "log_stream": result.log_stream,
    }
    if result.init_ms is not None:
        known["init_ms"] = round(result.init_ms, 2)
    return known


def error_of(result: InvocationResult) -> tuple[str, str]:
    """The type and message of a function's error; two empty texts when it succeeded."""
    if not result.function_error:
        return "", ""
    try:
        document = orjson.loads(result.payload)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        return result.function_error, result.payload[:1024].decode(errors="replace")
    return str(document.get("errorType") or result.function_error), str(document.get("errorMessage") or "")


def _body(body: bytes | FileBody | None, *, asynchronously: bool) -> bytes:
    """The request's payload in memory; AWS's error when it is over the limit.

    The model has a RequestTooLargeException, but this is what Lambda is seen to answer.
    """
    size = body.size if isinstance(body, FileBody) else len(body or b"")
    if size > SYNC_PAYLOAD_BYTES:
        raise RequestEntityTooLarge(
            f"Request must be smaller than {SYNC_PAYLOAD_BYTES} bytes for the InvokeFunction operation"
        )
    if asynchronously and size > ASYNC_PAYLOAD_BYTES:
        raise RequestEntityTooLarge(event_too_large(size))
    return body.read() if isinstance(body, FileBody) else body or b""


def _json_payload(payload: bytes) -> bytes:
    """A payload that is JSON; an empty one is an empty object, as on AWS."""
    if not payload:
        return b"{}"
    try:
        orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestContent(
            f"Could not parse request body into json: Could not parse payload into json: {error}"
        ) from error
    return payload


def _client_context(text: str | None) -> str:
    """The ClientContext as JSON; it travels in base64."""
    if not text:
        return ""
    if len(text) > CLIENT_CONTEXT_BYTES:
        raise InvalidParameterValue(f"Client context must be no more than {CLIENT_CONTEXT_BYTES} bytes when encoded.")
    try:
        decoded = base64.b64decode(text, validate=True).decode()
        orjson.loads(decoded)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequestContent("Client context must be a valid Base64-encoded JSON object.") from error
    return decoded
