"""Pure: what is a policy document, and how large one may be.

Sources: "Grammar of the IAM JSON policy language" and "IAM and STS quotas" in the IAM User Guide.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote

import orjson

from penstock.services.iam.errors import LimitExceeded, MalformedPolicyDocument

VERSIONS: Final = ("2008-10-17", "2012-10-17")
MANAGED_CHARACTERS: Final = 6144  # of one managed policy, white space not counted
TRUST_CHARACTERS: Final = 2048  # of a trust policy
INLINE_CHARACTERS: Final = {"role": 10_240, "user": 2048, "group": 5120}  # all inline policies of one together

_TOP: Final = {"Version", "Id", "Statement"}
_STATEMENT: Final = {
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition",
}  # fmt: skip
_PRINCIPALS: Final = {"AWS", "Service", "Federated", "CanonicalUser"}


def characters(document: str) -> int:
    """A document's size as IAM counts it: without white space."""
    return len(re.sub(r"\s", "", document))


def encoded(document: str) -> str:
    """A document as IAM's answers carry it: URL-encoded (RFC 3986)."""
    return quote(document, safe="")


def check_permissions(document: str) -> None:
    """MalformedPolicyDocument unless it is a policy for a role, user or group."""
    for statement in _statements(document):
        if "Principal" in statement or "NotPrincipal" in statement:
            raise MalformedPolicyDocument("Policy document should not specify a principal.")
        _one_of(statement, "Action", "NotAction", "Policy statement must contain actions.")
        _one_of(statement, "Resource", "NotResource", "Policy statement must contain resources.")
        _check_actions(statement)


def check_managed(document: str) -> None:
    """As ``check_permissions``, and no larger than a managed policy may be."""
    check_permissions(document)
    if characters(document) > MANAGED_CHARACTERS:
        raise LimitExceeded(f"Cannot exceed quota for PolicySize: {MANAGED_CHARACTERS}")


def check_trust(document: str) -> None:
    """MalformedPolicyDocument unless it is a role's trust policy."""
    for statement in _statements(document):
        if "Resource" in statement or "NotResource" in statement:
            raise MalformedPolicyDocument("Has prohibited field Resource")
        _one_of(statement, "Principal", "NotPrincipal", "Missing required field Principal cannot be empty!")
        _one_of(statement, "Action", "NotAction", "Missing required field Action")
        principal = statement.get("Principal", statement.get("NotPrincipal"))
        if not (principal == "*" or (isinstance(principal, dict) and principal and set(principal) <= _PRINCIPALS)):
            raise MalformedPolicyDocument(f"Invalid principal in policy: {orjson.dumps(principal).decode()}")
        _check_actions(statement)
    if characters(document) > TRUST_CHARACTERS:
        raise LimitExceeded(f"Cannot exceed quota for ACLSizePerRole: {TRUST_CHARACTERS}")


def _statements(document: str) -> list[dict[str, Any]]:
    try:
        policy = orjson.loads(document)
    except orjson.JSONDecodeError:
        raise MalformedPolicyDocument("This policy contains invalid Json") from None
    if not isinstance(policy, dict) or not set(policy) <= _TOP:
        raise MalformedPolicyDocument("Syntax errors in policy.")
    if policy.get("Version", VERSIONS[0]) not in VERSIONS:
        raise MalformedPolicyDocument("Policy document must be version 2012-10-17 or greater.")
    statements = policy.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        raise MalformedPolicyDocument("Syntax errors in policy: Statement is missing.")
    seen: set[str] = set()
    for statement in statements:
        if not isinstance(statement, dict) or not set(statement) <= _STATEMENT:
            raise MalformedPolicyDocument("Syntax errors in policy.")
        if statement.get("Effect") not in ("Allow", "Deny"):
            raise MalformedPolicyDocument(f"Invalid effect: {statement.get('Effect')}")
        if not isinstance(statement.get("Condition", {}), dict):
            raise MalformedPolicyDocument("Syntax errors in policy: Condition is no object.")
        sid = statement.get("Sid")
        if sid:
            if sid in seen:
                raise MalformedPolicyDocument("Statement IDs (SID) in a single policy must be unique.")
            seen.add(sid)
    return statements


def _one_of(statement: dict[str, Any], name: str, opposite: str, missing: str) -> None:
    if name in statement and opposite in statement:
        raise MalformedPolicyDocument(f"Syntax errors in policy: {name} and {opposite} exclude each other.")
    value = statement.get(name, statement.get(opposite))
    if value is None or value in ([], "", {}):
        raise MalformedPolicyDocument(missing)


def _check_actions(statement: dict[str, Any]) -> None:
    actions = statement.get("Action", statement.get("NotAction"))
    for action in actions if isinstance(actions, list) else [actions]:
        if not isinstance(action, str):
            raise MalformedPolicyDocument("Syntax errors in policy: an action is no string.")
        if action != "*" and not re.fullmatch(r"[a-zA-Z0-9-]+:[^:]+", action):
            raise MalformedPolicyDocument("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
