"""Members of requests and properties that the other tests have no use for: each is executed, kept or refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.testing.platform import PlatformThread
from tests.services.applied import Applied
from tests.services.iam.test_iam import READ, TRUST

BOUNDARY = "arn:aws:iam::aws:policy/PowerUserAccess"
BASIC = "arn:aws:iam::aws:policy/ReadOnlyAccess"
TAGS = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
DOCUMENT = json.dumps(READ)
INLINE = {"PolicyName": "read", "PolicyDocument": READ}


@pytest.fixture
def iam(platform: PlatformThread) -> Any:
    return platform.client("iam")


def paged(call: Any, member: str, **request: Any) -> list[Any]:
    """All that a list gives in pages of one, which is what it gives at once."""
    found, marker = [], {}
    while True:
        answer = call(**request, MaxItems=1, **marker)
        found += answer[member]
        if not answer["IsTruncated"]:
            break
        marker = {"Marker": answer["Marker"]}
    assert found == call(**request)[member] and len(found) > 1
    return found


def test_names_are_listed_by_path_a_page_at_a_time(iam: Any) -> None:
    for name in ("a", "b", "c"):
        path = "/team/" if name < "c" else "/"
        iam.create_user(UserName=name, Path=path, PermissionsBoundary=BOUNDARY)
        iam.create_group(GroupName=name, Path=path)
        iam.create_instance_profile(InstanceProfileName=name, Path=path, Tags=TAGS)
    assert iam.get_user(UserName="a")["User"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == BOUNDARY
    for call, member in (
        (iam.list_users, "Users"), (iam.list_groups, "Groups"), (iam.list_instance_profiles, "InstanceProfiles"),
    ):  # fmt: skip
        assert len(paged(call, member)) == 3
        assert [each["Path"] for each in paged(call, member, PathPrefix="/team/")] == ["/team/", "/team/"]
    iam.update_group(GroupName="a", NewPath="/other/")
    assert iam.get_group(GroupName="a")["Group"]["Arn"].endswith(":group/other/a")


def test_members_of_groups_and_profiles_of_roles_are_listed_a_page_at_a_time(iam: Any) -> None:
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))
    for name in ("a", "b"):
        iam.create_user(UserName=name)
        iam.create_group(GroupName=name)
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName="r")
        iam.create_access_key(UserName="a")
    for user in ("a", "b"):
        iam.add_user_to_group(GroupName="a", UserName=user)
    iam.add_user_to_group(GroupName="b", UserName="a")
    assert len(paged(iam.get_group, "Users", GroupName="a")) == 2
    assert len(paged(iam.list_groups_for_user, "Groups", UserName="a")) == 2
    assert len(paged(iam.list_instance_profiles_for_role, "InstanceProfiles", RoleName="r")) == 2
    assert len(paged(iam.list_access_keys, "AccessKeyMetadata", UserName="a")) == 2


def test_policies_of_everybody_are_listed_a_page_at_a_time(iam: Any) -> None:
    iam.create_role(RoleName="x", AssumeRolePolicyDocument=json.dumps(TRUST), Path="/team/")
    iam.create_user(UserName="x", Path="/team/", PermissionsBoundary=BOUNDARY)
    iam.create_group(GroupName="x", Path="/")
    arns = [
        iam.create_policy(PolicyName=name, PolicyDocument=DOCUMENT, Path="/team/", Tags=TAGS)["Policy"]["Arn"]
        for name in ("p", "q")
    ]
    for kind in ("role", "user", "group"):
        who = {f"{kind.title()}Name": "x"}
        for name in ("one", "two"):
            getattr(iam, f"put_{kind}_policy")(**who, PolicyName=name, PolicyDocument=DOCUMENT)
        assert getattr(iam, f"get_{kind}_policy")(**who, PolicyName="one")["PolicyDocument"] == READ
        assert paged(getattr(iam, f"list_{kind}_policies"), "PolicyNames", **who) == ["one", "two"]
        getattr(iam, f"delete_{kind}_policy")(**who, PolicyName="one")
        for arn in arns:
            getattr(iam, f"attach_{kind}_policy")(**who, PolicyArn=arn)
        listed = getattr(iam, f"list_attached_{kind}_policies")
        assert len(paged(listed, "AttachedPolicies", **who, PathPrefix="/team/")) == 2
        assert listed(**who, PathPrefix="/none/")["AttachedPolicies"] == []
    assert len(paged(iam.list_policies, "Policies")) == 2
    everybody = iam.list_entities_for_policy(PolicyArn=arns[0], PathPrefix="/team/")
    assert [len(everybody[f"Policy{kind}s"]) for kind in ("Role", "User", "Group")] == [1, 1, 0]
    users = iam.list_entities_for_policy(PolicyArn=arns[0], EntityFilter="User")
    assert [len(users[f"Policy{kind}s"]) for kind in ("Role", "User", "Group")] == [0, 1, 0]
    bounded = iam.list_entities_for_policy(PolicyArn=BOUNDARY, PolicyUsageFilter="PermissionsBoundary")
    assert [user["UserName"] for user in bounded["PolicyUsers"]] == ["x"]
    first = iam.list_entities_for_policy(PolicyArn=arns[0], MaxItems=2)
    rest = iam.list_entities_for_policy(PolicyArn=arns[0], Marker=first["Marker"])
    assert sum(len(page[f"Policy{kind}s"]) for page in (first, rest) for kind in ("Role", "User", "Group")) == 3
    iam.detach_user_policy(UserName="x", PolicyArn=arns[0])
    assert len(iam.list_attached_user_policies(UserName="x")["AttachedPolicies"]) == 1
    iam.create_policy_version(PolicyArn=arns[0], PolicyDocument=DOCUMENT)
    assert len(paged(iam.list_policy_versions, "Versions", PolicyArn=arns[0])) == 2


def test_tags_of_everything_come_go_and_are_listed_a_page_at_a_time(iam: Any) -> None:
    iam.create_role(RoleName="x", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.create_user(UserName="x")
    iam.create_instance_profile(InstanceProfileName="x")
    arn = iam.create_policy(PolicyName="x", PolicyDocument=DOCUMENT)["Policy"]["Arn"]
    for kind, who in (
        ("role", {"RoleName": "x"}), ("user", {"UserName": "x"}), ("policy", {"PolicyArn": arn}),
        ("instance_profile", {"InstanceProfileName": "x"}),
    ):  # fmt: skip
        getattr(iam, f"tag_{kind}")(**who, Tags=TAGS)
        assert paged(getattr(iam, f"list_{kind}_tags"), "Tags", **who) == TAGS
        getattr(iam, f"untag_{kind}")(**who, TagKeys=["a"])
        assert getattr(iam, f"list_{kind}_tags")(**who)["Tags"] == TAGS[1:]


def test_boundaries_and_descriptions_are_kept(iam: Any) -> None:
    iam.create_role(RoleName="x", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.create_user(UserName="x")
    iam.put_role_permissions_boundary(RoleName="x", PermissionsBoundary=BOUNDARY)
    iam.put_user_permissions_boundary(UserName="x", PermissionsBoundary=BOUNDARY)
    assert iam.update_role_description(RoleName="x", Description="new")["Role"]["Description"] == "new"
    for found in (iam.get_role(RoleName="x")["Role"], iam.get_user(UserName="x")["User"]):
        assert found["PermissionsBoundary"]["PermissionsBoundaryArn"] == BOUNDARY


def test_every_property_of_a_templates_roles_users_groups_and_policies(platform: PlatformThread, iam: Any) -> None:
    applied = Applied(platform, "iam")
    applied.create(
        "AWS::IAM::Role", RoleName="role", AssumeRolePolicyDocument=TRUST, Description="d", Path="/team/",
        PermissionsBoundary=BOUNDARY,
    )  # fmt: skip
    role = iam.get_role(RoleName="role")["Role"]
    assert (role["Description"], role["Path"]) == ("d", "/team/")
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == BOUNDARY
    applied.create("AWS::IAM::Group", GroupName="group", Path="/team/", Policies=[INLINE])
    assert iam.get_group_policy(GroupName="group", PolicyName="read")["PolicyDocument"] == READ
    applied.create(
        "AWS::IAM::User", UserName="user", ManagedPolicyArns=[BASIC], PermissionsBoundary=BOUNDARY,
        Policies=[INLINE], Tags=TAGS,
    )  # fmt: skip
    user = iam.get_user(UserName="user")["User"]
    assert user["PermissionsBoundary"]["PermissionsBoundaryArn"] == BOUNDARY
    assert {"Key": "a", "Value": "1"} in user["Tags"]
    assert iam.get_user_policy(UserName="user", PolicyName="read")["PolicyDocument"] == READ
    assert iam.list_attached_user_policies(UserName="user")["AttachedPolicies"][0]["PolicyArn"] == BASIC
    everybody = {"Users": ["user"], "Groups": ["group"]}
    managed, _ = applied.create(
        "AWS::IAM::ManagedPolicy", ManagedPolicyName="managed", PolicyDocument=READ, Description="d", Path="/team/",
        **everybody,
    )  # fmt: skip
    policy = iam.get_policy(PolicyArn=managed.id)["Policy"]
    assert (policy["Description"], policy["Path"], policy["AttachmentCount"]) == ("d", "/team/", 2)
    applied.create("AWS::IAM::Policy", PolicyName="inline", PolicyDocument=READ, **everybody)
    assert iam.get_group_policy(GroupName="group", PolicyName="inline")["PolicyDocument"] == READ
    assert iam.get_user_policy(UserName="user", PolicyName="inline")["PolicyDocument"] == READ
    applied.create("AWS::IAM::InstanceProfile", InstanceProfileName="profile", Path="/team/", Roles=["role"])
    assert iam.get_instance_profile(InstanceProfileName="profile")["InstanceProfile"]["Path"] == "/team/"
