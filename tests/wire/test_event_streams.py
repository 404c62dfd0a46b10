"""Event streams: ours read by botocore's parser, and what its frames say read by us."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import botocore.eventstream
import botocore.parsers
import pytest

from penstock.base.errors import ApiError
from penstock.engine.model import OperationModel, load
from penstock.engine.model.check import SerializationError
from penstock.wire.protocols import PROTOCOLS
from penstock.wire.protocols.aws_json import json_events
from penstock.wire.protocols.eventstream import Milliseconds, frame, frames
from penstock.wire.values import Request

from .botocore_wire import botocore_service, response_dict
from .shapes import Values, as_parsed
from .test_round_trips import ours

STREAMS = [
    ("lambda", "InvokeWithResponseStream"),
    ("kinesis", "SubscribeToShard"),
    ("logs", "StartLiveTail"),
    ("s3", "SelectObjectContent"),
]


class Body:
    """A body as urllib3 hands it to botocore."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def stream(self) -> Iterator[bytes]:
        yield from self.pieces

    def close(self) -> None:
        self.pieces = []


async def read_by_botocore(service: str, operation: OperationModel, answer: dict[str, Any]) -> dict[str, Any]:
    protocol = str(load(service).metadata["protocol"])
    response = PROTOCOLS[ours(protocol, service)].codec(operation).encode(answer, "r")
    assert isinstance(response.body, AsyncIterator)
    pieces = [piece async for piece in response.body]
    document = response_dict(response, operation.name)
    document["body"] = Body(pieces)
    shape = botocore_service(service).operation_model(operation.name).output_shape
    parsed: dict[str, Any] = botocore.parsers.create_parser(protocol).parse(document, shape)
    return parsed


@pytest.mark.parametrize(("service", "name"), STREAMS)
async def test_every_kind_of_event_reaches_botocore(service: str, name: str) -> None:
    operation = load(service).operation(name)
    member = operation.event_output
    assert member is not None
    kinds = operation.output_members[member].shape.members
    values = Values(name, xml=service == "s3")
    events = [
        {kind: values.structure(use.shape)} for kind, use in kinds.items() if not use.shape.traits.get("exception")
    ]
    rest = {} if service in ("lambda", "s3") else values.structure(operation.output.shape)  # type: ignore[union-attr]
    parsed = await read_by_botocore(service, operation, {**rest, member: events})
    assert [as_parsed(event) for event in parsed[member]] == events
    for bound in ("StatusCode", "ResponseStreamContentType"):
        parsed.pop(bound, None)
    assert as_parsed({key: value for key, value in parsed.items() if key != member}) == rest


async def test_an_error_ends_the_stream_as_its_last_message() -> None:
    async def events() -> AsyncIterator[dict[str, Any]]:
        yield {"SubscribeToShardEvent": {"Records": [], "ContinuationSequenceNumber": "1", "MillisBehindLatest": 0}}
        raise ApiError("the shard is gone", code="ResourceNotFoundException")

    operation = load("kinesis").operation("SubscribeToShard")
    parsed = await read_by_botocore("kinesis", operation, {"EventStream": events()})
    stream = iter(parsed["EventStream"])
    assert "SubscribeToShardEvent" in next(stream)
    with pytest.raises(botocore.eventstream.EventStreamError, match="the shard is gone"):
        next(stream)


def test_frames_survive_and_damage_is_noticed() -> None:
    headers = {":a": "text", "b": True, "c": 5, "d": 1 << 40, "e": b"\x00\x01", "t": Milliseconds(1_700_000_000_000)}
    data = frame(headers, b"payload") + frame({}, b"")
    assert frames(data) == [(headers, b"payload"), ({}, b"")]
    buffer = botocore.eventstream.EventStreamBuffer()
    buffer.add_data(data)
    assert [message.payload for message in buffer] == [b"payload", b""]
    for position in range(0, len(data), 3):
        damaged = bytearray(data)
        damaged[position] ^= 0xFF
        with pytest.raises(SerializationError):
            frames(bytes(damaged))


def test_a_stream_of_events_in_a_request_is_read() -> None:
    operation = load("polly").operation("StartSpeechSynthesisStream")
    member = operation.event_input
    assert member is not None
    kinds = operation.input_members[member].shape.members
    codec = PROTOCOLS["rest-json"].codec(operation)
    name, use = next(iter(kinds.items()))
    event = Values("in").structure(use.shape)
    inner = json_events(operation.input_members[member]).encode({name: event})
    signed = frame({":date": Milliseconds(0), ":chunk-signature": b"s"}, inner)
    for body in (inner, signed):
        request = Request("POST", "/", body=body)
        assert codec.decode(request, {}, {})[member] == [{name: event}]
