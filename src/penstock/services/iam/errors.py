"""The errors of IAM, named as in its API model."""

from __future__ import annotations

from penstock.base.errors import ApiError


class NoSuchEntity(ApiError):
    """Nothing of this name exists."""

    code = "NoSuchEntityException"


class EntityAlreadyExists(ApiError):
    """The name is taken."""

    code = "EntityAlreadyExistsException"


class DeleteConflict(ApiError):
    """Something still belongs to it; the message says what to remove first."""

    code = "DeleteConflictException"


class MalformedPolicyDocument(ApiError):
    """A policy that is not one."""

    code = "MalformedPolicyDocumentException"


class LimitExceeded(ApiError):
    """One more than IAM allows."""

    code = "LimitExceededException"


class InvalidInput(ApiError):
    """A value breaks a rule that the model does not hold."""

    code = "InvalidInputException"


class InvalidValue(ApiError):
    """A value breaks a rule of AWS's front door, without a shape in the model."""

    code = "ValidationError"


class PasswordPolicyViolation(ApiError):
    """A password that the policy does not allow."""

    code = "PasswordPolicyViolationException"


class ReportNotPresent(ApiError):
    """No credential report was made, or the one there was is too old."""

    code = "CredentialReportNotPresentException"
    status = 410


class UnmodifiableEntity(ApiError):
    """A service-linked role: its service alone may change it."""

    code = "UnmodifiableEntityException"
