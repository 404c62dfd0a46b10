"""The errors of CloudWatch Logs, named as in its API model."""

from __future__ import annotations

from penstock.base.errors import ApiError


class InvalidParameter(ApiError):
    """A value breaks a rule that the model does not hold."""

    code = "InvalidParameterException"


class ResourceNotFound(ApiError):
    """There is no such group or stream."""

    code = "ResourceNotFoundException"


class ResourceAlreadyExists(ApiError):
    """A group or stream of this name exists."""

    code = "ResourceAlreadyExistsException"


class Protected(ApiError):
    """Deletion protection is on."""

    code = "ValidationException"


class LimitExceeded(ApiError):
    """An account has 10 resource policies at most."""

    code = "LimitExceededException"


class TooManyTags(ApiError):
    """A group has 50 tags at most."""

    code = "TooManyTagsException"


NO_GROUP = "The specified log group does not exist."
NO_STREAM = "The specified log stream does not exist."
