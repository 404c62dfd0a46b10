"""Invokes: synchronous ones, their errors and limits, concurrency."""

from __future__ import annotations

import asyncio
import base64
import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.base.errors import ApiError, CannotRun
from penstock.services.lambda_.rules import traced
from tests.services.lambda_.bench import Benches


def fail(event: Any) -> Any:
    raise ValueError("no such order")


async def test_a_function_answers_and_its_log_and_journal_follow(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        arn = await on.function(handler=lambda event: {"got": event})
        answer = await on.invoke(payload=[1, "two"], LogType="Tail")
        assert orjson.loads(answer["Payload"]) == {"got": [1, "two"]}
        assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
        assert base64.b64decode(answer["LogResult"]).decode().endswith("\nhello\n")
        await on.settle()
        assert on.parts.states["logs"].lines[-1] == ("/aws/lambda/orders", "stream", "hello")
        ((run, kind, source),) = await on.store.transact(lambda tx: tx.all("SELECT id, kind, source FROM event"))
        assert (kind, source) == ("lambda:Invoke", arn)
        assert run == on.environments.invocations[0][1].run
        rows = await on.store.transact(lambda tx: tx.all("SELECT event, run, kind, target, state FROM delivery"))
        assert rows == [(run, run, "lambda:sync", arn, 2)]


async def test_a_functions_error_is_an_answer(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function(handler=fail)
        answer = await on.invoke()
        assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
        assert orjson.loads(answer["Payload"])["errorMessage"] == "no such order"


async def test_an_empty_payload_is_an_empty_object(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function()
        assert (await on.call("Invoke", FunctionName="orders"))["Payload"] == b"{}"


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({"Payload": b"{no json"}, "InvalidRequestContentException", "Could not parse request body into json"),
        ({"Payload": b'"' + b"x" * 6_291_456 + b'"'}, "RequestEntityTooLargeException", "6291456 bytes"),
        (
            {"Payload": b'"' + b"x" * 1_048_576 + b'"', "InvocationType": "Event"},
            "RequestEntityTooLargeException", "1048578 byte payload is too large for the Event",
        ),
        ({"FunctionName": "other"}, "ResourceNotFoundException", "Function not found: arn:aws:lambda:us-east-1:"),
        ({"ClientContext": "no base64!"}, "InvalidRequestContentException", "Client context"),
        ({"TenantId": "t"}, "NotImplemented", "TenantId of Invoke"),
    ],
)  # fmt: skip
async def test_what_aws_refuses_is_refused(
    given: dict[str, Any], code: str, words: str, tmp_path: Path, bench: Benches
) -> None:
    async with bench(tmp_path) as on:
        await on.function()
        with pytest.raises(ApiError, match=words) as raised:
            await on.call("Invoke", **{"FunctionName": "orders"} | given)
        assert raised.value.code == code
        assert on.environments.invocations == []


async def test_a_function_always_has_a_trace_header(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        arn = await on.function()
        await on.invoke()
        await on.invoke(Qualifier="$LATEST")
        first, second = (invocation for _, invocation in on.environments.invocations)
        form = r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0"
        assert re.fullmatch(form, first.trace_header) and re.fullmatch(form, second.trace_header)
        assert first.trace_header != second.trace_header
        assert (first.invoked_arn, second.invoked_arn) == (arn, f"{arn}:$LATEST")


async def test_every_attempt_of_an_event_has_one_trace(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function(handler=fail)
        on.clock.freeze()
        await on.invoke(InvocationType="Event")
        await on.advance(60_000)
        first, second = (invocation.trace_header.split(";") for _, invocation in on.environments.invocations)
        assert first[0] == second[0]
        assert first[1] != second[1]


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ("Root=1-2-3;Parent=4;Sampled=1", "Root=1-2-3;Parent=4;Sampled=1"),
        ("Root=1-2-3", "Root=1-2-3;Parent=0000000000000007;Sampled=0"),
        ("Self=1-9-9;Root=1-2-3;Sampled=1", "Self=1-9-9;Root=1-2-3;Sampled=1;Parent=0000000000000007"),
        ("nonsense", "Root=1-00000001-222233334444555566667777;Parent=0000000000000007;Sampled=0"),
    ],
)
def test_what_a_callers_trace_header_leaves_out_is_added(given: str, seen: str) -> None:
    assert traced(given, "00001111-2222-3333-4444-555566667777", 7, 1_999) == seen


async def test_a_dry_run_runs_nothing(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function()
        assert (await on.invoke(InvocationType="DryRun"))["StatusCode"] == 204
        assert on.environments.invocations == []


async def test_a_client_context_reaches_the_function_decoded(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function()
        await on.invoke(ClientContext=base64.b64encode(b'{"custom":{"a":1}}').decode())
        assert on.environments.invocations[0][1].client_context == '{"custom":{"a":1}}'


async def test_reserved_concurrency_bounds_a_function(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        going = asyncio.Event()

        async def wait(event: Any) -> Any:
            await going.wait()
            return event

        await on.function(handler=wait)
        await on.call("PutFunctionConcurrency", FunctionName="orders", ReservedConcurrentExecutions=2)
        running = [asyncio.ensure_future(on.invoke(payload=number)) for number in range(2)]
        while len(on.environments.invocations) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
        with pytest.raises(ApiError, match="Rate Exceeded") as raised:
            await on.invoke()
        assert raised.value.code == "TooManyRequestsException"
        assert raised.value.fields["Reason"] == "ReservedFunctionConcurrentInvocationLimitExceeded"
        going.set()
        assert [answer["Payload"] for answer in await asyncio.gather(*running)] == [b"0", b"1"]
        assert (await on.invoke(payload=3))["Payload"] == b"3"


async def test_a_reservation_of_zero_lets_nothing_run_until_it_is_deleted(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:
        await on.function()
        await on.invoke()
        await on.call("PutFunctionConcurrency", FunctionName="orders", ReservedConcurrentExecutions=0)
        with pytest.raises(ApiError, match="Rate Exceeded"):
            await on.invoke()
        await on.call("DeleteFunctionConcurrency", FunctionName="orders")
        assert (await on.invoke(payload=1))["Payload"] == b"1"


async def test_a_machine_that_cannot_run_a_function_says_so(tmp_path: Path, bench: Benches) -> None:
    async with bench(tmp_path) as on:

        def cannot(event: Any) -> Any:
            raise CannotRun("install Node.js")

        await on.function(handler=cannot)
        with pytest.raises(ApiError, match="install Node") as raised:
            await on.invoke()
        assert raised.value.code == "InvalidRuntimeException"
