"""Instance profiles: a role in a wrapper for EC2. Kept, since there are no instances here."""

from __future__ import annotations

from typing import Any

from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.iam import entities, permissions
from penstock.services.iam.entities import Entity, described_role, find
from penstock.services.iam.errors import LimitExceeded, NoSuchEntity

_KIND = "instance-profile"


@operation(kept={"Tags"})
def create_instance_profile(cx: Context, request: Request) -> Response:
    """Make an instance profile."""
    permissions.check_name(request["InstanceProfileName"])
    profile = entities.make(cx, _KIND, request["InstanceProfileName"], request, {})
    return {"InstanceProfile": _described(cx, profile)}


@operation
def get_instance_profile(cx: Context, request: Request) -> Response:
    """An instance profile and its role."""
    return {"InstanceProfile": _described(cx, find(cx, _KIND, request["InstanceProfileName"]))}


@operation
def list_instance_profiles(cx: Context, request: Request) -> Response:
    """The account's instance profiles."""
    return _list(cx, request, entities.every(cx, _KIND, request.get("PathPrefix")))


@operation
def list_instance_profiles_for_role(cx: Context, request: Request) -> Response:
    """The instance profiles of a role."""
    return _list(cx, request, entities.containers(cx, find(cx, "role", request["RoleName"])))


@operation
def delete_instance_profile(cx: Context, request: Request) -> Response:
    """Delete an instance profile without a role."""
    return permissions.delete_entity(cx, find(cx, _KIND, request["InstanceProfileName"]))


@operation
def add_role_to_instance_profile(cx: Context, request: Request) -> Response:
    """Put a role into an instance profile, which holds one."""
    profile, role = find(cx, _KIND, request["InstanceProfileName"]), find(cx, "role", request["RoleName"])
    if entities.members(cx, profile):
        raise LimitExceeded("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
    cx.write("INSERT INTO iam_member (container, member) VALUES (?,?)", (profile.id, role.id))
    return {}


@operation
def remove_role_from_instance_profile(cx: Context, request: Request) -> Response:
    """Take the role out of an instance profile."""
    profile, role = find(cx, _KIND, request["InstanceProfileName"]), find(cx, "role", request["RoleName"])
    if not cx.write("DELETE FROM iam_member WHERE container = ? AND member = ?", (profile.id, role.id)):
        raise NoSuchEntity(f"Role {role.name} is not in instance profile {profile.name}.")
    return {}


@operation(kept={"Tags"})
def tag_instance_profile(cx: Context, request: Request) -> Response:
    """Add tags to an instance profile, or change them."""
    return permissions.tag(cx, find(cx, _KIND, request["InstanceProfileName"]), request)


@operation
def untag_instance_profile(cx: Context, request: Request) -> Response:
    """Take tags from an instance profile."""
    return permissions.untag(cx, find(cx, _KIND, request["InstanceProfileName"]), request)


@operation
def list_instance_profile_tags(cx: Context, request: Request) -> Response:
    """An instance profile's tags."""
    return permissions.list_tags(find(cx, _KIND, request["InstanceProfileName"]), request)


def _list(cx: Context, request: Request, found: list[Entity]) -> Response:
    return entities.page(request, "InstanceProfiles", [(each.name, _described(cx, each)) for each in found])


def _described(cx: Context, profile: Entity) -> dict[str, Any]:
    return {
        "Path": profile.path,
        "InstanceProfileName": profile.name,
        "InstanceProfileId": profile.id,
        "Arn": profile.arn,
        "CreateDate": profile.created / 1000,
        "Roles": [described_role(role, listed=True) for role in entities.members(cx, profile)],
        "Tags": entities.tag_list(profile.tags),
    }
