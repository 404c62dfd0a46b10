"""Resource policies of functions: kept. Who may invoke what is not checked yet."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import orjson

from penstock.base.names import is_account
from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.lambda_.configuration import FunctionRow
from penstock.services.lambda_.errors import (
    InvalidParameterValue,
    PolicyLengthExceeded,
    PreconditionFailed,
    ResourceConflict,
    ResourceNotFound,
)
from penstock.services.lambda_.records import get, put, reference_of
from penstock.services.lambda_.rules import LATEST, POLICY_BYTES

_CONDITIONS = (
    ("SourceArn", "ArnLike", "AWS:SourceArn"),
    ("SourceAccount", "StringEquals", "AWS:SourceAccount"),
    ("EventSourceToken", "StringEquals", "lambda:EventSourceToken"),
    ("FunctionUrlAuthType", "StringEquals", "lambda:FunctionUrlAuthType"),
    ("PrincipalOrgID", "StringEquals", "aws:PrincipalOrgID"),
)


@operation(
    kept={
        "Action", "Principal", "SourceArn", "SourceAccount", "EventSourceToken", "PrincipalOrgID",
        "FunctionUrlAuthType", "InvokedViaFunctionUrl",
    }
)  # fmt: skip
def add_permission(cx: Context, request: Request) -> Response:
    """Add a statement to a function's policy."""
    row = _row(cx, request)
    statements = row.policy or []
    identifier = request["StatementId"]
    if any(statement["Sid"] == identifier for statement in statements):
        raise ResourceConflict(
            f"The statement id ({identifier}) provided already exists. Please provide a new statement id, or remove "
            "the existing statement."
        )
    statement = statement_of(request, row.arn)
    _store(cx, row, [*statements, statement])
    return {"Statement": orjson.dumps(statement).decode()}


@operation
def get_policy(cx: Context, request: Request) -> Response:
    """A function's policy as a JSON document."""
    row = get(cx, reference_of(cx, request))
    if not row.policy:
        raise ResourceNotFound("The resource you requested does not exist.")
    return {"Policy": _document(row.policy).decode(), "RevisionId": row.revision}


@operation
def remove_permission(cx: Context, request: Request) -> Response:
    """Remove a statement from a function's policy."""
    row = _row(cx, request)
    if not row.policy:
        raise ResourceNotFound("No policy is associated with the given resource.")
    left = [statement for statement in row.policy if statement["Sid"] != request["StatementId"]]
    if len(left) == len(row.policy):
        raise ResourceNotFound(f"Statement {request['StatementId']} is not found in resource policy.")
    _store(cx, row, left)
    return {}


def statement_of(request: Request, resource: str) -> dict[str, Any]:
    """The policy statement that a permission becomes."""
    condition: dict[str, dict[str, Any]] = {}
    for member, operator, key in _CONDITIONS:
        if request.get(member):
            condition.setdefault(operator, {})[key] = request[member]
    if request.get("InvokedViaFunctionUrl") is not None:
        condition["Bool"] = {"lambda:InvokedViaFunctionUrl": str(request["InvokedViaFunctionUrl"]).lower()}
    statement: dict[str, Any] = {
        "Sid": request["StatementId"],
        "Effect": "Allow",
        "Principal": _principal(request["Principal"]),
        "Action": request["Action"],
        "Resource": resource,
    }
    if condition:
        statement["Condition"] = condition
    return statement


def _principal(name: str) -> Any:
    """A principal as policies have it: everybody, an account, somebody of an account, or a service."""
    if name == "*":
        return "*"
    if is_account(name):
        return {"AWS": f"arn:aws:iam::{name}:root"}
    if re.fullmatch(r"arn:aws[\w-]*:(iam|sts)::\d{12}:[\w-]+(/.+)?", name):
        return {"AWS": name}
    if "." not in name or ":" in name:
        raise InvalidParameterValue("The provided principal was invalid. Please check the principal and try again.")
    return {"Service": name}


def _row(cx: Context, request: Request) -> FunctionRow:
    reference = reference_of(cx, request)
    row = get(cx, reference)
    if reference.qualifier == LATEST:
        raise InvalidParameterValue("We currently do not support adding policies for $LATEST.")
    if request.get("RevisionId") not in (None, row.revision):
        raise PreconditionFailed(
            "The RevisionId provided does not match the latest RevisionId. Call the GetPolicy API to retrieve the "
            "latest RevisionId"
        )
    return row


def _store(cx: Context, row: FunctionRow, statements: list[dict[str, Any]]) -> None:
    if len(_document(statements)) > POLICY_BYTES:
        raise PolicyLengthExceeded(
            f"The final policy size ({len(_document(statements))}) is bigger than the limit ({POLICY_BYTES})."
        )
    put(cx, replace(row, policy=statements or None, revision=cx.names.uuid()))


def _document(statements: list[dict[str, Any]]) -> bytes:
    return orjson.dumps({"Version": "2012-10-17", "Id": "default", "Statement": statements})
