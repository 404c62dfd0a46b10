"""The AWS errors that Lambda raises; the codes are the shapes of its API model."""

from __future__ import annotations

from penstock.base.errors import ApiError


class LambdaError(ApiError):
    """An error with Lambda's ``Type`` member: who is to blame."""

    type_ = "User"

    def __init__(self, message: str, **fields: object) -> None:
        super().__init__(message, fields={"Type": self.type_, **fields})


class ResourceNotFound(LambdaError):
    """The function, mapping, layer or setting does not exist."""

    code = "ResourceNotFoundException"
    status = 404


class ResourceConflict(LambdaError):
    """It exists already."""

    code = "ResourceConflictException"
    status = 409


class InvalidParameterValue(LambdaError):
    """A value that the API model allows and Lambda does not."""

    code = "InvalidParameterValueException"
    status = 400


class InvalidRequestContent(LambdaError):
    """An invocation's payload is not JSON."""

    code = "InvalidRequestContentException"
    status = 400


class RequestEntityTooLarge(LambdaError):
    """A payload or an uploaded package is over its limit."""

    code = "RequestEntityTooLargeException"
    status = 413


class TooManyRequests(LambdaError):
    """The function or the account has no concurrency left. ``Reason`` says which."""

    code = "TooManyRequestsException"
    status = 429


class PreconditionFailed(LambdaError):
    """The caller's RevisionId is not the current one."""

    code = "PreconditionFailedException"
    status = 412


class PolicyLengthExceeded(LambdaError):
    """The resource policy would be longer than 20 KB."""

    code = "PolicyLengthExceededException"
    status = 400


class CodeStorageExceeded(LambdaError):
    """The account's packages would be larger than its quota."""

    code = "CodeStorageExceededException"
    status = 400


class InvalidRuntime(LambdaError):
    """This machine cannot run the function at all."""

    code = "InvalidRuntimeException"
    status = 502
    type_ = "Server"
