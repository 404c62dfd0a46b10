"""Roles: who may be assumed, with which policies. All of it is kept until access is enforced."""

from __future__ import annotations

from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.iam import documents, entities, permissions
from penstock.services.iam.entities import described_role, find, find_modifiable

_DURATION = 3600  # MaxSessionDuration, where the request has none


@operation(kept={"AssumeRolePolicyDocument", "Description", "PermissionsBoundary", "Tags"})
def create_role(cx: Context, request: Request) -> Response:
    """Make a role."""
    permissions.check_name(request["RoleName"])
    documents.check_trust(request["AssumeRolePolicyDocument"])
    detail = {
        "AssumeRolePolicyDocument": request["AssumeRolePolicyDocument"],
        "Description": request.get("Description"),
        "MaxSessionDuration": request.get("MaxSessionDuration") or _DURATION,
        "PermissionsBoundary": permissions.check_boundary(cx, request.get("PermissionsBoundary")),
    }
    return {"Role": described_role(entities.make(cx, "role", request["RoleName"], request, detail))}


@operation
def get_role(cx: Context, request: Request) -> Response:
    """A role with its trust policy. When it was last used is not recorded."""
    return {"Role": described_role(find(cx, "role", request["RoleName"]))}


@operation
def list_roles(cx: Context, request: Request) -> Response:
    """The account's roles."""
    found = entities.every(cx, "role", request.get("PathPrefix"))
    return entities.page(request, "Roles", [(role.name, described_role(role, listed=True)) for role in found])


@operation(kept={"Description"})
def update_role(cx: Context, request: Request) -> Response:
    """Change a role's description and how long its sessions may last."""
    role = find(cx, "role", request["RoleName"])
    if request.get("Description") is not None:
        role.detail["Description"] = request["Description"]
    if request.get("MaxSessionDuration") is not None:
        role.detail["MaxSessionDuration"] = request["MaxSessionDuration"]
    entities.save(cx, role)
    return {}


@operation(kept={"Description"})
def update_role_description(cx: Context, request: Request) -> Response:
    """Change a role's description."""
    role = find(cx, "role", request["RoleName"])
    role.detail["Description"] = request["Description"]
    entities.save(cx, role)
    return {"Role": described_role(role)}


@operation(kept={"PolicyDocument"})
def update_assume_role_policy(cx: Context, request: Request) -> Response:
    """Change a role's trust policy."""
    role = find_modifiable(cx, "role", request["RoleName"])
    documents.check_trust(request["PolicyDocument"])
    role.detail["AssumeRolePolicyDocument"] = request["PolicyDocument"]
    entities.save(cx, role)
    return {}


@operation
def delete_role(cx: Context, request: Request) -> Response:
    """Delete a role without policies and instance profiles."""
    return permissions.delete_entity(cx, find_modifiable(cx, "role", request["RoleName"]))


@operation(kept={"PermissionsBoundary"})
def put_role_permissions_boundary(cx: Context, request: Request) -> Response:
    """Set the managed policy that bounds a role."""
    return permissions.put_boundary(cx, "role", request)


@operation
def delete_role_permissions_boundary(cx: Context, request: Request) -> Response:
    """Unset the managed policy that bounds a role."""
    return permissions.delete_boundary(cx, "role", request)


@operation(kept={"PolicyDocument"})
def put_role_policy(cx: Context, request: Request) -> Response:
    """Write a policy inside a role."""
    return permissions.put_inline(cx, "role", request)


@operation
def get_role_policy(cx: Context, request: Request) -> Response:
    """A policy inside a role."""
    return permissions.get_inline(cx, "role", request)


@operation
def delete_role_policy(cx: Context, request: Request) -> Response:
    """Remove a policy from inside a role."""
    return permissions.delete_inline(cx, "role", request)


@operation
def list_role_policies(cx: Context, request: Request) -> Response:
    """The names of the policies inside a role."""
    return permissions.list_inline(cx, "role", request)


@operation
def attach_role_policy(cx: Context, request: Request) -> Response:
    """Attach a managed policy to a role."""
    return permissions.attach(cx, "role", request)


@operation
def detach_role_policy(cx: Context, request: Request) -> Response:
    """Detach a managed policy from a role."""
    return permissions.detach(cx, "role", request)


@operation
def list_attached_role_policies(cx: Context, request: Request) -> Response:
    """The managed policies attached to a role."""
    return permissions.list_attached(cx, "role", request)


@operation(kept={"Tags"})
def tag_role(cx: Context, request: Request) -> Response:
    """Add tags to a role, or change them."""
    return permissions.tag(cx, find(cx, "role", request["RoleName"]), request)


@operation
def untag_role(cx: Context, request: Request) -> Response:
    """Take tags from a role."""
    return permissions.untag(cx, find(cx, "role", request["RoleName"]), request)


@operation
def list_role_tags(cx: Context, request: Request) -> Response:
    """A role's tags."""
    return permissions.list_tags(find(cx, "role", request["RoleName"]), request)
