"""The errors of STS, named as in its API model."""

from __future__ import annotations

from penstock.base.errors import ApiError


class AccessDenied(ApiError):
    """The caller may not do this; one of AWS's common errors, without a shape in the model."""

    code = "AccessDenied"
    status = 403


class InvalidRequest(ApiError):
    """A value breaks a rule that the model does not hold."""

    code = "ValidationError"
    status = 400


class MalformedPolicyDocument(ApiError):
    """A session policy is not a policy."""

    code = "MalformedPolicyDocumentException"


class PackedPolicyTooLarge(ApiError):
    """Session policies and tags together have no room."""

    code = "PackedPolicyTooLargeException"


class InvalidIdentityToken(ApiError):
    """A web identity token that nobody can read."""

    code = "InvalidIdentityTokenException"


class ExpiredToken(ApiError):
    """A web identity token whose time is over."""

    code = "ExpiredTokenException"
