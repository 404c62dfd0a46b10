"""How the AWS SDKs of other languages speak, against a server that checks their signatures.

Each makes a call of every kind: JSON, CBOR, REST, XML, event streams, HTTP/2, streamed and signed bodies.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from penstock.base.clock import MachineClock
from penstock.base.errors import ApiError
from penstock.engine.access import Keys
from penstock.engine.body import FileBody
from penstock.engine.context import Call
from penstock.wire.signature import Verifier
from tests.wire.serving import serving

from .preparing import GO, JAVA, JAVASCRIPT, Client

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


async def outcomes(client: Client) -> dict[str, str]:
    """What a client printed: the outcome by the name of the call."""
    command, keys = client.prepared("protocols"), Keys()
    verifier = Verifier(keys, MachineClock(), {"123456789012": "a-secret"})
    async with serving(answer, keys=keys, verifier=verifier) as server:
        process = await asyncio.create_subprocess_exec(
            *command, server.url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        output, _ = await asyncio.wait_for(process.communicate(), 60)
    pairs = (line.partition(" ") for line in output.decode().splitlines())
    return {name: outcome for name, _, outcome in pairs if outcome.startswith(("OK", "FAIL"))}


async def test_the_sdk_for_javascript() -> None:
    assert await outcomes(JAVASCRIPT) == {
        "send": 'OK "m"', "error": 'OK "QueueDoesNotExist"', "events": 'OK "e"', "record": 'OK "1"',
        "subscription": 'OK ["abc"]', "object": 'OK "v"', "stream": 'OK "v"', "content": "OK 1000",
        "invoke": 'OK "{\\"r\\":2}"', "response": 'OK ["one","two","InvokeComplete"]', "metric": 'OK ["$metadata"]',
    }  # fmt: skip


async def test_the_sdk_for_go() -> None:
    assert await outcomes(GO) == {
        "send": "OK m", "error": "OK true", "events": "OK e", "object": "OK stored", "content": "OK 1000",
        "invoke": 'OK {"r":2}',
    }  # fmt: skip


async def test_the_sdk_for_java() -> None:
    assert await outcomes(JAVA) == {
        "send": "OK m", "error": "OK 400", "events": "OK e", "record": "OK 1", "subscription": "OK abc",
        "object": "OK v", "content": "OK 1000", "metric": "OK 200",
    }  # fmt: skip
