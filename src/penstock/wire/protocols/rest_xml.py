"""rest-xml: members in path, query and headers, the rest in an XML body. S3 speaks it, with ways of its own.

https://smithy.io/2.0/aws/protocols/aws-restxml-protocol.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.engine.model import Member, OperationModel, ServiceModel
from penstock.wire.protocols.bindings import AnswerHeaders, decoder
from penstock.wire.protocols.eventstream import CONTENT_TYPE, Dump, EventCodec, Load
from penstock.wire.protocols.protocol import Codec, Decode, Encode, Failure, body_of, wire_members
from penstock.wire.protocols.query import write_error_fields
from penstock.wire.protocols.rest_json import payload_body, payload_reader
from penstock.wire.protocols.xml_values import XmlReaders, XmlWriters, escape, parse_xml
from penstock.wire.values import Request, Response

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_S3_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

# The roots of S3's answers, which botocore's model does not have and other clients check: the "Response Syntax" of
# each operation in the Amazon S3 API Reference.
_S3_ROOTS: Mapping[str, str] = {
    "CompleteMultipartUpload": "CompleteMultipartUploadResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "CreateSession": "CreateSessionResult",
    "DeleteObjects": "DeleteResult",
    "GetBucketAccelerateConfiguration": "AccelerateConfiguration",
    "GetBucketAcl": "AccessControlPolicy",
    "GetBucketCors": "CORSConfiguration",
    "GetBucketLifecycle": "LifecycleConfiguration",
    "GetBucketLifecycleConfiguration": "LifecycleConfiguration",
    "GetBucketLogging": "BucketLoggingStatus",
    "GetBucketNotification": "NotificationConfiguration",
    "GetBucketNotificationConfiguration": "NotificationConfiguration",
    "GetBucketRequestPayment": "RequestPaymentConfiguration",
    "GetBucketTagging": "Tagging",
    "GetBucketVersioning": "VersioningConfiguration",
    "GetBucketWebsite": "WebsiteConfiguration",
    "GetObjectAcl": "AccessControlPolicy",
    "GetObjectAttributes": "GetObjectAttributesResponse",
    "GetObjectTagging": "Tagging",
    "ListBucketAnalyticsConfigurations": "ListBucketAnalyticsConfigurationResult",
    "ListBucketIntelligentTieringConfigurations": "ListBucketIntelligentTieringConfigurationsOutput",
    "ListBucketInventoryConfigurations": "ListInventoryConfigurationsResult",
    "ListBucketMetricsConfigurations": "ListMetricsConfigurationsResult",
    "ListBuckets": "ListAllMyBucketsResult",
    "ListDirectoryBuckets": "ListAllMyDirectoryBucketsResult",
    "ListMultipartUploads": "ListMultipartUploadsResult",
    "ListObjectVersions": "ListVersionsResult",
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListParts": "ListPartsResult",
}
# What S3 calls the errors of the frameworks behind JSON: "List of error codes" in the Amazon S3 API Reference.
_CODES: Mapping[str, str] = {
    "SerializationException": "InvalidArgument",
    "InternalFailure": "InternalError",
    "UnrecognizedClientException": "InvalidAccessKeyId",
    "ExpiredTokenException": "ExpiredToken",
}
_S3_UNWRAPPED = "GetBucketLocation"  # its root is its only member


class RestXml:
    """The rest-xml protocol."""

    name = "rest-xml"
    content_type = "application/xml"
    request_id_header = "x-amz-request-id"

    def codec(self, operation: OperationModel) -> Codec:
        """Compile an operation."""
        return Codec(operation, self, self._decoder(operation), self._encoder(operation))

    def _decoder(self, operation: OperationModel) -> Decode:
        return decoder(operation, _body_reader(operation.input))

    def _encoder(self, operation: OperationModel) -> Encode:
        use, status = operation.output, operation.status
        bound = AnswerHeaders(use)
        write_body = _body_writer(operation)
        is_s3 = _is_s3(operation.service)

        stream, events = operation.event_output, None
        if stream is not None:
            events = _xml_events(operation.output_members[stream])

        def encode(answer: dict[str, Any], request_id: str) -> Response:
            headers = bound.write(answer)
            if stream is not None and events is not None:
                return Response(status, headers, events.stream(answer.get(stream) or (), None), CONTENT_TYPE)
            if is_s3:
                headers.append(("x-amz-id-2", _host_id(request_id)))
            code = answer.get(bound.status, status) if bound.status else status
            body, content_type = write_body(answer)
            if any(name.lower() == "content-type" for name, _ in headers):
                content_type = ""
            return Response(code, headers, body, content_type)

        return encode

    def failure(self, failure: Failure, service: ServiceModel | None, request_id: str) -> Response:
        """An error document: S3's has the error as its root, the others wrap it."""
        out = [_DECLARATION]
        code = failure.code_in(_CODES)
        if service is None or _is_s3(service):
            host_id = _host_id(request_id)
            out.append(f"<Error><Code>{escape(code)}</Code><Message>{escape(failure.message)}</Message>")
            _write_s3_fields(out, failure)
            out.append(f"<RequestId>{request_id}</RequestId><HostId>{host_id}</HostId></Error>")
            headers = [("x-amz-id-2", host_id)]
        else:
            kind = "Sender" if failure.sender else "Receiver"
            out.append(f"<ErrorResponse><Error><Type>{kind}</Type><Code>{escape(code)}</Code>")
            out.append(f"<Message>{escape(failure.message)}</Message>")
            write_error_fields(out, failure)
            out.append(f"</Error><RequestId>{request_id}</RequestId></ErrorResponse>")
            headers = []
        if failure.model is not None:
            headers += AnswerHeaders(failure.model.use).write(failure.fields)
        # An answer that may have no body: S3 says in the status alone what happened to a HEAD or conditional GET.
        body = b"" if failure.status == 304 else "".join(out).encode()
        return Response(failure.status, headers, body, "application/xml" if body else "")


def _write_s3_fields(out: list[str], failure: Failure) -> None:
    """S3's errors carry elements which its model does not name: BucketName, Key, Resource, Condition…"""
    known = failure.model.shape.members if failure.model is not None else {}
    if known:
        write_error_fields(out, failure)
    for name, value in failure.fields.items():
        if name not in known and isinstance(value, str | int | float):
            out.append(f"<{name}>{escape(str(value))}</{name}>")


def _host_id(request_id: str) -> str:
    """S3's second request id; it needs no more than to be the same for the same request."""
    return request_id.replace("-", "")


def _xml_events(use: Member) -> EventCodec:
    def dump(member: Member) -> Dump:
        write = XmlWriters(member.shape.name).of(member)

        def dumps(value: Any) -> bytes:
            out: list[str] = []
            write(out, member.shape.name, value)
            return "".join(out).encode()

        return dumps

    def load(member: Member) -> Load:
        read = XmlReaders().of(member)
        return lambda data: read(parse_xml(data))

    return EventCodec(use, dump, load, "text/xml")


def _is_s3(service: ServiceModel) -> bool:
    return bool(service.metadata["endpointPrefix"] == "s3")


def _body_reader(use: Member | None) -> Any:
    if use is None:
        return None
    readers = XmlReaders()
    payload = use.shape.members[use.shape.payload] if use.shape.payload else None
    if payload is not None and payload.shape.type in ("blob", "string"):
        return payload_reader(payload, None)
    if payload is not None:
        read_payload = readers.of(payload)

        def read(request: Request, out: dict[str, Any]) -> None:
            if request.body:
                out[payload.name] = read_payload(parse_xml(body_of(request)))

        return read
    members = wire_members(use)
    if not members:
        return None
    read_root = readers.structure(members)

    def read_members(request: Request, out: dict[str, Any]) -> None:
        if request.body:
            out.update(read_root(parse_xml(body_of(request))))

    return read_members


def _body_writer(operation: OperationModel) -> Any:
    use = operation.output
    writers = XmlWriters(f"{operation.service.name} {operation.name}")
    payload = use.shape.members[use.shape.payload] if use is not None and use.shape.payload else None
    namespace = operation.service.metadata.get("xmlNamespace") or (_S3_NAMESPACE if _is_s3(operation.service) else "")
    if isinstance(namespace, Mapping):
        namespace = namespace["uri"]
    attribute = f' xmlns="{namespace}"' if namespace else ""
    if payload is not None and payload.shape.type in ("blob", "string"):
        return lambda answer: payload_body(payload, answer.get(payload.name), None)
    if payload is not None:
        root = payload.traits.get("locationName") or payload.shape.traits.get("locationName") or payload.shape.name
        write_payload = writers.content(payload.shape.members.values(), payload.shape.name)

        def whole(answer: dict[str, Any]) -> tuple[bytes, str]:
            value = answer.get(payload.name)
            if value is None:
                return b"", ""
            out = [_DECLARATION, f"<{root}{attribute}>"]
            write_payload(out, value)
            out.append(f"</{root}>")
            return "".join(out).encode(), "application/xml"

        return whole
    members = wire_members(use)
    if not members:
        return lambda answer: (b"", "")
    if operation.name == _S3_UNWRAPPED and _is_s3(operation.service):
        return lambda answer: (_location(answer, members[0].name, attribute), "application/xml")
    root = _S3_ROOTS.get(operation.name, "") if _is_s3(operation.service) else ""
    root = root or (use.wire_name if use is not None else "") or f"{operation.name}Result"
    write_content = writers.content(members, operation.name)
    names = {member.name for member in members}

    def document(answer: dict[str, Any]) -> tuple[bytes, str]:
        out = [_DECLARATION, f"<{root}{attribute}>"]
        write_content(out, {name: value for name, value in answer.items() if name in names})
        out.append(f"</{root}>")
        return "".join(out).encode(), "application/xml"

    return document


def _location(answer: dict[str, Any], name: str, attribute: str) -> bytes:
    value = answer.get(name) or ""
    return f"{_DECLARATION}<LocationConstraint{attribute}>{escape(value)}</LocationConstraint>".encode()
