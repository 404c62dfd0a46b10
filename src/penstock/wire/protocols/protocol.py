"""What a protocol is: how one operation's requests are read, and its answers and errors written.

A ``Codec`` belongs to one operation in one protocol and is made once. ``Failure`` is an error as every protocol
needs it: its code, status, and whose fault it is, taken from the API model where that says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from penstock.base.errors import ApiError, StoreFull
from penstock.engine.model import ErrorModel, Member, OperationModel, ServiceModel
from penstock.engine.model.check import SerializationError
from penstock.wire.values import Request, Response

Labels = Mapping[str, str]
Form = Mapping[str, str]
Decode = Callable[[Request, Labels, Form], dict[str, Any]]
"""(the request, the labels of its path, the fields of its form) → the operation's request."""

Encode = Callable[[dict[str, Any], str], Response]
"""(the operation's answer, the request id) → an HTTP answer, still without its request id header."""

JSON_LIMIT_BYTES = 70 << 20  # a Lambda function's 50 MB package as base64 is the largest document AWS takes


@dataclass(slots=True)
class Codec:
    """One operation in one protocol."""

    operation: OperationModel
    protocol: WireProtocol
    decode: Decode
    encode: Encode


@dataclass(slots=True)
class Failure:
    """An error on its way out. ``code`` is the shape's name, ``wire_code`` what query and XML answers call it."""

    code: str
    wire_code: str
    message: str
    status: int
    sender: bool
    fields: Mapping[str, Any] = field(default_factory=dict)
    model: ErrorModel | None = None

    def code_in(self, codes: Mapping[str, str]) -> str:
        """The code on the wire, where a protocol has names of its own for errors that are in no model."""
        return self.wire_code if self.model is not None else codes.get(self.wire_code, self.wire_code)


class WireProtocol(Protocol):
    """A protocol: ``request_id_header`` is where its answers carry the request id."""

    name: str
    content_type: str
    request_id_header: str

    def codec(self, operation: OperationModel) -> Codec:
        """Compile an operation."""

    def failure(self, failure: Failure, service: ServiceModel | None, request_id: str) -> Response:
        """Write an error; ``service`` is None when the request could not be routed."""


def failure_of(error: BaseException, service: ServiceModel | None) -> Failure:
    """What an exception is to the caller; anything unexpected is an InternalFailure that tells nothing else."""
    if isinstance(error, ApiError):
        model = service.error(error.code) if service is not None else None
        code, status = error.code, error.status
        wire_code = code
        if model is not None:
            code, wire_code = model.code, model.wire_code
            if model.status is not None:
                status = model.status
            elif not model.sender and status == 400:
                status = 500
        if service is not None and wire_code == code:
            wire_code = QUERY_CODES.get(service.name, {}).get(code, code)
        return Failure(code, wire_code, error.message, status, status < 500, error.fields, model)
    if isinstance(error, StoreFull):
        return Failure(
            "ServiceUnavailable", "ServiceUnavailable",
            "There is no room for more data: free disk space, or delete what is not needed. " + str(error), 503, False,
        )  # fmt: skip
    return Failure(
        "InternalFailure", "InternalFailure",
        "Something unexpected went wrong; the server's log has it under this request id.", 500, False,
    )  # fmt: skip


# awsQueryError codes that botocore's model of SQS no longer has: the "Errors" sections of the SQS API Reference.
_SQS = "AWS.SimpleQueueService."
QUERY_CODES: Mapping[str, Mapping[str, str]] = {
    "sqs": {
        "BatchEntryIdsNotDistinct": _SQS + "BatchEntryIdsNotDistinct",
        "BatchRequestTooLong": _SQS + "BatchRequestTooLong",
        "EmptyBatchRequest": _SQS + "EmptyBatchRequest",
        "InvalidBatchEntryId": _SQS + "InvalidBatchEntryId",
        "MessageNotInflight": _SQS + "MessageNotInflight",
        "PurgeQueueInProgress": _SQS + "PurgeQueueInProgress",
        "QueueDeletedRecently": _SQS + "QueueDeletedRecently",
        "QueueDoesNotExist": _SQS + "NonExistentQueue",
        "QueueNameExists": "QueueAlreadyExists",
        "TooManyEntriesInBatchRequest": _SQS + "TooManyEntriesInBatchRequest",
        "UnsupportedOperation": _SQS + "UnsupportedOperation",
        "KmsAccessDenied": "KMS.AccessDeniedException",
        "KmsDisabled": "KMS.DisabledException",
        "KmsInvalidKeyUsage": "KMS.InvalidKeyUsageException",
        "KmsInvalidState": "KMS.InvalidStateException",
        "KmsNotFound": "KMS.NotFoundException",
        "KmsOptInRequired": "KMS.OptInRequired",
        "KmsThrottled": "KMS.ThrottlingException",
    }
}


def error_members(failure: Failure) -> dict[str, Any]:
    """The members of an error's shape: message, fault and whatever the service gave."""
    members = dict(failure.fields)
    if failure.model is not None:
        names = failure.model.shape.members
        for name in ("message", "Message"):
            if name in names and failure.message:
                members.setdefault(name, failure.message)
        if "Type" in names and names["Type"].shape.type == "string":
            members.setdefault("Type", "User" if failure.sender else "Service")
    return members


def body_of(request: Request) -> bytes:
    """The whole body in memory."""
    body = request.body
    if isinstance(body, bytes):
        return body
    if body.size > JSON_LIMIT_BYTES:
        raise SerializationError(f"The request is longer than {JSON_LIMIT_BYTES} bytes: split it up.")
    return body.read()


def wire_members(use: Member | None) -> list[Member]:
    """The members of an input or output that travel in its body."""
    if use is None:
        return []
    return [member for member in use.shape.members.values() if member.location is None]
