"""Smithy RPC v2 CBOR (CloudWatch), and AWS JSON 1.1 with CBOR in place of JSON (Kinesis).

https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
The second has no specification: the AWS SDKs for Java and JavaScript send ``application/x-amz-cbor-1.1`` to Kinesis
with the members of JSON 1.1, blobs as bytes and times as whole milliseconds.
"""

from __future__ import annotations

from typing import Any

from penstock.engine.model import Member, OperationModel, ServiceModel
from penstock.engine.model.check import SerializationError
from penstock.wire.protocols import cbor
from penstock.wire.protocols.cbor_values import CborReaders, CborWriters
from penstock.wire.protocols.eventstream import CONTENT_TYPE, Dump, EventCodec, Load
from penstock.wire.protocols.protocol import Codec, Failure, Form, Labels, body_of, error_members
from penstock.wire.values import Request, Response


def cbor_events(use: Member, milliseconds: bool) -> EventCodec:
    """The codec of a stream whose events are CBOR."""

    def dump(member: Member) -> Dump:
        convert = CborWriters(member.shape.name, milliseconds=milliseconds).of(member)
        return lambda value: cbor.dumps(value if convert is None else convert(value))

    def load(member: Member) -> Load:
        convert = CborReaders(milliseconds=milliseconds).of(member)
        return lambda data: cbor.loads(data) if convert is None else convert(cbor.loads(data))

    return EventCodec(use, dump, load, "application/x-amz-cbor-1.1" if milliseconds else "application/cbor")


class _Cbor:
    """What both have in common."""

    name: str
    content_type: str
    request_id_header = "x-amzn-RequestId"
    milliseconds = False
    headers: tuple[tuple[str, str], ...] = ()

    def codec(self, operation: OperationModel) -> Codec:
        """Compile an operation."""
        reader = CborReaders(milliseconds=self.milliseconds).of(operation.input) if operation.input else None
        writers = CborWriters(f"{operation.service.name} {operation.name}", milliseconds=self.milliseconds)
        writer = writers.of(operation.output) if operation.output is not None else None

        def decode(request: Request, labels: Labels, form: Form) -> dict[str, Any]:
            body = body_of(request)
            value = cbor.loads(body) if body else {}
            if not isinstance(value, dict):
                raise SerializationError("The request body must be one CBOR map.")
            return reader(value) if reader is not None else {}

        stream = operation.event_output
        events = cbor_events(operation.output_members[stream], self.milliseconds) if stream else None
        rest = [member for member in operation.output_members.values() if member.name != stream]
        write_rest = writers.structure(operation.name, rest)

        def encode(answer: dict[str, Any], request_id: str) -> Response:
            if events is not None and stream is not None:
                initial = write_rest({name: value for name, value in answer.items() if name != stream})
                return Response(
                    200, self.headers, events.stream(answer.get(stream) or (), cbor.dumps(initial)), CONTENT_TYPE
                )
            body = cbor.dumps(writer(answer)) if writer is not None else b""
            return Response(200, self.headers, body, self.content_type if body else "")

        return Codec(operation, self, decode, encode)

    def failure(self, failure: Failure, service: ServiceModel | None, request_id: str) -> Response:
        """An error document."""
        members = error_members(failure)
        if failure.model is not None:
            writer = CborWriters(failure.code, milliseconds=self.milliseconds).of(failure.model.use)
            members = writer(members) if writer is not None else members
        if not any(name in members for name in ("message", "Message")):
            members["message"] = failure.message
        headers = list(self.headers)
        if service is not None and service.query_compatible:
            fault = "Sender" if failure.sender else "Receiver"
            headers.append(("x-amzn-query-error", f"{failure.wire_code};{fault}"))
        return Response(failure.status, headers, cbor.dumps({"__type": failure.code, **members}), self.content_type)


class RpcV2Cbor(_Cbor):
    """Smithy RPC v2 CBOR: POST /service/{service}/operation/{operation}."""

    name = "smithy-rpc-v2-cbor"
    content_type = "application/cbor"
    headers = (("smithy-protocol", "rpc-v2-cbor"),)


class AwsCbor(_Cbor):
    """AWS JSON 1.1 with CBOR bodies."""

    name = "cbor-1.1"
    content_type = "application/x-amz-cbor-1.1"
    milliseconds = True
