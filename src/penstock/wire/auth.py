"""How each protocol says that a signature is refused.

JSON services: the "Common Errors" of DynamoDB's and Lambda's API References; query: those of IAM and SQS; S3: its
"List of error codes".
"""

from __future__ import annotations

from collections.abc import Mapping

from penstock.base.errors import ApiError
from penstock.wire.signature import AuthError, Kind

_JSON: Mapping[Kind, tuple[str, int]] = {
    "missing": ("MissingAuthenticationTokenException", 403),
    "incomplete": ("IncompleteSignatureException", 403),
    "unknown": ("UnrecognizedClientException", 403),
    "token": ("UnrecognizedClientException", 403),
    "expired": ("ExpiredTokenException", 403),
    "skewed": ("InvalidSignatureException", 403),
    "scope": ("InvalidSignatureException", 403),
    "mismatch": ("InvalidSignatureException", 403),
    "payload": ("InvalidSignatureException", 403),
    "late": ("InvalidSignatureException", 403),
}
_QUERY: Mapping[Kind, tuple[str, int]] = {
    "missing": ("MissingAuthenticationToken", 403),
    "incomplete": ("IncompleteSignature", 400),
    "unknown": ("InvalidClientTokenId", 403),
    "token": ("InvalidClientTokenId", 403),
    "expired": ("ExpiredToken", 403),
    "skewed": ("SignatureDoesNotMatch", 403),
    "scope": ("SignatureDoesNotMatch", 403),
    "mismatch": ("SignatureDoesNotMatch", 403),
    "payload": ("SignatureDoesNotMatch", 403),
    "late": ("RequestExpired", 400),
}
_S3: Mapping[Kind, tuple[str, int, str]] = {
    "missing": ("AccessDenied", 403, "Access Denied"),
    "incomplete": ("AuthorizationHeaderMalformed", 400, ""),
    "unknown": ("InvalidAccessKeyId", 403, "The AWS Access Key Id you provided does not exist in our records."),
    "token": ("InvalidToken", 400, "The provided token is malformed or otherwise invalid."),
    "expired": ("ExpiredToken", 400, "The provided token has expired."),
    "skewed": (
        "RequestTimeTooSkewed", 403, "The difference between the request time and the current time is too large."),
    "scope": ("AuthorizationHeaderMalformed", 400, ""),
    "mismatch": (
        "SignatureDoesNotMatch", 403,
        "The request signature we calculated does not match the signature you provided. Check your key and signing"
        " method."),
    "payload": ("XAmzContentSHA256Mismatch", 400, ""),
    "late": ("AccessDenied", 403, "Request has expired"),
}  # fmt: skip


def refusal(error: AuthError, protocol: str) -> ApiError:
    """The error that AWS answers in this protocol."""
    if protocol == "rest-xml":
        code, status, message = _S3[error.kind]
        return ApiError(message or error.message, code=code, status=status)
    code, status = (_QUERY if protocol == "query" else _JSON)[error.kind]
    return ApiError(error.message, code=code, status=status)
