"""IAM's CloudFormation types: roles, the policies of roles, users and groups, instance profiles.

Each resource is made, changed or removed in one transaction.
Source: the type references of AWS::IAM::* in the CloudFormation User Guide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from penstock.base.errors import ApiError
from penstock.engine.context import Context, WaitingContext
from penstock.engine.model.written import DOCUMENT, TAGS, TEXT, TRUTH, list_of, structure
from penstock.engine.resource import Check, Declared, Physical, ResourceType, Wrong
from penstock.services.iam import documents
from penstock.services.iam.policy_resources import (
    OWNERS,
    create_managed_policy,
    create_policy,
    create_role_policy,
    delete_managed_policy,
    delete_policy,
    delete_role_policy,
    document_text,
    present,
    unless_gone,
    update_managed_policy,
    update_policy,
    update_role_policy,
)


def _tags(declared: Declared) -> list[dict[str, str]]:
    given = {tag["Key"]: str(tag["Value"]) for tag in declared.properties.get("Tags") or ()}
    return [{"Key": key, "Value": value} for key, value in (dict(declared.tags) | given).items()]


def _retag(cx: Context, kind: str, name: str, new: Declared, old: Declared) -> None:
    gone = sorted({tag["Key"] for tag in _tags(old)} - {tag["Key"] for tag in _tags(new)})
    if gone:
        cx.call("iam", f"Untag{kind}", {f"{kind}Name": name, "TagKeys": gone})
    if _tags(new):
        cx.call("iam", f"Tag{kind}", {f"{kind}Name": name, "Tags": _tags(new)})


def _set_policies(cx: Context, kind: str, name: str, new: Mapping[str, Any], old: Mapping[str, Any]) -> None:
    """Give a role, user or group the inline and managed policies that ``new`` has and ``old`` had not."""
    wanted = {policy["PolicyName"]: policy["PolicyDocument"] for policy in new.get("Policies") or ()}
    held = {policy["PolicyName"]: policy["PolicyDocument"] for policy in old.get("Policies") or ()}
    for policy in held.keys() - wanted.keys():
        unless_gone(cx, f"Delete{kind}Policy", {f"{kind}Name": name, "PolicyName": policy})
    for policy, document in wanted.items():
        cx.call(
            "iam", f"Put{kind}Policy",
            {f"{kind}Name": name, "PolicyName": policy, "PolicyDocument": document_text(document)},
        )  # fmt: skip
    arns, earlier = new.get("ManagedPolicyArns") or [], old.get("ManagedPolicyArns") or []
    for arn in earlier:
        if arn not in arns:
            unless_gone(cx, f"Detach{kind}Policy", {f"{kind}Name": name, "PolicyArn": arn})
    for arn in arns:
        cx.call("iam", f"Attach{kind}Policy", {f"{kind}Name": name, "PolicyArn": arn})


def _empty(cx: Context, kind: str, name: str) -> None:
    """Take every policy from a role, user or group, so that it can be deleted."""
    for policy in cx.call("iam", f"List{kind}Policies", {f"{kind}Name": name, "MaxItems": 1000})["PolicyNames"]:
        cx.call("iam", f"Delete{kind}Policy", {f"{kind}Name": name, "PolicyName": policy})
    for each in cx.call("iam", f"ListAttached{kind}Policies", {f"{kind}Name": name})["AttachedPolicies"]:
        cx.call("iam", f"Detach{kind}Policy", {f"{kind}Name": name, "PolicyArn": each["PolicyArn"]})


def _deleter(kind: str, empty: Callable[[Context, str], None]) -> Callable[[WaitingContext, Physical], Any]:
    async def delete(cx: WaitingContext, physical: Physical) -> None:
        def work(cx: Context) -> None:
            try:
                cx.call("iam", f"Get{kind}", {f"{kind}Name": physical.id})
            except ApiError as error:
                if error.code.startswith("NoSuchEntity"):
                    return
                raise
            empty(cx, physical.id)
            cx.call("iam", f"Delete{kind}", {f"{kind}Name": physical.id})

        await cx.transact(work)

    return delete


# --- AWS::IAM::Role


async def create_role(cx: WaitingContext, declared: Declared) -> Physical:
    """Make the role with its policies."""
    properties = declared.properties
    name = properties.get("RoleName") or declared.generated_name

    def work(cx: Context) -> Physical:
        request = present(properties, ("Path", "Description", "PermissionsBoundary"))
        request |= {
            "RoleName": name,
            "AssumeRolePolicyDocument": document_text(properties["AssumeRolePolicyDocument"]),
            "Tags": _tags(declared),
        }
        if properties.get("MaxSessionDuration") is not None:
            request["MaxSessionDuration"] = int(properties["MaxSessionDuration"])
        role = cx.call("iam", "CreateRole", request)["Role"]
        _set_policies(cx, "Role", name, properties, {})
        return Physical(name, {"Arn": role["Arn"], "RoleId": role["RoleId"]})

    return await cx.transact(work)


async def update_role(cx: WaitingContext, new: Declared, old: Declared, physical: Physical) -> Physical:
    """Change what differs: trust, duration, boundary, policies, tags."""
    properties, name = new.properties, physical.id

    def work(cx: Context) -> Physical:
        cx.call(
            "iam", "UpdateAssumeRolePolicy",
            {"RoleName": name, "PolicyDocument": document_text(properties["AssumeRolePolicyDocument"])},
        )  # fmt: skip
        cx.call(
            "iam", "UpdateRole",
            {
                "RoleName": name,
                "Description": properties.get("Description") or "",
                "MaxSessionDuration": int(properties.get("MaxSessionDuration") or 3600),
            },
        )  # fmt: skip
        if properties.get("PermissionsBoundary"):
            boundary = {"RoleName": name, "PermissionsBoundary": properties["PermissionsBoundary"]}
            cx.call("iam", "PutRolePermissionsBoundary", boundary)
        else:
            cx.call("iam", "DeleteRolePermissionsBoundary", {"RoleName": name})
        _set_policies(cx, "Role", name, properties, old.properties)
        _retag(cx, "Role", name, new, old)
        return physical

    return await cx.transact(work)


def _empty_role(cx: Context, name: str) -> None:
    _empty(cx, "Role", name)


# --- AWS::IAM::User and AWS::IAM::Group


async def create_user(cx: WaitingContext, declared: Declared) -> Physical:
    """Make the user with its policies and groups."""
    properties = declared.properties
    name = properties.get("UserName") or declared.generated_name

    def work(cx: Context) -> Physical:
        request = present(properties, ("Path", "PermissionsBoundary")) | {"UserName": name, "Tags": _tags(declared)}
        user = cx.call("iam", "CreateUser", request)["User"]
        _set_policies(cx, "User", name, properties, {})
        for group in properties.get("Groups") or ():
            cx.call("iam", "AddUserToGroup", {"GroupName": group, "UserName": name})
        _set_login(cx, name, properties.get("LoginProfile"), None)
        return Physical(name, {"Arn": user["Arn"]})

    return await cx.transact(work)


async def update_user(cx: WaitingContext, new: Declared, old: Declared, physical: Physical) -> Physical:
    """Change what differs: path, boundary, policies, groups, tags."""
    properties, name = new.properties, physical.id

    def work(cx: Context) -> Physical:
        cx.call("iam", "UpdateUser", {"UserName": name, "NewPath": properties.get("Path") or "/"})
        if properties.get("PermissionsBoundary"):
            boundary = {"UserName": name, "PermissionsBoundary": properties["PermissionsBoundary"]}
            cx.call("iam", "PutUserPermissionsBoundary", boundary)
        else:
            cx.call("iam", "DeleteUserPermissionsBoundary", {"UserName": name})
        _set_policies(cx, "User", name, properties, old.properties)
        groups, earlier = properties.get("Groups") or [], old.properties.get("Groups") or []
        for group in earlier:
            if group not in groups:
                unless_gone(cx, "RemoveUserFromGroup", {"GroupName": group, "UserName": name})
        for group in groups:
            cx.call("iam", "AddUserToGroup", {"GroupName": group, "UserName": name})
        _set_login(cx, name, properties.get("LoginProfile"), old.properties.get("LoginProfile"))
        _retag(cx, "User", name, new, old)
        return Physical(name, {"Arn": cx.call("iam", "GetUser", {"UserName": name})["User"]["Arn"]})

    return await cx.transact(work)


def _set_login(cx: Context, name: str, new: Mapping[str, Any] | None, old: Mapping[str, Any] | None) -> None:
    """Give a user another password, or the first, or none any more."""
    if new == old:
        return
    if new is None:
        unless_gone(cx, "DeleteLoginProfile", {"UserName": name})
        return
    reset = str(new.get("PasswordResetRequired", False)).lower() == "true"
    request = {"UserName": name, "Password": new["Password"], "PasswordResetRequired": reset}
    cx.call("iam", "CreateLoginProfile" if old is None else "UpdateLoginProfile", request)


def _empty_user(cx: Context, name: str) -> None:
    _empty(cx, "User", name)
    unless_gone(cx, "DeleteLoginProfile", {"UserName": name})
    for group in cx.call("iam", "ListGroupsForUser", {"UserName": name, "MaxItems": 1000})["Groups"]:
        cx.call("iam", "RemoveUserFromGroup", {"GroupName": group["GroupName"], "UserName": name})


async def create_group(cx: WaitingContext, declared: Declared) -> Physical:
    """Make the group with its policies."""
    properties = declared.properties
    name = properties.get("GroupName") or declared.generated_name

    def work(cx: Context) -> Physical:
        group = cx.call("iam", "CreateGroup", present(properties, ("Path",)) | {"GroupName": name})["Group"]
        _set_policies(cx, "Group", name, properties, {})
        return Physical(name, {"Arn": group["Arn"]})

    return await cx.transact(work)


async def update_group(cx: WaitingContext, new: Declared, old: Declared, physical: Physical) -> Physical:
    """Change what differs: path and policies."""
    name = physical.id

    def work(cx: Context) -> Physical:
        cx.call("iam", "UpdateGroup", {"GroupName": name, "NewPath": new.properties.get("Path") or "/"})
        _set_policies(cx, "Group", name, new.properties, old.properties)
        return Physical(name, {"Arn": cx.call("iam", "GetGroup", {"GroupName": name})["Group"]["Arn"]})

    return await cx.transact(work)


def _empty_group(cx: Context, name: str) -> None:
    _empty(cx, "Group", name)
    for user in cx.call("iam", "GetGroup", {"GroupName": name, "MaxItems": 1000})["Users"]:
        cx.call("iam", "RemoveUserFromGroup", {"GroupName": name, "UserName": user["UserName"]})


# --- AWS::IAM::InstanceProfile


async def create_instance_profile(cx: WaitingContext, declared: Declared) -> Physical:
    """Make the profile and put its role into it."""
    properties = declared.properties
    name = properties.get("InstanceProfileName") or declared.generated_name

    def work(cx: Context) -> Physical:
        request = present(properties, ("Path",)) | {"InstanceProfileName": name}
        profile = cx.call("iam", "CreateInstanceProfile", request)["InstanceProfile"]
        for role in properties["Roles"]:
            cx.call("iam", "AddRoleToInstanceProfile", {"InstanceProfileName": name, "RoleName": role})
        return Physical(name, {"Arn": profile["Arn"]})

    return await cx.transact(work)


async def update_instance_profile(cx: WaitingContext, new: Declared, old: Declared, physical: Physical) -> Physical:
    """Put another role into the profile."""

    def work(cx: Context) -> Physical:
        _empty_profile(cx, physical.id)
        for role in new.properties["Roles"]:
            cx.call("iam", "AddRoleToInstanceProfile", {"InstanceProfileName": physical.id, "RoleName": role})
        return physical

    return await cx.transact(work)


def _empty_profile(cx: Context, name: str) -> None:
    profile = cx.call("iam", "GetInstanceProfile", {"InstanceProfileName": name})["InstanceProfile"]
    for role in profile["Roles"]:
        cx.call(
            "iam", "RemoveRoleFromInstanceProfile", {"InstanceProfileName": name, "RoleName": role["RoleName"]}
        )  # fmt: skip


# --- what can be said before anything is made


def _checking(**properties: Callable[[str], None]) -> Check:
    """The check of a type: each of these properties is a document, and so is each one's in Policies."""

    def check(cx: WaitingContext, declared: Declared, unknown: frozenset[str]) -> Iterator[Wrong]:
        given = declared.properties
        found = [(name, given[name], is_one) for name, is_one in properties.items() if name in given]
        for index, policy in enumerate(given.get("Policies") or ()):
            found.append((f"Policies.{index}.PolicyDocument", policy["PolicyDocument"], documents.check_permissions))
        for place, document, is_one in found:
            try:
                is_one(document_text(document))
            except ApiError as error:
                yield Wrong(place, error.message)

    return check


_POLICIES: Final = list_of(
    structure({"PolicyName": TEXT, "PolicyDocument": DOCUMENT}, needs=("PolicyName", "PolicyDocument"))
)
_NAMES: Final = list_of(TEXT)
_LOGIN: Final = structure({"Password": TEXT, "PasswordResetRequired": TRUTH}, needs=("Password",))
_OF_AN_ENTITY: Final = {"ManagedPolicyArns": _NAMES, "Policies": _POLICIES, "Tags": TAGS}
_OF_A_POLICY: Final = {"PolicyDocument": DOCUMENT, **dict.fromkeys(OWNERS, _NAMES)}

RESOURCES: Final = (
    ResourceType(
        "AWS::IAM::Role", create_role, update_role, _deleter("Role", _empty_role),
        executed=frozenset({"RoleName", "Path", "MaxSessionDuration"}),
        kept=frozenset(
            {"AssumeRolePolicyDocument", "Description", "ManagedPolicyArns", "PermissionsBoundary", "Policies", "Tags"}
        ),
        required=frozenset({"AssumeRolePolicyDocument"}),
        replaced_by=frozenset({"RoleName", "Path"}),
        attributes=frozenset({"Arn", "RoleId"}),
        name_property="RoleName",
        like="iam.CreateRole",
        forms={"AssumeRolePolicyDocument": DOCUMENT, **_OF_AN_ENTITY},
        check=_checking(AssumeRolePolicyDocument=documents.check_trust),
    ),
    ResourceType(
        "AWS::IAM::User", create_user, update_user, _deleter("User", _empty_user),
        executed=frozenset({"UserName", "Path", "Groups", "LoginProfile"}),
        kept=frozenset({"ManagedPolicyArns", "PermissionsBoundary", "Policies", "Tags"}),
        replaced_by=frozenset({"UserName"}),
        attributes=frozenset({"Arn"}),
        name_property="UserName",
        like="iam.CreateUser",
        forms={"Groups": _NAMES, "LoginProfile": _LOGIN, **_OF_AN_ENTITY},
        check=_checking(),
    ),
    ResourceType(
        "AWS::IAM::Group", create_group, update_group, _deleter("Group", _empty_group),
        executed=frozenset({"GroupName", "Path"}),
        kept=frozenset({"ManagedPolicyArns", "Policies"}),
        replaced_by=frozenset({"GroupName"}),
        attributes=frozenset({"Arn"}),
        name_property="GroupName",
        name_limit=128,
        like="iam.CreateGroup",
        forms=_OF_AN_ENTITY,
        check=_checking(),
    ),
    ResourceType(
        "AWS::IAM::Policy", create_policy, update_policy, delete_policy,
        executed=frozenset({"PolicyName", "Roles", "Users", "Groups"}),
        kept=frozenset({"PolicyDocument"}),
        required=frozenset({"PolicyName", "PolicyDocument"}),
        attributes=frozenset({"Id"}),
        like="iam.PutRolePolicy",
        forms=_OF_A_POLICY,
        check=_checking(PolicyDocument=documents.check_permissions),
    ),
    ResourceType(
        "AWS::IAM::RolePolicy", create_role_policy, update_role_policy, delete_role_policy,
        executed=frozenset({"PolicyName", "RoleName"}),
        kept=frozenset({"PolicyDocument"}),
        required=frozenset({"PolicyName", "RoleName"}),
        replaced_by=frozenset({"PolicyName", "RoleName"}),
        like="iam.PutRolePolicy",
        forms={"PolicyDocument": DOCUMENT},
        check=_checking(PolicyDocument=documents.check_permissions),
    ),
    ResourceType(
        "AWS::IAM::ManagedPolicy", create_managed_policy, update_managed_policy, delete_managed_policy,
        executed=frozenset({"ManagedPolicyName", "Path", "Roles", "Users", "Groups"}),
        kept=frozenset({"Description", "PolicyDocument"}),
        required=frozenset({"PolicyDocument"}),
        replaced_by=frozenset({"ManagedPolicyName", "Path", "Description"}),
        attributes=frozenset({"PolicyArn", "PolicyId"}),
        name_property="ManagedPolicyName",
        name_limit=128,
        like="iam.CreatePolicy",
        forms={"ManagedPolicyName": "CreatePolicy.PolicyName", **_OF_A_POLICY},
        check=_checking(PolicyDocument=documents.check_managed),
    ),
    ResourceType(
        "AWS::IAM::InstanceProfile", create_instance_profile, update_instance_profile,
        _deleter("InstanceProfile", _empty_profile),
        executed=frozenset({"InstanceProfileName", "Path", "Roles"}),
        required=frozenset({"Roles"}),
        replaced_by=frozenset({"InstanceProfileName", "Path"}),
        attributes=frozenset({"Arn"}),
        name_property="InstanceProfileName",
        name_limit=128,
        like="iam.CreateInstanceProfile",
        forms={"Roles": _NAMES},
    ),
)  # fmt: skip
