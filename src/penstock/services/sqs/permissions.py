"""Permissions: statements of a queue's policy. They are kept, told and removed; policies are not enforced here."""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.sqs.catalog import by_url
from penstock.services.sqs.errors import InvalidParameterValue, MissingParameter, OverLimit
from penstock.services.sqs.queues import change_attributes
from penstock.services.sqs.rules import POLICY_ACTIONS, POLICY_STATEMENTS

_LABEL: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")
_ACTIONS: Final = frozenset({
    "*", "ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "GetQueueUrl", "ListDeadLetterSourceQueues",
    "PurgeQueue", "ReceiveMessage", "SendMessage", "SendMessageBatch", "DeleteMessageBatch",
    "ChangeMessageVisibilityBatch", "ListQueueTags", "StartMessageMoveTask", "ListMessageMoveTasks",
    "CancelMessageMoveTask",
})  # fmt: skip
_OWNERS: Final = frozenset({
    "AddPermission", "RemovePermission", "CreateQueue", "DeleteQueue", "ListQueues", "SetQueueAttributes", "TagQueue",
    "UntagQueue",
})  # fmt: skip


@operation
def add_permission(cx: Context, request: Request) -> Response:
    """Add a statement to a queue's policy that lets accounts do some actions.

    docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_AddPermission.html
    """
    queue = by_url(cx, request["QueueUrl"])
    label, accounts, actions = request["Label"], request["AWSAccountIds"], request["Actions"]
    if _LABEL.fullmatch(label) is None:
        raise _invalid(label, "Label", "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in"
                       " length.")  # fmt: skip
    if not actions:
        raise MissingParameter("The request must contain the parameter Actions.")
    if len(actions) > POLICY_ACTIONS:
        raise OverLimit(f"{len(actions)} Actions were found, maximum allowed is {POLICY_ACTIONS}.")
    for action in actions:
        if action in _OWNERS:
            raise _invalid(f"SQS:{action}", "ActionName", "Only the queue owner is allowed to invoke this action.")
        if action not in _ACTIONS:
            raise _invalid(f"SQS:{action}", "ActionName", "Please refer to the appropriate WSDL for a list of valid"
                           " actions.")  # fmt: skip
    if not accounts or not all(re.fullmatch(r"\d{12}", account) for account in accounts):
        raise _invalid(f"[{', '.join(accounts)}]", "PrincipalId", "Unable to verify.")
    policy = orjson.loads(queue.kept.get("Policy") or "null") or {
        "Version": "2008-10-17", "Id": f"{queue.arn}/SQSDefaultPolicy", "Statement": [],
    }  # fmt: skip
    statements = _statements(policy)
    if any(statement.get("Sid") == label for statement in statements):
        raise _invalid(label, "Label", "Already exists.")
    if len(statements) >= POLICY_STATEMENTS:
        raise OverLimit(f"{len(statements) + 1} statements were found, maximum allowed is {POLICY_STATEMENTS}.")
    principals = [f"arn:aws:iam::{account}:root" for account in accounts]
    statements.append(
        {
            "Sid": label,
            "Effect": "Allow",
            "Principal": {"AWS": _one_or_all(principals)},
            "Action": _one_or_all([f"SQS:{action}" for action in actions]),
            "Resource": queue.arn,
        }
    )
    policy["Statement"] = statements
    change_attributes(cx, queue, {"Policy": orjson.dumps(policy).decode()})
    return {}


@operation
def remove_permission(cx: Context, request: Request) -> Response:
    """Remove the statement of this label from a queue's policy; without statements the policy is gone.

    docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_RemovePermission.html
    """
    queue = by_url(cx, request["QueueUrl"])
    label = request["Label"]
    policy = orjson.loads(queue.kept.get("Policy") or "{}")
    statements = _statements(policy)
    left = [statement for statement in statements if statement.get("Sid") != label]
    if len(left) == len(statements):
        raise _invalid(label, "Label", f"can't find label{' on existing policy' if statements else ''}.")
    policy["Statement"] = left
    change_attributes(cx, queue, {"Policy": orjson.dumps(policy).decode() if left else ""})
    return {}


def _statements(policy: dict[str, Any]) -> list[dict[str, Any]]:
    statements = policy.get("Statement") or []
    return [statements] if isinstance(statements, dict) else list(statements)


def _one_or_all(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values


def _invalid(value: str, parameter: str, reason: str) -> InvalidParameterValue:
    return InvalidParameterValue(f"Value {value} for parameter {parameter} is invalid. Reason: {reason}")
