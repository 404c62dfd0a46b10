"""Log groups: made, listed, kept for a time, tagged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import starmap
from typing import Any, NamedTuple

import orjson

from penstock.base.errors import Unsupported
from penstock.base.names import Arn
from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.logs import retention, rules
from penstock.services.logs.errors import (
    NO_GROUP,
    InvalidParameter,
    Protected,
    ResourceAlreadyExists,
    ResourceNotFound,
    TooManyTags,
)
from penstock.store.store import Reader

_COLUMNS = "id, name, created, retention_days, kms_key, protected, tags"
_SELECT = f"SELECT {_COLUMNS} FROM log_group WHERE account = ? AND region = ?"
_STORED = "SELECT coalesce(sum(bytes), 0) FROM log_stream WHERE log_group = ?"
_OTHER_ACCOUNTS = "leave it out: cross-account observability is not here"


class Group(NamedTuple):
    """A row of log_group."""

    id: int
    name: str
    created: int
    retention_days: int | None
    kms_key: str | None
    protected: int
    tags: str


def group_arn(account: str, region: str, name: str) -> str:
    """A group's ARN, without the ``:*`` that stands for its streams."""
    return f"arn:aws:logs:{region}:{account}:log-group:{name}"


def find_group(reader: Reader, account: str, region: str, name: str) -> Group:
    """The group of this name; ResourceNotFound."""
    row = reader.one(f"{_SELECT} AND name = ?", (account, region, name))
    if row is None:
        raise ResourceNotFound(NO_GROUP)
    return Group(*row)


def name_in(identifier: str, account: str, region: str) -> str:
    """The group's name in an identifier: a name or an ARN of this account and region."""
    if not identifier.startswith("arn:"):
        return identifier
    try:
        arn = Arn.parse(identifier)
    except ValueError:
        raise InvalidParameter(f"{identifier} is no ARN of a log group: pass one, or the group's name.") from None
    kind, _, rest = arn.resource.partition(":")
    if arn.service != "logs" or kind != "log-group" or not rest:
        raise InvalidParameter(f"{identifier} is no ARN of a log group: pass one, or the group's name.")
    if (arn.account, arn.region) != (account, region):
        raise InvalidParameter(f"{identifier} is in another account or region: call with that account's credentials.")
    return rest.partition(":")[0]


def requested_group(request: Request, account: str, region: str) -> str:
    """The name of the group that ``logGroupName`` or ``logGroupIdentifier`` says."""
    name, identifier = request.get("logGroupName"), request.get("logGroupIdentifier")
    if (name is None) == (identifier is None):
        raise InvalidParameter("Exactly one of logGroupName and logGroupIdentifier must be specified.")
    return name if name is not None else name_in(str(identifier), account, region)


def _group(cx: Context, name: str) -> Group:
    return find_group(cx.tx, cx.account, cx.region, name)


@operation(kept={"kmsKeyId", "tags"})
def create_log_group(cx: Context, request: Request) -> Response:
    """Make a group. Its class is STANDARD: the others are refused."""
    _refuse_classes(request)
    name = request["logGroupName"]
    if name.startswith("aws/"):
        raise InvalidParameter("Log groups starting with AWS/ are reserved for AWS.")
    _check_tags(request.get("tags") or {})
    if cx.one(f"{_SELECT} AND name = ?", (cx.account, cx.region, name)) is not None:
        raise ResourceAlreadyExists("The specified log group already exists")
    cx.write(
        "INSERT INTO log_group (id, account, region, name, created, kms_key, protected, tags) VALUES (?,?,?,?,?,?,?,?)",
        (
            cx.names.id(), cx.account, cx.region, name, cx.now, request.get("kmsKeyId"),
            int(bool(request.get("deletionProtectionEnabled"))), orjson.dumps(request.get("tags") or {}).decode(),
        ),
    )  # fmt: skip
    return {}


@operation
def delete_log_group(cx: Context, request: Request) -> Response:
    """Delete a group with its streams and events, unless deletion protection is on."""
    group = _group(cx, request["logGroupName"])
    if group.protected:
        raise Protected(
            "The log group has deletion protection enabled: disable it with PutLogGroupDeletionProtection first."
        )
    cx.write("DELETE FROM log_group WHERE id = ?", (group.id,))
    cx.write("DELETE FROM log_subscription WHERE log_group = ?", (group.id,))
    cx.write("INSERT INTO log_doomed (owner, id) VALUES ('log_group', ?)", (group.id,))
    parts = cx.parts
    cx.after(lambda: retention.sweep(parts))
    return {}


@operation
def put_log_group_deletion_protection(cx: Context, request: Request) -> Response:
    """Turn deletion protection on or off."""
    name = name_in(request["logGroupIdentifier"], cx.account, cx.region)
    enabled = int(request["deletionProtectionEnabled"])
    cx.write("UPDATE log_group SET protected = ? WHERE id = ?", (enabled, _group(cx, name).id))
    return {}


@operation(refused={"accountIdentifiers": _OTHER_ACCOUNTS, "includeLinkedAccounts": _OTHER_ACCOUNTS})
def describe_log_groups(cx: Context, request: Request) -> Response:
    """List groups by name, all or those with a prefix, a part of the name, or one of some names."""
    _refuse_classes(request)
    prefix, pattern = request.get("logGroupNamePrefix"), request.get("logGroupNamePattern")
    wanted = request.get("logGroupIdentifiers")
    if sum(value is not None for value in (prefix, pattern, wanted)) > 1:
        raise InvalidParameter(
            "LogGroup name prefix, name pattern and identifiers are mutually exclusive parameters: pass one of them."
        )
    names = {name_in(each, cx.account, cx.region) for each in wanted} if wanted is not None else None

    def is_wanted(group: Group) -> bool:
        return (pattern is None or pattern in group.name) and (names is None or group.name in names)

    found, token = _page(cx, request, prefix or "", is_wanted)
    return {"logGroups": [_described(cx, group) for group in found], **token}


@operation(
    refused={
        "accountIdentifiers": _OTHER_ACCOUNTS,
        "includeLinkedAccounts": _OTHER_ACCOUNTS,
        "dataSources": "leave it out: log groups have no data sources here",
        "fieldIndexNames": "leave it out: field indexes are not here",
    }
)
def list_log_groups(cx: Context, request: Request) -> Response:
    """List names and ARNs of groups: ``^`` in the pattern means prefix, ``|`` separates alternatives."""
    _refuse_classes(request)
    alternatives = (request.get("logGroupNamePattern") or "").split("|")
    tags = request.get("logGroupTags") or ()

    def is_wanted(group: Group) -> bool:
        fits = any(
            group.name.startswith(each[1:]) if each.startswith("^") else each in group.name for each in alternatives
        )
        held = orjson.loads(group.tags)
        return fits and all(
            tag["key"] in held and (not tag.get("values") or held[tag["key"]] in tag["values"]) for tag in tags
        )

    found, token = _page(cx, request, "", is_wanted)
    return {
        "logGroups": [
            {
                "logGroupName": group.name,
                "logGroupArn": group_arn(cx.account, cx.region, group.name),
                "logGroupClass": "STANDARD",
            }
            for group in found
        ],
        **token,
    }


@operation
def put_retention_policy(cx: Context, request: Request) -> Response:
    """Let events expire this many days of platform time after they happened."""
    days = request["retentionInDays"]
    if days not in rules.RETENTION_DAYS:
        allowed = ", ".join(str(day) for day in rules.RETENTION_DAYS)
        raise InvalidParameter(
            f"1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{allowed}]"
        )
    cx.write("UPDATE log_group SET retention_days = ? WHERE id = ?", (days, _group(cx, request["logGroupName"]).id))
    parts = cx.parts
    cx.after(lambda: retention.sweep(parts))
    return {}


@operation
def delete_retention_policy(cx: Context, request: Request) -> Response:
    """Let events live for ever."""
    cx.write("UPDATE log_group SET retention_days = NULL WHERE id = ?", (_group(cx, request["logGroupName"]).id,))
    return {}


@operation(kept={"kmsKeyId"}, refused={"resourceIdentifier": "pass logGroupName: Logs Insights' results are not here"})
def associate_kms_key(cx: Context, request: Request) -> Response:
    """Remember a key and give it back; nothing is encrypted at rest here."""
    if request.get("logGroupName") is None:
        raise InvalidParameter("Pass logGroupName.")
    group = _group(cx, request["logGroupName"])
    cx.write("UPDATE log_group SET kms_key = ? WHERE id = ?", (request["kmsKeyId"], group.id))
    return {}


@operation(refused={"resourceIdentifier": "pass logGroupName: Logs Insights' results are not here"})
def disassociate_kms_key(cx: Context, request: Request) -> Response:
    """Forget a group's key."""
    if request.get("logGroupName") is None:
        raise InvalidParameter("Pass logGroupName.")
    cx.write("UPDATE log_group SET kms_key = NULL WHERE id = ?", (_group(cx, request["logGroupName"]).id,))
    return {}


@operation(kept={"tags"})
def tag_resource(cx: Context, request: Request) -> Response:
    """Add tags to a group, or change them."""
    return _tag(cx, name_in(request["resourceArn"], cx.account, cx.region), request["tags"])


@operation
def untag_resource(cx: Context, request: Request) -> Response:
    """Take tags from a group."""
    return _untag(cx, name_in(request["resourceArn"], cx.account, cx.region), request["tagKeys"])


@operation
def list_tags_for_resource(cx: Context, request: Request) -> Response:
    """A group's tags."""
    return {"tags": orjson.loads(_group(cx, name_in(request["resourceArn"], cx.account, cx.region)).tags)}


@operation(kept={"tags"})
def tag_log_group(cx: Context, request: Request) -> Response:
    """Add tags to a group by its name: the older form of TagResource."""
    return _tag(cx, request["logGroupName"], request["tags"])


@operation
def untag_log_group(cx: Context, request: Request) -> Response:
    """Take tags from a group by its name: the older form of UntagResource."""
    return _untag(cx, request["logGroupName"], request["tags"])


@operation
def list_tags_log_group(cx: Context, request: Request) -> Response:
    """A group's tags by its name: the older form of ListTagsForResource."""
    return {"tags": orjson.loads(_group(cx, request["logGroupName"]).tags)}


def reset(cx: Context, account: str | None) -> None:
    """Forget every group and policy of an account; the events of groups are removed afterwards."""
    where, parameters = ("", ()) if account is None else (" WHERE account = ?", (account,))
    cx.write(f"INSERT OR IGNORE INTO log_doomed (owner, id) SELECT 'log_group', id FROM log_group{where}", parameters)
    cx.write(f"DELETE FROM log_subscription WHERE log_group IN (SELECT id FROM log_group{where})", parameters)
    cx.write(f"DELETE FROM log_group{where}", parameters)
    cx.write(f"DELETE FROM log_policy{where}", parameters)
    parts = cx.parts
    cx.after(lambda: retention.sweep(parts))


def _tag(cx: Context, name: str, tags: dict[str, str]) -> Response:
    group = _group(cx, name)
    merged = orjson.loads(group.tags) | tags
    _check_tags(merged)
    cx.write("UPDATE log_group SET tags = ? WHERE id = ?", (orjson.dumps(merged).decode(), group.id))
    return {}


def _untag(cx: Context, name: str, keys: list[str]) -> Response:
    group = _group(cx, name)
    left = {key: value for key, value in orjson.loads(group.tags).items() if key not in keys}
    cx.write("UPDATE log_group SET tags = ? WHERE id = ?", (orjson.dumps(left).decode(), group.id))
    return {}


def _check_tags(tags: dict[str, str]) -> None:
    if len(tags) > rules.TAGS:
        raise TooManyTags(f"A log group has {rules.TAGS} tags at most; remove some first.")
    if any(key.lower().startswith("aws:") for key in tags):
        raise InvalidParameter("aws: prefixed tag key names are not allowed for external use.")


def _refuse_classes(request: Request) -> None:
    if request.get("logGroupClass") not in (None, "STANDARD"):
        raise Unsupported(f"logGroupClass {request['logGroupClass']} of CloudWatch Logs is not supported: use STANDARD")


def _page(
    cx: Context, request: Request, prefix: str, is_wanted: Callable[[Group], bool]
) -> tuple[Sequence[Group], dict[str, str]]:
    """Groups in order of their names."""

    def listed(after: str, limit: int) -> list[Group]:
        found: list[Group] = []
        while True:
            rows = cx.all(
                f"{_SELECT} AND name > ? AND name >= ? AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?",
                (cx.account, cx.region, after, prefix, len(prefix), prefix, limit),
            )
            found += filter(is_wanted, starmap(Group, rows))
            if len(found) >= limit or len(rows) < limit:
                return found[:limit]
            after = rows[-1][1]

    return rules.PAGING.of(request, listed, lambda group: group.name)


def _described(cx: Context, group: Group) -> dict[str, Any]:
    arn = group_arn(cx.account, cx.region, group.name)
    stored = cx.one(_STORED, (group.id,))
    described: dict[str, Any] = {
        "logGroupName": group.name,
        "creationTime": group.created,
        "metricFilterCount": 0,
        "arn": f"{arn}:*",
        "logGroupArn": arn,
        "storedBytes": stored[0] if stored else 0,
        "logGroupClass": "STANDARD",
        "deletionProtectionEnabled": bool(group.protected),
    }
    if group.retention_days is not None:
        described["retentionInDays"] = group.retention_days
    if group.kms_key is not None:
        described["kmsKeyId"] = group.kms_key
    return described
