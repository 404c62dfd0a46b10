"""Groups of users."""

from __future__ import annotations

from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.iam import entities, permissions
from penstock.services.iam.entities import described_group, described_user, find
from penstock.services.iam.errors import NoSuchEntity


@operation
def create_group(cx: Context, request: Request) -> Response:
    """Make a group."""
    permissions.check_name(request["GroupName"])
    return {"Group": described_group(entities.make(cx, "group", request["GroupName"], request, {}))}


@operation
def get_group(cx: Context, request: Request) -> Response:
    """A group and its users."""
    group = find(cx, "group", request["GroupName"])
    users = [(user.name, described_user(user, listed=True)) for user in entities.members(cx, group)]
    return {"Group": described_group(group)} | entities.page(request, "Users", users)


@operation
def list_groups(cx: Context, request: Request) -> Response:
    """The account's groups."""
    found = entities.every(cx, "group", request.get("PathPrefix"))
    return entities.page(request, "Groups", [(group.name, described_group(group)) for group in found])


@operation
def list_groups_for_user(cx: Context, request: Request) -> Response:
    """The groups of a user."""
    found = entities.containers(cx, find(cx, "user", request["UserName"]))
    return entities.page(request, "Groups", [(group.name, described_group(group)) for group in found])


@operation
def update_group(cx: Context, request: Request) -> Response:
    """Give a group another name or path."""
    if request.get("NewGroupName") is not None:
        permissions.check_name(request["NewGroupName"])
    group = find(cx, "group", request["GroupName"])
    entities.rename(cx, group, request.get("NewGroupName"), request.get("NewPath"))
    return {}


@operation
def delete_group(cx: Context, request: Request) -> Response:
    """Delete a group without users and policies."""
    return permissions.delete_entity(cx, find(cx, "group", request["GroupName"]))


@operation
def add_user_to_group(cx: Context, request: Request) -> Response:
    """Put a user into a group; a second time changes nothing."""
    group, user = find(cx, "group", request["GroupName"]), find(cx, "user", request["UserName"])
    cx.write("INSERT OR IGNORE INTO iam_member (container, member) VALUES (?,?)", (group.id, user.id))
    return {}


@operation
def remove_user_from_group(cx: Context, request: Request) -> Response:
    """Take a user out of a group."""
    group, user = find(cx, "group", request["GroupName"]), find(cx, "user", request["UserName"])
    if not cx.write("DELETE FROM iam_member WHERE container = ? AND member = ?", (group.id, user.id)):
        raise NoSuchEntity(f"User {user.name} is not in group {group.name}.")
    return {}


@operation(kept={"PolicyDocument"})
def put_group_policy(cx: Context, request: Request) -> Response:
    """Write a policy inside a group."""
    return permissions.put_inline(cx, "group", request)


@operation
def get_group_policy(cx: Context, request: Request) -> Response:
    """A policy inside a group."""
    return permissions.get_inline(cx, "group", request)


@operation
def delete_group_policy(cx: Context, request: Request) -> Response:
    """Remove a policy from inside a group."""
    return permissions.delete_inline(cx, "group", request)


@operation
def list_group_policies(cx: Context, request: Request) -> Response:
    """The names of the policies inside a group."""
    return permissions.list_inline(cx, "group", request)


@operation
def attach_group_policy(cx: Context, request: Request) -> Response:
    """Attach a managed policy to a group."""
    return permissions.attach(cx, "group", request)


@operation
def detach_group_policy(cx: Context, request: Request) -> Response:
    """Detach a managed policy from a group."""
    return permissions.detach(cx, "group", request)


@operation
def list_attached_group_policies(cx: Context, request: Request) -> Response:
    """The managed policies attached to a group."""
    return permissions.list_attached(cx, "group", request)
