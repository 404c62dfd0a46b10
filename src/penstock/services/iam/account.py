"""The account itself: its alias, its password policy, what it has and may have."""

from __future__ import annotations

from typing import Any, Final

import orjson

from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.iam import documents, entities
from penstock.services.iam.errors import EntityAlreadyExists, NoSuchEntity

# What a policy is where UpdateAccountPasswordPolicy leaves it out; API Reference, UpdateAccountPasswordPolicy.
_LEFT_OUT: Final = {
    "MinimumPasswordLength": 6,
    "RequireSymbols": False,
    "RequireNumbers": False,
    "RequireUppercaseCharacters": False,
    "RequireLowercaseCharacters": False,
    "AllowUsersToChangePassword": False,
    "HardExpiry": False,
}

# IAM User Guide, "IAM and AWS STS quotas"; those that are not held here are told all the same.
_QUOTAS: Final = {
    "AccessKeysPerUserQuota": 2,
    "AssumeRolePolicySizeQuota": documents.TRUST_CHARACTERS,
    "AttachedPoliciesPerGroupQuota": 10,
    "AttachedPoliciesPerRoleQuota": 10,
    "AttachedPoliciesPerUserQuota": 10,
    "GroupPolicySizeQuota": documents.INLINE_CHARACTERS["group"],
    "GroupsPerUserQuota": 10,
    "GroupsQuota": 300,
    "InstanceProfilesQuota": 1000,
    "PoliciesQuota": 1500,
    "PolicySizeQuota": documents.MANAGED_CHARACTERS,
    "PolicyVersionsInUseQuota": 10_000,
    "RolePolicySizeQuota": documents.INLINE_CHARACTERS["role"],
    "RolesQuota": 1000,
    "ServerCertificatesQuota": 20,
    "SigningCertificatesPerUserQuota": 2,
    "UserPolicySizeQuota": documents.INLINE_CHARACTERS["user"],
    "UsersQuota": 5000,
    "VersionsPerPolicyQuota": 5,
}

# What there cannot be here, because what makes it is refused.
_NEVER: Final = (
    "AccountMFAEnabled", "AccountPasswordPresent", "AccountSigningCertificatesPresent", "MFADevices", "MFADevicesInUse",
    "ServerCertificates",
)  # fmt: skip


@operation
def create_account_alias(cx: Context, request: Request) -> Response:
    """Give the account another name; it has one at most, and no two accounts the same."""
    alias = request["AccountAlias"]
    if cx.one("SELECT 1 FROM iam_account WHERE alias = ?", (alias,)) is not None:
        raise EntityAlreadyExists(f"The account alias {alias} already exists.")
    put(cx, "alias", alias)
    return {}


@operation
def list_account_aliases(cx: Context, request: Request) -> Response:
    """The account's alias, if it has one."""
    alias = get(cx, "alias")
    return entities.page(request, "AccountAliases", [] if alias is None else [(alias, alias)])


@operation
def delete_account_alias(cx: Context, request: Request) -> Response:
    """Take the account's alias."""
    alias = request["AccountAlias"]
    if get(cx, "alias") != alias:
        raise NoSuchEntity(f"The account alias {alias} cannot be found.")
    put(cx, "alias", None)
    return {}


@operation(kept={"AllowUsersToChangePassword", "MaxPasswordAge", "PasswordReusePrevention", "HardExpiry"})
def update_account_password_policy(cx: Context, request: Request) -> Response:
    """Say what passwords must be like; what is left out returns to its default."""
    put(cx, "password_policy", orjson.dumps({**_LEFT_OUT, **request}).decode())
    return {}


@operation
def get_account_password_policy(cx: Context, request: Request) -> Response:
    """What passwords must be like; NoSuchEntity where the account has no policy of its own."""
    policy = password_policy(cx)
    if policy is None:
        raise NoSuchEntity(f"The Password Policy with domain name {cx.account} cannot be found.")
    return {"PasswordPolicy": {**policy, "ExpirePasswords": "MaxPasswordAge" in policy}}


@operation
def delete_account_password_policy(cx: Context, request: Request) -> Response:
    """Return to AWS's default."""
    if password_policy(cx) is None:
        raise NoSuchEntity("The account policy with name PasswordPolicy cannot be found.")
    put(cx, "password_policy", None)
    return {}


@operation
def get_account_summary(cx: Context, request: Request) -> Response:
    """How many of everything the account has, and how many it may have on AWS."""
    kinds = dict(cx.all("SELECT kind, count(*) FROM iam_entity WHERE account = ? GROUP BY kind", (cx.account,)))
    versions = "SELECT count(*) FROM iam_policy_version WHERE policy IN (SELECT arn FROM iam_policy WHERE account = ?)"
    return {
        "SummaryMap": {
            **_QUOTAS,
            **dict.fromkeys(_NEVER, 0),
            "AccountAccessKeysPresent": min(
                _count(cx, "SELECT count(*) FROM iam_access_key WHERE owner = ?", f"root:{cx.account}"), 1
            ),
            "GlobalEndpointTokenVersion": 1,
            "Groups": kinds.get("group", 0),
            "InstanceProfiles": kinds.get("instance-profile", 0),
            "Policies": _count(cx, "SELECT count(*) FROM iam_policy WHERE account = ?", cx.account),
            "PolicyVersionsInUse": _count(cx, versions, cx.account),
            "Providers": _count(cx, "SELECT count(*) FROM iam_provider WHERE account = ?", cx.account),
            "Roles": kinds.get("role", 0),
            "Users": kinds.get("user", 0),
        }
    }


def password_policy(cx: Context) -> dict[str, Any] | None:
    """The account's own password policy, or None."""
    text = get(cx, "password_policy")
    policy: dict[str, Any] | None = None if text is None else orjson.loads(text)
    return policy


def get(cx: Context, column: str) -> Any:
    """A column of the account's row, None when it has no row."""
    row = cx.one(f"SELECT {column} FROM iam_account WHERE account = ?", (cx.account,))
    return None if row is None else row[0]


def put(cx: Context, column: str, value: Any) -> None:
    """Write a column of the account's row."""
    cx.write("INSERT OR IGNORE INTO iam_account (account) VALUES (?)", (cx.account,))
    cx.write(f"UPDATE iam_account SET {column} = ? WHERE account = ?", (value, cx.account))


def _count(cx: Context, query: str, parameter: str) -> int:
    row = cx.one(query, (parameter,))
    return 0 if row is None else int(row[0])
