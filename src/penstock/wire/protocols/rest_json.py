"""rest-json: members in path, query and headers, the rest in a JSON body.

https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson

from penstock.base.errors import ValidationError
from penstock.engine.body import FileBody
from penstock.engine.model import Member, OperationModel, ServiceModel
from penstock.engine.model.check import SerializationError
from penstock.wire.protocols.aws_json import json_events, parse_json
from penstock.wire.protocols.bindings import AnswerHeaders, decoder, parse_query
from penstock.wire.protocols.eventstream import CONTENT_TYPE, EventCodec
from penstock.wire.protocols.json_values import Convert, Readers, Writers, structure_reader
from penstock.wire.protocols.protocol import (
    Codec,
    Decode,
    Encode,
    Failure,
    Form,
    Labels,
    body_of,
    error_members,
    wire_members,
)
from penstock.wire.values import Request, Response


class RestJson:
    """The rest-json protocol."""

    name = "rest-json"
    content_type = "application/json"
    request_id_header = "x-amzn-RequestId"

    def codec(self, operation: OperationModel) -> Codec:
        """Compile an operation."""
        return Codec(operation, self, self._decoder(operation), self._encoder(operation))

    def _decoder(self, operation: OperationModel) -> Decode:
        use = operation.input
        payload = use.shape.members[use.shape.payload] if use is not None and use.shape.payload else None
        if payload is not None and payload.shape.event_stream:
            read_body = events_reader(payload, json_events(payload))
        elif payload is not None:
            read_body = payload_reader(payload, Readers().of(payload))
        else:
            read_body = _object_reader(wire_members(use))
        decode = decoder(operation, read_body)
        return _strictly(operation, decode) if operation.service.strict else decode

    def _encoder(self, operation: OperationModel) -> Encode:
        use, status = operation.output, operation.status
        bound = AnswerHeaders(use)
        writers = Writers(f"{operation.service.name} {operation.name}")
        payload = use.shape.members[use.shape.payload] if use is not None and use.shape.payload else None
        whole = writers.of(payload) if payload is not None and not payload.shape.event_stream else None
        write = writers.structure(operation.name, wire_members(use))
        elsewhere = {member.name for member in use.shape.members.values() if member.location} if use else set()

        events = json_events(payload) if payload is not None and payload.shape.event_stream else None

        def encode(answer: dict[str, Any], request_id: str) -> Response:
            headers = bound.write(answer)
            code = answer.get(bound.status, status) if bound.status else status
            if payload is not None and events is not None:
                return Response(code, headers, events.stream(answer.get(payload.name) or (), None), CONTENT_TYPE)
            if payload is not None:
                body, content_type = payload_body(payload, answer.get(payload.name), whole)
                return Response(code, headers, body, _unless_given(headers, content_type))
            if code == 204 or use is None:
                return Response(code, headers, b"" if code in (204, 304) else b"{}", "application/json")
            rest = {name: value for name, value in answer.items() if name not in elsewhere} if elsewhere else answer
            return Response(code, headers, orjson.dumps(write(rest)), "application/json")

        return encode

    def failure(self, failure: Failure, service: ServiceModel | None, request_id: str) -> Response:
        """An error document; its code stands in the x-amzn-ErrorType header."""
        members = error_members(failure)
        headers = [("x-amzn-ErrorType", failure.code)]
        if failure.model is not None:
            use = failure.model.use
            bound = AnswerHeaders(use).write(members)
            headers += [(name, value) for name, value in bound if name.lower() != "x-amzn-errortype"]
            body = {name: member for name, member in use.shape.members.items() if member.location is None}
            write = Writers(failure.code).structure(failure.code, list(body.values()))
            members = write({name: value for name, value in members.items() if name in body})
        if not any(name in members for name in ("message", "Message")):
            members["message"] = failure.message
        return Response(failure.status, headers, orjson.dumps(members), "application/json")


def _strictly(operation: OperationModel, decode: Decode) -> Decode:
    """A decoder that refuses names the operation does not have: one misspelt would mean "everything" otherwise."""
    members = operation.input_members.values()
    asked = {member.wire_name for member in members if member.location == "querystring"}
    told = {member.wire_name for member in members if member.location is None}

    def strict(request: Request, labels: Labels, form: Form) -> dict[str, Any]:
        body = parse_json(body_of(request)) if request.body else {}
        # A signature may stand in the query, too.
        names = [name for name, _ in parse_query(request.query) if name not in asked and not name.startswith("X-Amz-")]
        names += [name for name in (body if isinstance(body, dict) else ()) if name not in told]
        if names:
            known = ", ".join(sorted(asked | told))
            raise ValidationError(
                f"{', '.join(names)}: no such setting of {operation.name}. "
                + (f"Settings are {known}: correct the name." if known else "It has none: leave it out.")
            )
        return decode(request, labels, form)

    return strict


def _unless_given(headers: list[tuple[str, str]], content_type: str) -> str:
    return "" if any(name.lower() == "content-type" for name, _ in headers) else content_type


def _object_reader(members: list[Member]) -> Any:
    if not members:
        return None
    readers = Readers()
    read_object = structure_reader({member.wire_name: (member.name, readers.of(member)) for member in members})

    def read(request: Request, out: dict[str, Any]) -> None:
        value = parse_json(body_of(request))
        if type(value) is not dict:
            raise SerializationError("The request body must be one JSON object.")
        out.update(read_object(value))

    return read


def events_reader(payload: Member, codec: EventCodec) -> Any:
    """A reader of a body that is a stream of events."""

    def read(request: Request, out: dict[str, Any]) -> None:
        out[payload.name] = codec.decode(body_of(request))[0]

    return read


def payload_reader(payload: Member, convert: Convert | None) -> Any:
    """A reader of a body that is one member as a whole."""
    kind, streams = payload.shape.type, bool(payload.trait("streaming"))

    def read(request: Request, out: dict[str, Any]) -> None:
        if kind == "blob":
            body = request.body if streams else body_of(request)
            if body or not isinstance(body, bytes) or streams:
                out[payload.name] = body
            return
        if not request.body:
            return
        body = body_of(request)
        if kind == "string":
            try:
                out[payload.name] = body.decode()
            except UnicodeDecodeError:
                raise SerializationError("The request body is not UTF-8 text.") from None
            return
        value = parse_json(body)
        out[payload.name] = convert(value) if convert is not None else value

    return read


def payload_body(payload: Member, value: Any, convert: Convert | None) -> tuple[Any, str]:
    """The body of an answer that is one member as a whole, and its content type."""
    kind = payload.shape.type
    if kind == "blob":
        if isinstance(value, bytes | FileBody | AsyncIterator):
            return value, "application/octet-stream"
        if value is None:
            return b"", "application/octet-stream"
        return (value.encode() if isinstance(value, str) else bytes(value)), "application/octet-stream"
    if kind == "string":
        return ("" if value is None else str(value)).encode(), "text/plain"
    if value is None:
        return b"{}" if kind == "structure" else b"", "application/json"
    return orjson.dumps(convert(value) if convert is not None else value), "application/json"
