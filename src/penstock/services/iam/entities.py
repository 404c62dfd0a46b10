"""Roles, users, groups and instance profiles: what their rows have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from penstock.base.names import Arn
from penstock.engine.context import Context
from penstock.engine.operation import Request, Response
from penstock.engine.paging import Paging, among
from penstock.services.iam import documents
from penstock.services.iam.errors import (
    EntityAlreadyExists,
    InvalidInput,
    InvalidValue,
    LimitExceeded,
    NoSuchEntity,
    UnmodifiableEntity,
)

ID_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
ID_PREFIX: Final = {"role": "AROA", "user": "AIDA", "group": "AGPA", "instance-profile": "AIPA"}
TITLE: Final = {"role": "Role", "user": "User", "group": "Group", "instance-profile": "Instance Profile"}
TAGS: Final = 50  # of one entity
LINKED_PATH: Final = "/aws-service-role/"  # begins the path of every service-linked role
PAGING: Final = Paging("Marker", "MaxItems", 100, InvalidValue)

_COLUMNS = "id, account, kind, name, path, created, tags, detail"


@dataclass(slots=True)
class Entity:
    """A row of iam_entity."""

    id: str
    account: str
    kind: str
    name: str
    path: str
    created: int
    tags: dict[str, str] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """Its ARN, which has no region."""
        return str(Arn("iam", "", self.account, f"{self.kind}{self.path}{self.name}"))


def _entity(row: Sequence[Any]) -> Entity:
    return Entity(*row[:6], tags=orjson.loads(row[6]), detail=orjson.loads(row[7]))


def find(cx: Context, kind: str, name: str) -> Entity:
    """The entity of this kind and name; NoSuchEntity."""
    row = cx.one(
        f"SELECT {_COLUMNS} FROM iam_entity WHERE account = ? AND kind = ? AND name = ?", (cx.account, kind, name)
    )
    if row is None:
        if kind == "instance-profile":
            raise NoSuchEntity(f"Instance Profile {name} cannot be found.")
        raise NoSuchEntity(f"The {kind} with name {name} cannot be found.")
    return _entity(row)


def find_modifiable(cx: Context, kind: str, name: str) -> Entity:
    """As ``find``; UnmodifiableEntity when it is a service's own role."""
    entity = find(cx, kind, name)
    if entity.path.startswith(LINKED_PATH):
        raise UnmodifiableEntity(
            f"Cannot perform the operation on the protected role '{entity.name}' - this role is only modifiable by AWS"
        )
    return entity


def exists(cx: Context, kind: str, name: str) -> bool:
    """Whether the name is taken."""
    row = cx.one("SELECT 1 FROM iam_entity WHERE account = ? AND kind = ? AND name = ?", (cx.account, kind, name))
    return row is not None


def make(
    cx: Context, kind: str, name: str, request: Request, detail: dict[str, Any], *, linked: bool = False
) -> Entity:
    """Record a new entity; EntityAlreadyExists. ``linked``: its path is that of a service's own role."""
    if exists(cx, kind, name):
        raise EntityAlreadyExists(f"{TITLE[kind]} with name {name} already exists.")
    path = request["Path"] if linked else checked_path(request.get("Path"))
    entity = Entity(
        ID_PREFIX[kind] + cx.names.text(17, ID_ALPHABET), cx.account, kind, name, path, cx.now,
        checked_tags(request.get("Tags") or ()), {key: value for key, value in detail.items() if value},
    )  # fmt: skip
    cx.write(
        f"INSERT INTO iam_entity ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?)",
        (
            entity.id, entity.account, kind, name, entity.path, entity.created,
            orjson.dumps(entity.tags).decode(), orjson.dumps(entity.detail).decode(),
        ),
    )  # fmt: skip
    return entity


def save(cx: Context, entity: Entity) -> None:
    """Write what may change of an entity."""
    cx.write(
        "UPDATE iam_entity SET name = ?, path = ?, tags = ?, detail = ? WHERE id = ?",
        (
            entity.name, entity.path, orjson.dumps(entity.tags).decode(), orjson.dumps(entity.detail).decode(),
            entity.id,
        ),
    )  # fmt: skip


def rename(cx: Context, entity: Entity, name: str | None, path: str | None) -> None:
    """Give an entity another name or path; EntityAlreadyExists."""
    if name is not None and name.lower() != entity.name.lower() and exists(cx, entity.kind, name):
        raise EntityAlreadyExists(f"{TITLE[entity.kind]} with name {name} already exists.")
    if name is not None:
        entity.name = name
    if path is not None:
        entity.path = checked_path(path)
    save(cx, entity)


def every(cx: Context, kind: str, prefix: str | None) -> list[Entity]:
    """The account's entities of one kind, with paths that begin so, by name."""
    rows = cx.all(
        f"SELECT {_COLUMNS} FROM iam_entity WHERE account = ? AND kind = ? AND substr(path, 1, ?) = ? ORDER BY name",
        (cx.account, kind, len(prefix or "/"), prefix or "/"),
    )
    return [_entity(row) for row in rows]


def members(cx: Context, container: Entity) -> list[Entity]:
    """The users of a group, the role of an instance profile."""
    rows = cx.all(
        f"SELECT {_COLUMNS} FROM iam_entity WHERE id IN (SELECT member FROM iam_member WHERE container = ?) "
        "ORDER BY name",
        (container.id,),
    )
    return [_entity(row) for row in rows]


def containers(cx: Context, member: Entity) -> list[Entity]:
    """The groups of a user, the instance profiles of a role."""
    rows = cx.all(
        f"SELECT {_COLUMNS} FROM iam_entity WHERE id IN (SELECT container FROM iam_member WHERE member = ?) "
        "ORDER BY name",
        (member.id,),
    )
    return [_entity(row) for row in rows]


def checked_path(path: str | None) -> str:
    """A path, / unless given; ValidationError unless it begins and ends with /."""
    if path is None:
        return "/"
    if not (path.startswith("/") and path.endswith("/")) or any(not "!" <= char <= "\x7f" for char in path):
        raise InvalidValue(
            "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric "
            "characters and/or / characters."
        )
    if path.startswith(LINKED_PATH):
        raise InvalidInput("Service-linked roles are made by AWS's services: use another path.")
    return path


def checked_tags(tags: Iterable[dict[str, str]], held: dict[str, str] | None = None) -> dict[str, str]:
    """Tags as an object, over those held already; InvalidInput, LimitExceeded."""
    merged = dict(held or {})
    seen: set[str] = set()
    for tag in tags:
        key = tag["Key"]
        if key.lower() in seen:
            raise InvalidInput("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
        if key.lower().startswith("aws:"):
            raise InvalidInput("Tag keys that begin with aws: are reserved: use another key.")
        seen.add(key.lower())
        for other in [other for other in merged if other.lower() == key.lower()]:
            del merged[other]
        merged[key] = tag["Value"]
    if len(merged) > TAGS:
        raise LimitExceeded(f"The number of tags has reached the maximum limit of {TAGS}: remove some first.")
    return merged


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """Tags as IAM's answers carry them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def page(request: Request, member: str, items: list[tuple[str, Any]]) -> Response:
    """One page of items, each with a key of its own, by which they are listed in whatever case it is written."""
    key = _folded_key
    found, marker = PAGING.of(request, among(items, key), key)
    return {member: [item for _, item in found], "IsTruncated": bool(marker), **marker}


def _folded_key(item: tuple[str, Any]) -> str:
    return f"{item[0].lower()}\0{item[0]}"


def described_role(entity: Entity, *, listed: bool = False) -> dict[str, Any]:
    """A role as answers show it; lists leave tags and boundary out."""
    described: dict[str, Any] = {
        "Path": entity.path,
        "RoleName": entity.name,
        "RoleId": entity.id,
        "Arn": entity.arn,
        "CreateDate": entity.created / 1000,
        "AssumeRolePolicyDocument": documents.encoded(entity.detail["AssumeRolePolicyDocument"]),
        "MaxSessionDuration": entity.detail["MaxSessionDuration"],
    }
    if entity.detail.get("Description"):
        described["Description"] = entity.detail["Description"]
    if not listed:
        _add_boundary_and_tags(described, entity)
    return described


def described_user(entity: Entity, *, listed: bool = False) -> dict[str, Any]:
    """A user as answers show it."""
    described: dict[str, Any] = {
        "Path": entity.path,
        "UserName": entity.name,
        "UserId": entity.id,
        "Arn": entity.arn,
        "CreateDate": entity.created / 1000,
    }
    if not listed:
        _add_boundary_and_tags(described, entity)
    return described


def described_group(entity: Entity) -> dict[str, Any]:
    """A group as answers show it."""
    return {
        "Path": entity.path,
        "GroupName": entity.name,
        "GroupId": entity.id,
        "Arn": entity.arn,
        "CreateDate": entity.created / 1000,
    }


def _add_boundary_and_tags(described: dict[str, Any], entity: Entity) -> None:
    boundary = entity.detail.get("PermissionsBoundary")
    if boundary:
        described["PermissionsBoundary"] = {
            "PermissionsBoundaryType": "Policy",
            "PermissionsBoundaryArn": boundary,
        }
    if entity.tags:
        described["Tags"] = tag_list(entity.tags)
