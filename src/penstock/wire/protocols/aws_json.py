"""AWS JSON 1.0 and 1.1: POST /, the operation in X-Amz-Target, one JSON object each way.

https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
"""

from __future__ import annotations

import re
import zlib
from typing import Any

import orjson

from penstock.engine.model import Member, OperationModel, ServiceModel
from penstock.engine.model.check import SerializationError
from penstock.wire.protocols.eventstream import CONTENT_TYPE, Dump, EventCodec, Load
from penstock.wire.protocols.json_values import Readers, Writers
from penstock.wire.protocols.protocol import Codec, Failure, Form, Labels, body_of, error_members
from penstock.wire.values import Request, Response

_DATED = re.compile(r"(\w+)_(\d{8})")
_FRAMEWORK = {
    "ValidationException": "com.amazon.coral.validate#",
    "SerializationException": "com.amazon.coral.service#",
    "UnknownOperationException": "com.amazon.coral.service#",
    "InternalFailure": "com.amazon.coral.service#",
    "UnrecognizedClientException": "com.amazon.coral.service#",
    "InvalidSignatureException": "com.amazon.coral.service#",
    "MissingAuthenticationTokenException": "com.amazon.coral.service#",
    "AccessDeniedException": "com.amazon.coral.service#",
}


def parse_json(body: bytes) -> Any:
    """A JSON document; an empty body is an empty object."""
    if not body:
        return {}
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise SerializationError(f"Could not parse request body into json: {error}") from None


def json_events(use: Member) -> EventCodec:
    """The codec of a stream whose events are JSON."""

    def dump(member: Member) -> Dump:
        convert = Writers(member.shape.name).of(member)
        return lambda value: orjson.dumps(value if convert is None else convert(value))

    def load(member: Member) -> Load:
        convert = Readers().of(member)
        return lambda data: parse_json(data) if convert is None else convert(parse_json(data))

    return EventCodec(use, dump, load, "application/json")


class AwsJson:
    """AWS JSON of one version, "1.0" or "1.1"."""

    request_id_header = "x-amzn-RequestId"

    def __init__(self, version: str) -> None:
        self.version = version
        self.name = f"json-{version}"
        self.content_type = f"application/x-amz-json-{version}"

    def codec(self, operation: OperationModel) -> Codec:
        """Compile an operation."""
        reader = Readers().of(operation.input) if operation.input is not None else None
        writers = Writers(f"{operation.service.name} {operation.name}")
        writer = writers.of(operation.output) if operation.output is not None else None
        content_type = self.content_type
        needs_crc = str(operation.service.metadata.get("targetPrefix", "")).startswith("DynamoDB")
        loads, dumps = orjson.loads, orjson.dumps
        if operation.event_output or operation.event_input:
            return self._streaming_codec(operation)

        def decode(request: Request, labels: Labels, form: Form) -> dict[str, Any]:
            body = request.body if type(request.body) is bytes else body_of(request)
            try:
                value = loads(body) if body else {}
            except orjson.JSONDecodeError:
                value = parse_json(body)
            if type(value) is not dict:
                raise SerializationError("The request body must be one JSON object.")
            return reader(value) if reader is not None else {}

        def encode(answer: dict[str, Any], request_id: str) -> Response:
            # An operation without an output shape answers with no body at all.
            body = dumps(writer(answer)) if writer is not None else b""
            headers = (("x-amz-crc32", str(zlib.crc32(body))),) if needs_crc else ()
            return Response(200, headers, body, content_type)

        return Codec(operation, self, decode, encode)

    def _streaming_codec(self, operation: OperationModel) -> Codec:
        """An operation with a stream of events: what is not in the stream travels as its first message."""
        into, out_of = operation.event_input, operation.event_output
        readers, writers = Readers(), Writers(f"{operation.service.name} {operation.name}")
        read = readers.of(operation.input) if operation.input is not None else None
        members = [member for member in operation.output_members.values() if member.name != out_of]
        write = writers.structure(operation.name, members)
        arriving = json_events(operation.input_members[into]) if into else None
        leaving = json_events(operation.output_members[out_of]) if out_of else None

        def decode(request: Request, labels: Labels, form: Form) -> dict[str, Any]:
            body: bytes | None = body_of(request)
            events: list[dict[str, Any]] = []
            if arriving is not None:
                events, body = arriving.decode(body or b"")
            value = parse_json(body or b"")
            arguments = read(value) if read is not None else {}
            return {**arguments, into: events} if into else arguments

        def encode(answer: dict[str, Any], request_id: str) -> Response:
            if leaving is None or out_of is None:
                return Response(200, (), orjson.dumps(write(answer)), self.content_type)
            initial = orjson.dumps(write({name: value for name, value in answer.items() if name != out_of}))
            return Response(200, (), leaving.stream(answer.get(out_of) or (), initial), CONTENT_TYPE)

        return Codec(operation, self, decode, encode)

    def failure(self, failure: Failure, service: ServiceModel | None, request_id: str) -> Response:
        """An error document; SDKs read the code after the "#" of ``__type``."""
        members = error_members(failure)
        if failure.model is not None:
            writer = Writers(failure.code).of(failure.model.use)
            members = writer(members) if writer is not None else members
        if not any(name in members for name in ("message", "Message")):
            framework = failure.code == "SerializationException"
            members["Message" if framework else "message"] = failure.message
        document = {"__type": self._namespace(failure, service) + failure.code, **members}
        headers: list[tuple[str, str]] = []
        if service is not None and service.query_compatible:
            fault = "Sender" if failure.sender else "Receiver"
            headers.append(("x-amzn-query-error", f"{failure.wire_code};{fault}"))
        body = orjson.dumps(document)
        if service is not None and str(service.metadata.get("targetPrefix", "")).startswith("DynamoDB"):
            headers.append(("x-amz-crc32", str(zlib.crc32(body))))
        return Response(failure.status, headers, body, self.content_type)

    def _namespace(self, failure: Failure, service: ServiceModel | None) -> str:
        if self.version != "1.0" or service is None:
            return ""
        if failure.code in _FRAMEWORK:
            return _FRAMEWORK[failure.code]
        dated = _DATED.fullmatch(service.metadata.get("targetPrefix", ""))
        if dated:
            return f"com.amazonaws.{dated[1].lower()}.v{dated[2]}#"
        return f"com.amazonaws.{service.metadata['endpointPrefix']}#"
