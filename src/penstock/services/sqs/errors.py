"""The AWS errors of SQS. Codes are the names of the shapes in the API model, where it has one.

Statuses: docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference, "Errors" of each action.
"""

from __future__ import annotations

from penstock.base.errors import ApiError


class InvalidParameterValue(ApiError):
    """A value is wrong; the message says which and why. Not in the model; AWS's generic error."""

    code = "InvalidParameterValue"


class MissingParameter(ApiError):
    """A parameter is needed and not there. Not in the model; AWS's generic error."""

    code = "MissingParameter"


class QueueDoesNotExist(ApiError):
    """No queue has this URL."""

    code = "QueueDoesNotExist"

    def __init__(self) -> None:
        super().__init__("The specified queue does not exist.")


class QueueNameExists(ApiError):
    """The name is taken by a queue with another value of an attribute."""

    code = "QueueNameExists"


class QueueDeletedRecently(ApiError):
    """A queue of this name was deleted less than 60 seconds ago."""

    code = "QueueDeletedRecently"


class PurgeQueueInProgress(ApiError):
    """The queue was purged less than 60 seconds ago."""

    code = "PurgeQueueInProgress"
    status = 403


class InvalidAttributeName(ApiError):
    """There is no such attribute, or not on this kind of queue."""

    code = "InvalidAttributeName"


class InvalidAttributeValue(ApiError):
    """The attribute cannot have this value."""

    code = "InvalidAttributeValue"


class InvalidMessageContents(ApiError):
    """The message has characters that SQS does not take."""

    code = "InvalidMessageContents"


class OverLimit(ApiError):
    """Too many messages in flight, or too many permissions or actions."""

    code = "OverLimit"
    status = 403


class RequestThrottled(ApiError):
    """A FIFO queue got more requests than its throughput limit allows."""

    code = "RequestThrottled"
    status = 403


class ReceiptHandleIsInvalid(ApiError):
    """This is no receipt handle of this queue."""

    code = "ReceiptHandleIsInvalid"
    status = 404


class EmptyBatchRequest(ApiError):
    """A batch without entries."""

    code = "EmptyBatchRequest"


class TooManyEntriesInBatchRequest(ApiError):
    """A batch of more than ten entries."""

    code = "TooManyEntriesInBatchRequest"


class InvalidBatchEntryId(ApiError):
    """An entry's id is not well-formed."""

    code = "InvalidBatchEntryId"


class BatchEntryIdsNotDistinct(ApiError):
    """Two entries have one id."""

    code = "BatchEntryIdsNotDistinct"


class BatchRequestTooLong(ApiError):
    """The messages of a batch are too large together."""

    code = "BatchRequestTooLong"


class UnsupportedOperation(ApiError):
    """AWS does not support this either."""

    code = "UnsupportedOperation"


class ResourceNotFoundException(ApiError):
    """A queue or a task of a message move does not exist."""

    code = "ResourceNotFoundException"
    status = 404
