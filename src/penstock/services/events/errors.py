"""The errors of EventBridge, named as in its API model."""

from __future__ import annotations

from penstock.base.errors import ApiError


class ValidationException(ApiError):
    """A value breaks a rule of EventBridge; one of AWS's common errors, without a shape in the model."""

    code = "ValidationException"
    status = 400


class ResourceNotFound(ApiError):
    """There is no such bus, rule or event source."""

    code = "ResourceNotFoundException"


class ResourceAlreadyExists(ApiError):
    """There is a bus of this name already."""

    code = "ResourceAlreadyExistsException"


class InvalidEventPattern(ApiError):
    """The pattern is not valid; the message is AWS's."""

    code = "InvalidEventPatternException"


class LimitExceeded(ApiError):
    """There would be more of something than EventBridge allows."""

    code = "LimitExceededException"


class PolicyLengthExceeded(ApiError):
    """The policy of a bus would be too long."""

    code = "PolicyLengthExceededException"
