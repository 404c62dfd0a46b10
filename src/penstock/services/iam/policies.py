"""Managed policies, with their versions."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import orjson

from penstock.base.errors import Unsupported
from penstock.base.names import Arn
from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.iam import documents, entities
from penstock.services.iam.errors import DeleteConflict, EntityAlreadyExists, InvalidValue, LimitExceeded, NoSuchEntity

VERSIONS: Final = 5  # of one managed policy at the same time

_COLUMNS = (
    "arn, id, account, name, path, description, created, updated, default_version, latest_version, tags, "
    "(SELECT count(*) FROM iam_attachment WHERE policy = arn), "
    "(SELECT count(*) FROM iam_entity e WHERE e.account = p.account "
    "AND json_extract(e.detail, '$.PermissionsBoundary') = p.arn)"
)
_AWS_MANAGED = re.compile(r"arn:aws:iam::aws:policy/(?:[!-.0-~]+/)*[\w+=,.@-]+")


class Policy(NamedTuple):
    """A row of iam_policy, and how many entities it is attached to or bounds."""

    arn: str
    id: str
    account: str
    name: str
    path: str
    description: str | None
    created: int
    updated: int
    default_version: int
    latest_version: int
    tags: str
    attached: int
    bounds: int


def is_aws_managed(arn: str) -> bool:
    """Whether the ARN is one of AWS's own policies, which are accepted without looking at them."""
    return _AWS_MANAGED.fullmatch(arn) is not None


def find_policy(cx: Context, arn: str) -> Policy:
    """The managed policy with this ARN; NoSuchEntity, Unsupported for AWS's own."""
    if is_aws_managed(arn):
        raise Unsupported(
            f"The documents of AWS's managed policies are not here: {arn} can be attached and detached, nothing else"
        )
    row = cx.one(f"SELECT {_COLUMNS} FROM iam_policy p WHERE arn = ? AND account = ?", (arn, cx.account))
    if row is None:
        _check_arn(arn)
        raise NoSuchEntity(f"Policy {arn} was not found.")
    return Policy(*row)


def check_attachable(cx: Context, arn: str) -> None:
    """NoSuchEntity unless this ARN can be attached."""
    if is_aws_managed(arn):
        return
    if cx.one("SELECT 1 FROM iam_policy WHERE arn = ? AND account = ?", (arn, cx.account)) is None:
        _check_arn(arn)
        raise NoSuchEntity(f"Policy {arn} does not exist or is not attachable.")


@operation(kept={"Description", "Tags", "PolicyDocument"})
def create_policy(cx: Context, request: Request) -> Response:
    """Make a managed policy; its document becomes version v1."""
    name, document = request["PolicyName"], request["PolicyDocument"]
    documents.check_managed(document)
    path = entities.checked_path(request.get("Path"))
    tags = entities.checked_tags(request.get("Tags") or ())
    if cx.one("SELECT 1 FROM iam_policy WHERE account = ? AND name = ?", (cx.account, name)) is not None:
        raise EntityAlreadyExists(f"A policy called {name} already exists. Duplicate names are not allowed.")
    arn = str(Arn("iam", "", cx.account, f"policy{path}{name}"))
    cx.write(
        "INSERT INTO iam_policy (arn, id, account, name, path, description, created, updated, default_version, "
        "latest_version, tags) VALUES (?,?,?,?,?,?,?,?,1,1,?)",
        (
            arn, "ANPA" + cx.names.text(17, entities.ID_ALPHABET), cx.account, name, path,
            request.get("Description"), cx.now, cx.now, orjson.dumps(tags).decode(),
        ),
    )  # fmt: skip
    _insert_version(cx, arn, 1, document)
    # AWS's answer leaves the description out, and the tags where there are none; GetPolicy's has both.
    policy = _described(find_policy(cx, arn))
    return {"Policy": policy | ({"Tags": entities.tag_list(tags)} if tags else {})}


@operation
def get_policy(cx: Context, request: Request) -> Response:
    """A managed policy, without its document."""
    return {"Policy": _described(find_policy(cx, request["PolicyArn"]), listed=False)}


@operation
def delete_policy(cx: Context, request: Request) -> Response:
    """Delete a managed policy that is attached to nothing and has one version left."""
    policy = find_policy(cx, request["PolicyArn"])
    if policy.attached or policy.bounds:
        raise DeleteConflict("Cannot delete a policy attached to entities.")
    others = cx.one(
        "SELECT 1 FROM iam_policy_version WHERE policy = ? AND version != ?", (policy.arn, policy.default_version)
    )
    if others is not None:
        raise DeleteConflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. "
            "The default version is deleted with the policy."
        )
    cx.write("DELETE FROM iam_policy_version WHERE policy = ?", (policy.arn,))
    cx.write("DELETE FROM iam_policy WHERE arn = ?", (policy.arn,))
    return {}


@operation
def list_policies(cx: Context, request: Request) -> Response:
    """The account's managed policies. AWS's own are not listed, and Scope AWS is refused."""
    if request.get("Scope") == "AWS":
        raise Unsupported(
            "Scope AWS of ListPolicies (iam) is not supported: AWS's own policies are not here; use Local"
        )
    prefix, usage = request.get("PathPrefix") or "/", request.get("PolicyUsageFilter")
    rows = cx.all(
        f"SELECT {_COLUMNS} FROM iam_policy p WHERE account = ? AND substr(path, 1, ?) = ? ORDER BY name",
        (cx.account, len(prefix), prefix),
    )
    found = [Policy(*row) for row in rows]
    if request.get("OnlyAttached"):
        found = [policy for policy in found if policy.attached or policy.bounds]
    if usage is not None:
        found = [policy for policy in found if (policy.bounds if usage == "PermissionsBoundary" else policy.attached)]
    return entities.page(request, "Policies", [(policy.name, _described(policy)) for policy in found])


@operation(kept={"PolicyDocument"})
def create_policy_version(cx: Context, request: Request) -> Response:
    """Add a version to a managed policy, and make it the default where asked."""
    policy = find_policy(cx, request["PolicyArn"])
    documents.check_managed(request["PolicyDocument"])
    count = cx.one("SELECT count(*) FROM iam_policy_version WHERE policy = ?", (policy.arn,))
    if count is not None and count[0] >= VERSIONS:
        raise LimitExceeded(
            f"A managed policy can have up to {VERSIONS} versions. Before you create a new version, you must delete an "
            "existing version."
        )
    version = policy.latest_version + 1
    default = version if request.get("SetAsDefault") else policy.default_version
    _insert_version(cx, policy.arn, version, request["PolicyDocument"])
    cx.write(
        "UPDATE iam_policy SET latest_version = ?, default_version = ?, updated = ? WHERE arn = ?",
        (version, default, cx.now, policy.arn),
    )
    return {"PolicyVersion": _described_version(version, cx.now, is_default=default == version)}


@operation
def get_policy_version(cx: Context, request: Request) -> Response:
    """A version of a managed policy, with its document."""
    policy = find_policy(cx, request["PolicyArn"])
    version, document, created = _version(cx, policy, request["VersionId"])
    described = _described_version(version, created, is_default=version == policy.default_version)
    return {"PolicyVersion": described | {"Document": documents.encoded(document)}}


@operation
def list_policy_versions(cx: Context, request: Request) -> Response:
    """The versions of a managed policy, newest first."""
    policy = find_policy(cx, request["PolicyArn"])
    rows = cx.all(
        "SELECT version, created FROM iam_policy_version WHERE policy = ? ORDER BY version DESC", (policy.arn,)
    )
    items = [
        # The key sorts as the versions do: newest first.
        (f"{10**9 - version:010d}", _described_version(version, at, is_default=version == policy.default_version))
        for version, at in rows
    ]
    return entities.page(request, "Versions", items)


@operation
def set_default_policy_version(cx: Context, request: Request) -> Response:
    """Choose the version that is in force."""
    policy = find_policy(cx, request["PolicyArn"])
    version, _, _ = _version(cx, policy, request["VersionId"])
    cx.write("UPDATE iam_policy SET default_version = ? WHERE arn = ?", (version, policy.arn))
    return {}


@operation
def delete_policy_version(cx: Context, request: Request) -> Response:
    """Delete a version that is not the default one."""
    policy = find_policy(cx, request["PolicyArn"])
    version, _, _ = _version(cx, policy, request["VersionId"])
    if version == policy.default_version:
        raise DeleteConflict("Cannot delete the default version of a policy.")
    cx.write("DELETE FROM iam_policy_version WHERE policy = ? AND version = ?", (policy.arn, version))
    return {}


@operation
def list_entities_for_policy(cx: Context, request: Request) -> Response:
    """The roles, users and groups that a managed policy is attached to."""
    arn, usage = request["PolicyArn"], request.get("PolicyUsageFilter")
    if not is_aws_managed(arn):
        find_policy(cx, arn)
    where = "id IN (SELECT owner FROM iam_attachment WHERE policy = ?1)"
    if usage == "PermissionsBoundary":
        where = "json_extract(detail, '$.PermissionsBoundary') = ?1"
    prefix = request.get("PathPrefix") or "/"
    rows = cx.all(
        f"SELECT kind, name, id FROM iam_entity WHERE {where} AND account = ?2 AND substr(path, 1, ?3) = ?4 "
        "ORDER BY kind, name",
        (arn, cx.account, len(prefix), prefix),
    )
    wanted = request.get("EntityFilter")
    items = [
        (f"{kind}/{name}", (kind, {f"{title}Name": name, f"{title}Id": id_}))
        for kind, name, id_ in rows
        if (title := entities.TITLE[kind]) and wanted in (None, title)
    ]
    answer = entities.page(request, "all", items)
    found = answer.pop("all")
    for kind in ("role", "user", "group"):
        answer[f"Policy{entities.TITLE[kind]}s"] = [item for each, item in found if each == kind]
    return answer


@operation(kept={"Tags"})
def tag_policy(cx: Context, request: Request) -> Response:
    """Add tags to a managed policy, or change them."""
    policy = find_policy(cx, request["PolicyArn"])
    return _retag(cx, policy, entities.checked_tags(request["Tags"], orjson.loads(policy.tags)))


@operation
def untag_policy(cx: Context, request: Request) -> Response:
    """Take tags from a managed policy."""
    policy = find_policy(cx, request["PolicyArn"])
    held = orjson.loads(policy.tags)
    return _retag(cx, policy, {key: value for key, value in held.items() if key not in request["TagKeys"]})


@operation
def list_policy_tags(cx: Context, request: Request) -> Response:
    """A managed policy's tags."""
    tags = orjson.loads(find_policy(cx, request["PolicyArn"]).tags)
    return entities.page(request, "Tags", [(tag["Key"], tag) for tag in entities.tag_list(tags)])


def _retag(cx: Context, policy: Policy, tags: dict[str, str]) -> Response:
    cx.write("UPDATE iam_policy SET tags = ? WHERE arn = ?", (orjson.dumps(tags).decode(), policy.arn))
    return {}


def _insert_version(cx: Context, arn: str, version: int, document: str) -> None:
    cx.write(
        "INSERT INTO iam_policy_version (policy, version, document, created) VALUES (?,?,?,?)",
        (arn, version, document, cx.now),
    )


def _version(cx: Context, policy: Policy, version_id: str) -> tuple[int, str, int]:
    match = re.fullmatch(r"v([1-9]\d{0,8})", version_id)
    row = match and cx.one(
        "SELECT version, document, created FROM iam_policy_version WHERE policy = ? AND version = ?",
        (policy.arn, int(match.group(1))),
    )
    if not row:
        raise NoSuchEntity(f"Policy {policy.arn} version {version_id} does not exist or is not attachable.")
    return row[0], row[1], row[2]


def _check_arn(arn: str) -> None:
    try:
        parsed = Arn.parse(arn)
    except ValueError:
        raise InvalidValue(f"ARN {arn} is not valid.") from None
    if parsed.service != "iam" or not parsed.resource.startswith("policy/"):
        raise InvalidValue(f"ARN {arn} is not valid: pass a managed policy's ARN, arn:aws:iam::ACCOUNT:policy/NAME.")


def _described(policy: Policy, *, listed: bool = True) -> dict[str, Any]:
    described: dict[str, Any] = {
        "PolicyName": policy.name,
        "PolicyId": policy.id,
        "Arn": policy.arn,
        "Path": policy.path,
        "DefaultVersionId": f"v{policy.default_version}",
        "AttachmentCount": policy.attached,
        "PermissionsBoundaryUsageCount": policy.bounds,
        "IsAttachable": True,
        "CreateDate": policy.created / 1000,
        "UpdateDate": policy.updated / 1000,
    }
    if not listed:
        if policy.description:
            described["Description"] = policy.description
        described["Tags"] = entities.tag_list(orjson.loads(policy.tags))
    return described


def _described_version(version: int, created: int, *, is_default: bool) -> dict[str, Any]:
    return {"VersionId": f"v{version}", "IsDefaultVersion": is_default, "CreateDate": created / 1000}
