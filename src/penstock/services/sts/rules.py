"""Pure rules of sessions: names, durations, sizes, web identity tokens.

Sources: the STS API reference of each operation, and "IAM and STS quotas" in the IAM User Guide.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any, Final

import orjson

from penstock.base.names import Arn, is_account
from penstock.services.sts.errors import (
    ExpiredToken,
    InvalidIdentityToken,
    InvalidRequest,
    MalformedPolicyDocument,
    PackedPolicyTooLarge,
)

ROLE_SECONDS: Final = 3600  # DurationSeconds of AssumeRole where the request has none
CHAINED_SECONDS: Final = 3600  # the most for a role that a role's session assumes
SESSION_SECONDS: Final = 43_200  # DurationSeconds of GetSessionToken and GetFederationToken where the request has none
ROOT_SESSION_SECONDS: Final = 3600  # the most for GetSessionToken and GetFederationToken of an account's owner
POLICY_CHARACTERS: Final = 2048  # plain text of session policies
PACKED_CHARACTERS: Final = 4096  # policies, their ARNs and tags together: AWS packs them and tells a percentage only
POLICY_ARNS: Final = 10
SESSION_TAGS: Final = 50
TOKEN_BYTES: Final = 4096  # the largest session token; SessionTokenUtilization is a percentage of it

KEY_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"  # of access key ids and unique ids


def role_of(arn: str) -> tuple[str, str]:
    """The account and the name (without its path) in a role's ARN; ValidationError when it is none."""
    try:
        parsed = Arn.parse(arn)
    except ValueError:
        raise InvalidRequest(f"{arn} is invalid. Pass a role's ARN: arn:aws:iam::ACCOUNT:role/NAME.") from None
    kind, _, path = parsed.resource.partition("/")
    name = path.rpartition("/")[2]
    if parsed.service != "iam" or kind != "role" or not name or not is_account(parsed.account):
        raise InvalidRequest(f"{arn} is invalid. Pass a role's ARN: arn:aws:iam::ACCOUNT:role/NAME.")
    return parsed.account, name


def unique_id(prefix: str, arn: str) -> str:
    """A unique id for a role that nobody created here: the same for the same ARN."""
    digest = hashlib.sha256(arn.encode()).digest()
    return prefix + "".join(KEY_ALPHABET[byte & 31] for byte in digest[:17])


def role_seconds(requested: int | None, maximum: int, *, chained: bool) -> int:
    """How long a role's session lasts."""
    if requested is None:
        return ROLE_SECONDS
    if chained and requested > CHAINED_SECONDS:
        raise InvalidRequest(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
        )
    if requested > maximum:
        raise InvalidRequest("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    return requested


def user_seconds(requested: int | None, *, owner: bool) -> int:
    """How long a session of GetSessionToken or GetFederationToken lasts; an account's owner gets an hour at most."""
    seconds = SESSION_SECONDS if requested is None else requested
    return min(seconds, ROOT_SESSION_SECONDS) if owner else seconds


def packed_size(request: dict[str, Any]) -> int | None:
    """PackedPolicySize: how full the space for session policies and tags is, in per cent; None without any."""
    policy = request.get("Policy")
    arns = [one.get("arn", "") for one in request.get("PolicyArns") or ()]
    tags = request.get("Tags") or ()
    if policy is not None:
        check_policy(policy)
    if len(arns) > POLICY_ARNS:
        raise InvalidRequest(f"Up to {POLICY_ARNS} managed session policies are allowed; the request has {len(arns)}.")
    check_tags(tags, request.get("TransitiveTagKeys") or ())
    if len(policy or "") > POLICY_CHARACTERS:
        raise PackedPolicyTooLarge(f"The session policy has more than {POLICY_CHARACTERS} characters. Make it shorter.")
    size = len(policy or "") + sum(map(len, arns)) + sum(len(tag["Key"]) + len(tag["Value"]) for tag in tags)
    if not size:
        return None
    percent = -(-100 * size // PACKED_CHARACTERS)
    if percent > 100:
        raise PackedPolicyTooLarge(
            f"Packed policy consumes {percent}% of allotted space, please use smaller policy or fewer tags."
        )
    return percent


def check_policy(policy: str) -> None:
    """MalformedPolicyDocument unless it is a JSON object with statements."""
    try:
        document = orjson.loads(policy)
    except orjson.JSONDecodeError:
        raise MalformedPolicyDocument("Syntax errors in policy: it is not JSON.") from None
    if not isinstance(document, dict) or "Statement" not in document:
        raise MalformedPolicyDocument("Syntax errors in policy: it has no Statement.")


def check_tags(tags: Any, transitive: Any) -> None:
    """InvalidRequest when session tags repeat a key (whatever its case) or transitive keys name none of them."""
    if len(tags) > SESSION_TAGS:
        raise InvalidRequest(f"Up to {SESSION_TAGS} session tags are allowed; the request has {len(tags)}.")
    keys = [tag["Key"].lower() for tag in tags]
    if len(set(keys)) != len(keys):
        raise InvalidRequest("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    unknown = [key for key in transitive if key.lower() not in keys]
    if unknown:
        raise InvalidRequest(f"The specified transitive tag key must be included in the requested tags: {unknown[0]}.")


def web_identity(token: str, now_ms: int) -> dict[str, Any]:
    """The claims of an OpenID Connect token.

    Its signature is not checked: the identity provider's keys are not known here.
    """
    try:
        _, body, _ = token.split(".")
        claims = orjson.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, binascii.Error):
        claims = None
    if not isinstance(claims, dict):
        raise InvalidIdentityToken("The ID Token provided is not a valid JWT. Pass header.claims.signature as issued.")
    if not isinstance(claims.get("sub"), str) or not isinstance(claims.get("iss"), str):
        raise InvalidIdentityToken("Missing a required claim: sub or iss. Ask the identity provider for an ID token.")
    expires = claims.get("exp")
    if isinstance(expires, int | float) and expires * 1000 <= now_ms:
        raise ExpiredToken("Token expired: current date/time must be before the expiration date/time of the token.")
    return claims
