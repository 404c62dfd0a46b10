"""Resource policies of an account: who else may write to its groups. Kept: access is not enforced here.

Source: PutResourcePolicy, DescribeResourcePolicies and DeleteResourcePolicy in the CloudWatch Logs API Reference.
"""

from __future__ import annotations

from typing import Final

import orjson

from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.logs import rules
from penstock.services.logs.errors import InvalidParameter, LimitExceeded, ResourceNotFound
from penstock.store.store import Row

POLICIES: Final = 10  # of an account in a region: API Reference, PutResourcePolicy
_OF_GROUPS: Final = "leave it out: policies belong to the account here, not to a single group"


@operation(
    kept=["policyDocument"],
    refused={"resourceArn": _OF_GROUPS, "expectedRevisionId": "leave it out: only policies of groups have revisions"},
)
def put_resource_policy(cx: Context, request: Request) -> Response:
    """Make or replace a policy."""
    name, document = request.get("policyName") or "", request.get("policyDocument") or ""
    if not name or not document:
        raise InvalidParameter("Give both policyName and policyDocument.")
    try:
        whole = orjson.loads(document)
    except orjson.JSONDecodeError as error:
        raise InvalidParameter(f"The policy document is no JSON: {error}.") from error
    if not isinstance(whole, dict) or "Statement" not in whole:
        raise InvalidParameter("The policy document has no Statement.")
    where = (cx.account, cx.region)
    others = cx.one(
        "SELECT count(*) FROM log_policy WHERE account = ? AND region = ? AND name <> ?", (*where, name)
    )  # fmt: skip
    if others is not None and others[0] >= POLICIES:
        raise LimitExceeded("Resource limit exceeded.")
    cx.write("INSERT OR REPLACE INTO log_policy VALUES (?,?,?,?,?)", (*where, name, document, cx.now))
    return {"resourcePolicy": _view(name, document, cx.now)}


@operation(refused={"resourceArn": _OF_GROUPS})
def describe_resource_policies(cx: Context, request: Request) -> Response:
    """The policies by name."""
    if request.get("policyScope") == "RESOURCE":
        return {"resourcePolicies": []}

    def listed(after: str, limit: int) -> list[Row]:
        return cx.all(
            "SELECT name, document, updated FROM log_policy WHERE account = ? AND region = ? AND name > ?"
            " ORDER BY name LIMIT ?",
            (cx.account, cx.region, after, limit),
        )

    rows, token = rules.PAGING.of(request, listed, lambda row: row[0])
    return {"resourcePolicies": [_view(*row) for row in rows], **token}


@operation(refused={"resourceArn": _OF_GROUPS, "expectedRevisionId": "leave it out: policies here have no revisions"})
def delete_resource_policy(cx: Context, request: Request) -> Response:
    """Delete a policy."""
    name = request.get("policyName") or ""
    if not cx.write(
        "DELETE FROM log_policy WHERE account = ? AND region = ? AND name = ?", (cx.account, cx.region, name)
    ):
        raise ResourceNotFound(f"Policy with name [{name}] does not exist.")
    return {}


def _view(name: str, document: str, updated: int) -> Response:
    return {"policyName": name, "policyDocument": document, "lastUpdatedTime": updated, "policyScope": "ACCOUNT"}
