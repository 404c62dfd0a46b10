"""The AWS SDKs of other languages, against a server that checks their signatures."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from penstock.base.clock import MachineClock
from penstock.base.errors import ApiError
from penstock.engine.access import Keys
from penstock.engine.body import FileBody
from penstock.engine.context import Call
from penstock.wire.signature import Verifier
from tests.wire.serving import serving

HERE = Path(__file__).parent
RECORD = {"Data": b"abc", "PartitionKey": "p", "SequenceNumber": "5", "ApproximateArrivalTimestamp": 1.7e9}


async def answer_in_pieces() -> AsyncIterator[dict[str, Any]]:
    for piece in (b"one", b"two"):
        yield {"PayloadChunk": {"Payload": piece}}
    yield {"InvokeComplete": {}}


def answer(call: Call) -> dict[str, Any]:
    match call.operation:
        case "SendMessage":
            return {"MessageId": "m", "MD5OfMessageBody": "5d41402abc4b2a76b9719d911017c592"}
        case "GetQueueUrl":
            raise ApiError("The specified queue does not exist.", code="QueueDoesNotExist")
        case "PutEvents":
            return {"FailedEntryCount": 0, "Entries": [{"EventId": "e"}]}
        case "PutRecord":
            assert call.request["Data"] in (b"abc", b"\x09\x08\x07")
            return {"ShardId": "shardId-000000000000", "SequenceNumber": "1"}
        case "SubscribeToShard":
            event = {"Records": [RECORD], "ContinuationSequenceNumber": "5", "MillisBehindLatest": 0}
            return {"EventStream": [{"SubscribeToShardEvent": event}]}
        case "PutObject":
            body = call.request["Body"]
            assert (body.size if isinstance(body, FileBody) else len(body)) == call.request["ContentLength"]
            assert call.request["Key"] in ("k é+", "k")
            return {"VersionId": "v"}
        case "GetObject":
            return {"Body": b"x" * 1000, "ContentLength": 1000}
        case "Invoke":
            return {"StatusCode": 200, "Payload": b'{"r":2}'}
        case "InvokeWithResponseStream":
            return {"StatusCode": 200, "EventStream": answer_in_pieces()}
        case _:
            return {}


async def lines_of(*command: str | Path) -> dict[str, str]:
    """What a client printed: the outcome by the name of the call."""
    keys = Keys()
    verifier = Verifier(keys, MachineClock(), {"123456789012": "a-secret"})
    async with serving(answer, keys=keys, verifier=verifier) as server:
        process = await asyncio.create_subprocess_exec(
            *map(str, command), server.url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        output, _ = await asyncio.wait_for(process.communicate(), 60)
    pairs = (line.partition(" ") for line in output.decode().splitlines())
    return {name: outcome for name, _, outcome in pairs if outcome.startswith(("OK", "FAIL"))}


def needs(program: str, built: Path) -> None:
    if shutil.which(program) is None or not built.exists():
        pytest.skip(f"{program} or {built.relative_to(HERE)} is not here: see tests/wire/languages/README.md")


async def test_javascript() -> None:
    needs("node", HERE / "javascript" / "node_modules")
    assert await lines_of("node", HERE / "javascript" / "client.js") == {
        "send": 'OK "m"', "error": 'OK "QueueDoesNotExist"', "events": 'OK "e"', "record": 'OK "1"',
        "subscription": 'OK ["abc"]', "object": 'OK "v"', "stream": 'OK "v"', "content": "OK 1000",
        "invoke": 'OK "{\\"r\\":2}"', "response": 'OK ["one","two","InvokeComplete"]', "metric": 'OK ["$metadata"]',
    }  # fmt: skip


async def test_go() -> None:
    needs("sh", HERE / "go" / "client")
    assert await lines_of(HERE / "go" / "client") == {
        "send": "OK m", "error": "OK true", "events": "OK e", "object": "OK stored", "content": "OK 1000",
        "invoke": 'OK {"r":2}',
    }  # fmt: skip


async def test_java() -> None:
    needs("java", HERE / "java" / "target" / "classes")
    path = f"{HERE / 'java' / 'target' / 'classes'}:{HERE / 'java' / 'target' / 'dependency'}/*"
    assert await lines_of("java", "-cp", path, "Client") == {
        "send": "OK m", "error": "OK 400", "events": "OK e", "record": "OK 1", "subscription": "OK abc",
        "object": "OK v", "content": "OK 1000", "metric": "OK 200",
    }  # fmt: skip
