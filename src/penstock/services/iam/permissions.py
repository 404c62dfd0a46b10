"""The policies of one role, user or group: those inside it, and the managed ones attached to it."""

from __future__ import annotations

from typing import Final

from penstock.engine.context import Context
from penstock.engine.operation import Request, Response
from penstock.services.iam import documents, entities
from penstock.services.iam.entities import TITLE, Entity, find, find_modifiable
from penstock.services.iam.errors import DeleteConflict, InvalidValue, LimitExceeded, NoSuchEntity
from penstock.services.iam.policies import check_attachable

ATTACHED: Final = 10  # managed policies of one role, user or group: AWS's default quota


def put_inline(cx: Context, kind: str, request: Request) -> Response:
    """Write a policy inside an entity, over one of the same name."""
    entity = find_modifiable(cx, kind, request[f"{TITLE[kind]}Name"])
    name, document = request["PolicyName"], request["PolicyDocument"]
    documents.check_permissions(document)
    others = cx.all("SELECT document FROM iam_inline WHERE owner = ? AND name != ?", (entity.id, name))
    size = documents.characters(document) + sum(documents.characters(other) for (other,) in others)
    limit = documents.INLINE_CHARACTERS[kind]
    if size > limit:
        raise LimitExceeded(f"Maximum policy size of {limit} bytes exceeded for {kind} {entity.name}")
    cx.write(
        "INSERT INTO iam_inline (owner, name, document) VALUES (?,?,?) "
        "ON CONFLICT (owner, name) DO UPDATE SET document = excluded.document",
        (entity.id, name, document),
    )
    return {}


def get_inline(cx: Context, kind: str, request: Request) -> Response:
    """A policy inside an entity."""
    entity = find(cx, kind, request[f"{TITLE[kind]}Name"])
    name = request["PolicyName"]
    row = cx.one("SELECT document FROM iam_inline WHERE owner = ? AND name = ?", (entity.id, name))
    if row is None:
        raise NoSuchEntity(f"The {kind} policy with name {name} cannot be found.")
    return {f"{TITLE[kind]}Name": entity.name, "PolicyName": name, "PolicyDocument": documents.encoded(row[0])}


def delete_inline(cx: Context, kind: str, request: Request) -> Response:
    """Remove a policy from inside an entity."""
    entity = find_modifiable(cx, kind, request[f"{TITLE[kind]}Name"])
    name = request["PolicyName"]
    if not cx.write("DELETE FROM iam_inline WHERE owner = ? AND name = ?", (entity.id, name)):
        raise NoSuchEntity(f"The {kind} policy with name {name} cannot be found.")
    return {}


def list_inline(cx: Context, kind: str, request: Request) -> Response:
    """The names of the policies inside an entity."""
    entity = find(cx, kind, request[f"{TITLE[kind]}Name"])
    rows = cx.all("SELECT name FROM iam_inline WHERE owner = ? ORDER BY lower(name), name", (entity.id,))
    return entities.page(request, "PolicyNames", [(name, name) for (name,) in rows])


def attach(cx: Context, kind: str, request: Request) -> Response:
    """Attach a managed policy; a second time changes nothing."""
    entity = find_modifiable(cx, kind, request[f"{TITLE[kind]}Name"])
    arn = request["PolicyArn"]
    check_attachable(cx, arn)
    row = cx.one("SELECT count(*) FROM iam_attachment WHERE owner = ? AND policy != ?", (entity.id, arn))
    if row is not None and row[0] >= ATTACHED:
        raise LimitExceeded(f"Cannot exceed quota for PoliciesPer{TITLE[kind]}: {ATTACHED}")
    cx.write("INSERT OR IGNORE INTO iam_attachment (owner, policy) VALUES (?,?)", (entity.id, arn))
    return {}


def detach(cx: Context, kind: str, request: Request) -> Response:
    """Detach a managed policy."""
    entity = find_modifiable(cx, kind, request[f"{TITLE[kind]}Name"])
    if not cx.write("DELETE FROM iam_attachment WHERE owner = ? AND policy = ?", (entity.id, request["PolicyArn"])):
        raise NoSuchEntity(f"Policy {request['PolicyArn']} was not found.")
    return {}


def list_attached(cx: Context, kind: str, request: Request) -> Response:
    """The managed policies attached to an entity."""
    entity = find(cx, kind, request[f"{TITLE[kind]}Name"])
    prefix = request.get("PathPrefix") or "/"
    rows = cx.all("SELECT policy FROM iam_attachment WHERE owner = ?", (entity.id,))
    items = []
    for (arn,) in rows:
        path, _, name = arn.partition(":policy")[2].rpartition("/")
        if f"{path}/".startswith(prefix):
            items.append((f"{name} {arn}", {"PolicyName": name, "PolicyArn": arn}))
    return entities.page(request, "AttachedPolicies", items)


def check_boundary(cx: Context, arn: str | None) -> str | None:
    """A permissions boundary's ARN, which must be that of a managed policy."""
    if arn is not None:
        check_attachable(cx, arn)
    return arn


def put_boundary(cx: Context, kind: str, request: Request) -> Response:
    """Set the managed policy that bounds an entity."""
    entity = find_modifiable(cx, kind, request[f"{TITLE[kind]}Name"])
    entity.detail["PermissionsBoundary"] = check_boundary(cx, request["PermissionsBoundary"])
    entities.save(cx, entity)
    return {}


def delete_boundary(cx: Context, kind: str, request: Request) -> Response:
    """Unset the managed policy that bounds an entity."""
    entity = find_modifiable(cx, kind, request[f"{TITLE[kind]}Name"])
    entity.detail.pop("PermissionsBoundary", None)
    entities.save(cx, entity)
    return {}


def check_deletable(cx: Context, entity: Entity) -> None:
    """DeleteConflict while an entity has policies or belongs to something."""
    if cx.one("SELECT 1 FROM iam_attachment WHERE owner = ?", (entity.id,)) is not None:
        raise DeleteConflict("Cannot delete entity, must detach all policies first.")
    if cx.one("SELECT 1 FROM iam_inline WHERE owner = ?", (entity.id,)) is not None:
        raise DeleteConflict("Cannot delete entity, must delete policies first.")
    if cx.one("SELECT 1 FROM iam_member WHERE member = ?", (entity.id,)) is not None:
        where = "remove roles from instance profile" if entity.kind == "role" else "remove users from group"
        raise DeleteConflict(f"Cannot delete entity, must {where} first.")
    if cx.one("SELECT 1 FROM iam_member WHERE container = ?", (entity.id,)) is not None:
        where = "remove users from group" if entity.kind == "group" else "remove roles from instance profile"
        raise DeleteConflict(f"Cannot delete entity, must {where} first.")


def delete_entity(cx: Context, entity: Entity) -> Response:
    """Delete an entity that nothing belongs to any more."""
    check_deletable(cx, entity)
    cx.write("DELETE FROM iam_entity WHERE id = ?", (entity.id,))
    return {}


def tag(cx: Context, entity: Entity, request: Request) -> Response:
    """Add tags to an entity, or change them."""
    entity.tags = entities.checked_tags(request["Tags"], entity.tags)
    entities.save(cx, entity)
    return {}


def untag(cx: Context, entity: Entity, request: Request) -> Response:
    """Take tags from an entity."""
    entity.tags = {key: value for key, value in entity.tags.items() if key not in request["TagKeys"]}
    entities.save(cx, entity)
    return {}


def list_tags(entity: Entity, request: Request) -> Response:
    """An entity's tags."""
    return entities.page(request, "Tags", [(each["Key"], each) for each in entities.tag_list(entity.tags)])


def check_name(name: str) -> None:
    """ValidationError unless it is a name as IAM allows them; the model says how long it may be."""
    if not all(char.isascii() and (char.isalnum() or char in "+=,.@-_") for char in name):
        raise InvalidValue(
            f"The specified value for name is invalid: {name}. It must contain only alphanumeric characters and/or the "
            "following: +=,.@_-"
        )
