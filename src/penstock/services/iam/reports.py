"""The account as a whole: all its entities with their policies, and the credential report.

Sources: "Generate credential reports for your AWS account" in the IAM User Guide; API Reference,
GetAccountAuthorizationDetails.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from penstock.base.errors import Unsupported
from penstock.base.names import Arn
from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.iam import account, documents, entities, permissions, policies, profiles
from penstock.services.iam.entities import TITLE, Entity
from penstock.services.iam.errors import ReportNotPresent

REPORT_MS: Final = 4 * 3_600_000  # a report is made anew after this time
_ALL: Final = {"MaxItems": 1000}
_LISTS: Final = {
    "User": "UserDetailList", "Group": "GroupDetailList", "Role": "RoleDetailList", "LocalManagedPolicy": "Policies",
}  # fmt: skip
_COLUMNS: Final = (
    "user", "arn", "user_creation_time", "password_enabled", "password_last_used", "password_last_changed",
    "password_next_rotation", "mfa_active",
    *(
        f"access_key_{number}_{what}"
        for number in (1, 2)
        for what in ("active", "last_rotated", "last_used_date", "last_used_region", "last_used_service")
    ),
    *(f"cert_{number}_{what}" for number in (1, 2) for what in ("active", "last_rotated")),
)  # fmt: skip

_NO_CERTIFICATES: Final = ("false", "N/A", "false", "N/A")


@operation
def get_account_authorization_details(cx: Context, request: Request) -> Response:
    """Every user, group, role and managed policy of the account, with documents and what is attached."""
    wanted = request.get("Filter") or list(_LISTS)
    if "AWSManagedPolicy" in wanted:
        raise Unsupported(
            "Filter AWSManagedPolicy of GetAccountAuthorizationDetails (iam) is not supported: AWS's own policies are "
            "not here; leave it out"
        )
    items = [(f"{number} {key}", (kind, key)) for number, kind in enumerate(_LISTS) if kind in wanted
             for key in _keys(cx, kind)]  # fmt: skip
    page = entities.page(request, "Found", items)
    found = page.pop("Found")
    return {
        **{member: [_detail(cx, each, key) for each, key in found if each == kind] for kind, member in _LISTS.items()},
        **page,
    }


@operation
def generate_credential_report(cx: Context, request: Request) -> Response:
    """Make the credential report, unless there is one that is not older than four hours."""
    reported = account.get(cx, "reported")
    if reported is not None and cx.now - reported <= REPORT_MS:
        return {"State": "COMPLETE"}
    account.put(cx, "report", _report(cx))
    account.put(cx, "reported", cx.now)
    return {"State": "STARTED", "Description": "No report exists. Starting a new report generation task"}


@operation
def get_credential_report(cx: Context, request: Request) -> Response:
    """The credential report as it was made."""
    report = account.get(cx, "report")
    if report is None:
        raise ReportNotPresent("No report is present: call GenerateCredentialReport first.")
    return {
        "Content": report.encode(), "ReportFormat": "text/csv", "GeneratedTime": account.get(cx, "reported") / 1000
    }  # fmt: skip


def _keys(cx: Context, kind: str) -> list[str]:
    """What the details are of: names of entities, ARNs of policies."""
    if kind == "LocalManagedPolicy":
        return [arn for (arn,) in cx.all("SELECT arn FROM iam_policy WHERE account = ?", (cx.account,))]
    return [entity.name for entity in entities.every(cx, kind.lower(), None)]


def _detail(cx: Context, kind: str, key: str) -> dict[str, Any]:
    if kind == "LocalManagedPolicy":
        return _policy_detail(cx, key)
    entity = entities.find(cx, kind.lower(), key)
    title = TITLE[entity.kind]
    detail = {"User": entities.described_user, "Role": entities.described_role}.get(kind, entities.described_group)(
        entity
    )
    detail[f"{title}PolicyList"] = [
        {"PolicyName": name, "PolicyDocument": documents.encoded(document)}
        for name, document in cx.all(
            "SELECT name, document FROM iam_inline WHERE owner = ? ORDER BY lower(name), name", (entity.id,)
        )
    ]
    attached = permissions.list_attached(cx, entity.kind, {f"{title}Name": entity.name, **_ALL})
    detail["AttachedManagedPolicies"] = attached["AttachedPolicies"]
    if kind == "User":
        detail["GroupList"] = [group.name for group in entities.containers(cx, entity)]
    if kind == "Role":
        listed = profiles.list_instance_profiles_for_role(cx, {"RoleName": entity.name, **_ALL})
        detail["InstanceProfileList"] = listed["InstanceProfiles"]
        for member in ("Description", "MaxSessionDuration"):
            detail.pop(member, None)
    return detail


def _policy_detail(cx: Context, arn: str) -> dict[str, Any]:
    detail: dict[str, Any] = policies.get_policy(cx, {"PolicyArn": arn})["Policy"]
    detail.pop("Tags", None)
    versions = policies.list_policy_versions(cx, {"PolicyArn": arn, **_ALL})["Versions"]
    detail["PolicyVersionList"] = [
        policies.get_policy_version(cx, {"PolicyArn": arn, "VersionId": version["VersionId"]})["PolicyVersion"]
        for version in versions
    ]
    return detail


def _report(cx: Context) -> str:
    """The report's text: a line for the account's owner and one for each user."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    owner = str(Arn("iam", "", cx.account, "root"))
    writer.writerow(["<root_account>", owner, _time(0), *["not_supported"] * 4, "false",
                     *_key_columns(cx, f"root:{cx.account}"), *_NO_CERTIFICATES])  # fmt: skip
    for user in entities.every(cx, "user", None):
        writer.writerow([user.name, user.arn, _time(user.created), *_password_columns(cx, user), "false",
                         *_key_columns(cx, user.id), *_NO_CERTIFICATES])  # fmt: skip
    return text.getvalue().removesuffix("\n")


def _password_columns(cx: Context, user: Entity) -> list[str]:
    login = cx.one("SELECT changed FROM iam_login WHERE owner = ?", (user.id,))
    if login is None:
        return ["false", "N/A", "N/A", "N/A"]
    days = (account.password_policy(cx) or {}).get("MaxPasswordAge")
    return ["true", "no_information", _time(login[0]), "N/A" if days is None else _time(login[0] + days * 86_400_000)]


def _key_columns(cx: Context, owner: str) -> Iterator[str]:
    keys = cx.all("SELECT active, created FROM iam_access_key WHERE owner = ? ORDER BY created, id", (owner,))
    for number in range(2):
        if number < len(keys):
            yield from (str(bool(keys[number][0])).lower(), _time(keys[number][1]))
        else:
            yield from ("false", "N/A")
        yield from ("N/A", "N/A", "N/A")


def _time(moment: int) -> str:
    """Platform ms as the report has them."""
    return datetime.fromtimestamp(moment // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")
