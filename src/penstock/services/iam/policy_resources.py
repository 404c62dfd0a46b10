"""How IAM's policy types of CloudFormation are applied: inline policies and managed ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from penstock.base.errors import ApiError
from penstock.engine.context import Context, WaitingContext
from penstock.engine.resource import Declared, Physical

OWNERS: Final = {"Roles": "Role", "Users": "User", "Groups": "Group"}


def document_text(value: Any) -> str:
    """A policy document of a template as text; YAML may have read its Version as a date."""
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()


def unless_gone(cx: Context, operation: str, request: dict[str, Any]) -> None:
    """Carry out a deletion; that the thing is gone already is no error."""
    try:
        cx.call("iam", operation, request)
    except ApiError as error:
        if not error.code.startswith("NoSuchEntity"):
            raise


def present(properties: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Those of these properties that are given."""
    return {name: properties[name] for name in names if properties.get(name) is not None}


# --- AWS::IAM::Policy, AWS::IAM::RolePolicy: inline policies


def _put_inline(cx: Context, properties: Mapping[str, Any], name: str) -> None:
    document = document_text(properties["PolicyDocument"])
    for member, kind in OWNERS.items():
        for owner in properties.get(member) or ():
            cx.call(
                "iam", f"Put{kind}Policy", {f"{kind}Name": owner, "PolicyName": name, "PolicyDocument": document}
            )  # fmt: skip


async def create_policy(cx: WaitingContext, declared: Declared) -> Physical:
    """Write one inline policy into every role, user and group that is named."""
    properties, name = declared.properties, declared.properties["PolicyName"]
    if not any(properties.get(member) for member in OWNERS):
        raise ApiError(
            "At least one of [Groups,Roles,Users] must be non-empty.", code="InvalidRequest"
        )  # fmt: skip
    await cx.transact(lambda cx: _put_inline(cx, properties, name))
    # An inline policy has no id of its own: what Delete needs to know is kept with the attributes.
    owners = {member: list(properties.get(member) or ()) for member in OWNERS}
    return Physical(declared.generated_name, {"Id": declared.generated_name, "PolicyName": name, "Owners": owners})


async def update_policy(cx: WaitingContext, new: Declared, old: Declared, physical: Physical) -> Physical:
    """Write the policy where it is wanted now, and remove it from where it was."""
    await delete_policy(cx, physical)
    return await create_policy(cx, new)


async def delete_policy(cx: WaitingContext, physical: Physical) -> None:
    """Remove the policy from everything that had it."""
    name, owners = physical.attributes["PolicyName"], physical.attributes["Owners"]

    def work(cx: Context) -> None:
        for member, names in owners.items():
            for owner in names:
                kind = OWNERS[member]
                unless_gone(cx, f"Delete{kind}Policy", {f"{kind}Name": owner, "PolicyName": name})

    await cx.transact(work)


async def create_role_policy(cx: WaitingContext, declared: Declared) -> Physical:
    """Write one inline policy into one role."""
    properties = declared.properties
    if properties.get("PolicyDocument") is None:
        raise ApiError("PolicyDocument is missing: give the role policy one.", code="InvalidRequest")
    request = {
        "RoleName": properties["RoleName"],
        "PolicyName": properties["PolicyName"],
        "PolicyDocument": document_text(properties["PolicyDocument"]),
    }
    await cx.call("iam", "PutRolePolicy", request)
    return Physical(f"{properties['PolicyName']}|{properties['RoleName']}")


async def update_role_policy(cx: WaitingContext, new: Declared, old: Declared, physical: Physical) -> Physical:
    """Write the policy's new document."""
    return await create_role_policy(cx, new)


async def delete_role_policy(cx: WaitingContext, physical: Physical) -> None:
    """Remove the policy from its role."""
    policy, role = physical.id.split("|", 1)
    await cx.transact(lambda cx: unless_gone(cx, "DeleteRolePolicy", {"RoleName": role, "PolicyName": policy}))


# --- AWS::IAM::ManagedPolicy


def _attach(cx: Context, arn: str, new: Mapping[str, Any], old: Mapping[str, Any]) -> None:
    for member, kind in OWNERS.items():
        wanted, held = new.get(member) or [], old.get(member) or []
        for owner in held:
            if owner not in wanted:
                unless_gone(cx, f"Detach{kind}Policy", {f"{kind}Name": owner, "PolicyArn": arn})
        for owner in wanted:
            cx.call("iam", f"Attach{kind}Policy", {f"{kind}Name": owner, "PolicyArn": arn})


async def create_managed_policy(cx: WaitingContext, declared: Declared) -> Physical:
    """Make the policy and attach it."""
    properties = declared.properties

    def work(cx: Context) -> Physical:
        request = present(properties, ("Path", "Description")) | {
            "PolicyName": properties.get("ManagedPolicyName") or declared.generated_name,
            "PolicyDocument": document_text(properties["PolicyDocument"]),
        }
        policy = cx.call("iam", "CreatePolicy", request)["Policy"]
        _attach(cx, policy["Arn"], properties, {})
        return Physical(policy["Arn"], {"PolicyArn": policy["Arn"], "PolicyId": policy["PolicyId"]})

    return await cx.transact(work)


async def update_managed_policy(cx: WaitingContext, new: Declared, old: Declared, physical: Physical) -> Physical:
    """Add a version with the new document, in place of the oldest one where there is no room, and attach anew."""
    arn = physical.id

    def work(cx: Context) -> Physical:
        if new.properties["PolicyDocument"] != old.properties.get("PolicyDocument"):
            versions = cx.call("iam", "ListPolicyVersions", {"PolicyArn": arn})["Versions"]
            spare = [version["VersionId"] for version in versions if not version["IsDefaultVersion"]]
            if len(versions) >= 5 and spare:
                cx.call("iam", "DeletePolicyVersion", {"PolicyArn": arn, "VersionId": spare[-1]})
            document = document_text(new.properties["PolicyDocument"])
            version = {"PolicyArn": arn, "PolicyDocument": document, "SetAsDefault": True}
            cx.call("iam", "CreatePolicyVersion", version)
        _attach(cx, arn, new.properties, old.properties)
        return physical

    return await cx.transact(work)


async def delete_managed_policy(cx: WaitingContext, physical: Physical) -> None:
    """Detach the policy from everything, and delete it with its versions."""
    arn = physical.id

    def work(cx: Context) -> None:
        try:
            versions = cx.call("iam", "ListPolicyVersions", {"PolicyArn": arn})["Versions"]
        except ApiError as error:
            if error.code.startswith("NoSuchEntity"):
                return
            raise
        holders = cx.call("iam", "ListEntitiesForPolicy", {"PolicyArn": arn, "MaxItems": 1000})
        for kind in ("Role", "User", "Group"):
            for holder in holders[f"Policy{kind}s"]:
                name = holder[f"{kind}Name"]
                cx.call("iam", f"Detach{kind}Policy", {f"{kind}Name": name, "PolicyArn": arn})
        for version in versions:
            if not version["IsDefaultVersion"]:
                cx.call("iam", "DeletePolicyVersion", {"PolicyArn": arn, "VersionId": version["VersionId"]})
        cx.call("iam", "DeletePolicy", {"PolicyArn": arn})

    await cx.transact(work)
