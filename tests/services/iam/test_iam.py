"""IAM over HTTP, with boto3."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from penstock.testing.platform import PlatformThread

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
READ = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


@pytest.fixture
def iam(platform: PlatformThread) -> Any:
    return platform.client("iam")


def make_role(iam: Any, name: str = "orders", **given: Any) -> dict[str, Any]:
    return dict(iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST), **given)["Role"])


def make_policy(iam: Any, name: str = "read", **given: Any) -> str:
    return str(iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(READ), **given)["Policy"]["Arn"])


# --- roles


def test_a_role_is_made_read_changed_and_deleted(iam: Any) -> None:
    made = make_role(iam, Path="/service/", Description="Orders", MaxSessionDuration=7200, Tags=[
        {"Key": "team", "Value": "red"}
    ])  # fmt: skip
    assert made["Arn"] == "arn:aws:iam::000000000000:role/service/orders"
    assert made["RoleId"].startswith("AROA")
    role = iam.get_role(RoleName="orders")["Role"]
    assert role["AssumeRolePolicyDocument"] == TRUST
    assert (role["Description"], role["MaxSessionDuration"]) == ("Orders", 7200)
    assert role["Tags"] == [{"Key": "team", "Value": "red"}]
    iam.update_role(RoleName="orders", Description="More orders", MaxSessionDuration=3600)
    changed = TRUST | {"Id": "changed"}
    iam.update_assume_role_policy(RoleName="orders", PolicyDocument=json.dumps(changed))
    role = iam.get_role(RoleName="orders")["Role"]
    assert (role["Description"], role["MaxSessionDuration"]) == ("More orders", 3600)
    assert role["AssumeRolePolicyDocument"] == changed
    iam.delete_role(RoleName="orders")
    with pytest.raises(ClientError, match="The role with name orders cannot be found") as error:
        iam.get_role(RoleName="orders")
    assert code_of(error) == "NoSuchEntity"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_names_are_unique_whatever_their_case(iam: Any) -> None:
    make_role(iam, "Orders")
    with pytest.raises(ClientError, match="Role with name orders already exists") as error:
        make_role(iam, "orders")
    assert code_of(error) == "EntityAlreadyExists"


def test_a_role_is_the_same_in_every_region_and_another_in_every_account(iam: Any, platform: PlatformThread) -> None:
    make_role(iam)
    assert platform.client("iam", region="eu-west-1").get_role(RoleName="orders")["Role"]["RoleName"] == "orders"
    with pytest.raises(ClientError):
        platform.client("iam", account="111122223333").get_role(RoleName="orders")


def test_roles_are_listed_in_pages_by_path(iam: Any) -> None:
    for name, path in (("c", "/x/"), ("a", "/x/"), ("B", "/x/y/"), ("d", "/")):
        make_role(iam, name, Path=path)

    def names(**request: Any) -> list[str]:
        pages = iam.get_paginator("list_roles").paginate(**request, PaginationConfig={"PageSize": 1})
        return [role["RoleName"] for page in pages for role in page["Roles"]]

    assert names() == ["a", "B", "c", "d"]
    assert names(PathPrefix="/x/") == ["a", "B", "c"]
    assert iam.list_roles()["IsTruncated"] is False


def test_roles_survive_a_restart(own_platform: PlatformThread) -> None:
    make_role(own_platform.client("iam"))
    own_platform.restart()
    assert own_platform.client("iam").get_role(RoleName="orders")["Role"]["AssumeRolePolicyDocument"] == TRUST


@pytest.mark.parametrize(
    ("trust", "reason"),
    [
        ("{", "This policy contains invalid Json"),
        ({"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}, "Missing required field Principal"),
        ({"Statement": [TRUST["Statement"][0] | {"Resource": "*"}]}, "Has prohibited field Resource"),  # type: ignore[operator, index]
        ({"Statement": [TRUST["Statement"][0] | {"Effect": "Perhaps"}]}, "Invalid effect"),  # type: ignore[operator, index]
        ({"Statement": [TRUST["Statement"][0] | {"Action": "AssumeRole"}]}, "prefaced by a vendor"),  # type: ignore[operator, index]
        ({"Version": "2020-01-01", "Statement": TRUST["Statement"]}, "must be version 2012-10-17"),
        ({"Version": "2012-10-17"}, "Statement is missing"),
        ({"Statement": [TRUST["Statement"][0] | {"Principal": {"Robot": "x"}}]}, "Invalid principal"),  # type: ignore[operator, index]
    ],
)
def test_a_wrong_trust_policy_is_refused(iam: Any, trust: Any, reason: str) -> None:
    document = trust if isinstance(trust, str) else json.dumps(trust)
    with pytest.raises(ClientError, match=reason) as error:
        iam.create_role(RoleName="orders", AssumeRolePolicyDocument=document)
    assert code_of(error) == "MalformedPolicyDocument"


def test_a_role_in_use_is_not_deleted(iam: Any) -> None:
    make_role(iam)
    iam.put_role_policy(RoleName="orders", PolicyName="inline", PolicyDocument=json.dumps(READ))
    iam.attach_role_policy(RoleName="orders", PolicyArn=BASIC)
    iam.create_instance_profile(InstanceProfileName="machine")
    iam.add_role_to_instance_profile(InstanceProfileName="machine", RoleName="orders")
    for reason, undo in (
        ("detach all policies", lambda: iam.detach_role_policy(RoleName="orders", PolicyArn=BASIC)),
        ("delete policies", lambda: iam.delete_role_policy(RoleName="orders", PolicyName="inline")),
        (
            "remove roles from instance profile",
            lambda: iam.remove_role_from_instance_profile(InstanceProfileName="machine", RoleName="orders"),
        ),
    ):
        with pytest.raises(ClientError, match=reason) as error:
            iam.delete_role(RoleName="orders")
        assert code_of(error) == "DeleteConflict"
        undo()
    iam.delete_role(RoleName="orders")


def test_inline_policies_are_kept(iam: Any) -> None:
    make_role(iam)
    iam.put_role_policy(RoleName="orders", PolicyName="b", PolicyDocument=json.dumps(READ))
    iam.put_role_policy(RoleName="orders", PolicyName="a", PolicyDocument=json.dumps(READ))
    assert iam.list_role_policies(RoleName="orders")["PolicyNames"] == ["a", "b"]
    assert iam.get_role_policy(RoleName="orders", PolicyName="a")["PolicyDocument"] == READ
    iam.delete_role_policy(RoleName="orders", PolicyName="a")
    with pytest.raises(ClientError, match="The role policy with name a cannot be found"):
        iam.get_role_policy(RoleName="orders", PolicyName="a")
    with pytest.raises(ClientError, match="should not specify a principal"):
        iam.put_role_policy(RoleName="orders", PolicyName="a", PolicyDocument=json.dumps(TRUST))


def test_inline_policies_have_a_size(iam: Any) -> None:
    make_role(iam)
    large = READ | {"Id": "x" * 6000}
    iam.put_role_policy(RoleName="orders", PolicyName="a", PolicyDocument=json.dumps(large))
    iam.put_role_policy(RoleName="orders", PolicyName="a", PolicyDocument=json.dumps(large))
    with pytest.raises(ClientError, match="Maximum policy size of 10240 bytes exceeded for role orders") as error:
        iam.put_role_policy(RoleName="orders", PolicyName="b", PolicyDocument=json.dumps(large))
    assert code_of(error) == "LimitExceeded"


def test_boundaries_and_tags_are_kept(iam: Any) -> None:
    arn = make_policy(iam)
    make_role(iam, PermissionsBoundary=arn)
    assert iam.get_role(RoleName="orders")["Role"]["PermissionsBoundary"]["PermissionsBoundaryArn"] == arn
    assert iam.get_policy(PolicyArn=arn)["Policy"]["PermissionsBoundaryUsageCount"] == 1
    iam.delete_role_permissions_boundary(RoleName="orders")
    assert "PermissionsBoundary" not in iam.get_role(RoleName="orders")["Role"]
    iam.tag_role(RoleName="orders", Tags=[{"Key": "Team", "Value": "red"}, {"Key": "b", "Value": ""}])
    iam.tag_role(RoleName="orders", Tags=[{"Key": "team", "Value": "blue"}])
    iam.untag_role(RoleName="orders", TagKeys=["b"])
    assert iam.list_role_tags(RoleName="orders")["Tags"] == [{"Key": "team", "Value": "blue"}]
    with pytest.raises(ClientError, match="case insensitive"):
        iam.tag_role(RoleName="orders", Tags=[{"Key": "x", "Value": ""}, {"Key": "X", "Value": ""}])


# --- managed policies


def test_a_managed_policy_has_versions(iam: Any) -> None:
    arn = make_policy(iam, Path="/app/", Description="reads")
    assert arn == "arn:aws:iam::000000000000:policy/app/read"
    policy = iam.get_policy(PolicyArn=arn)["Policy"]
    assert (policy["DefaultVersionId"], policy["AttachmentCount"], policy["Description"]) == ("v1", 0, "reads")
    second = READ | {"Id": "second"}
    version = iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(second), SetAsDefault=True)
    assert version["PolicyVersion"]["VersionId"] == "v2"
    assert iam.get_policy_version(PolicyArn=arn, VersionId="v2")["PolicyVersion"]["Document"] == second
    listed = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    assert [(each["VersionId"], each["IsDefaultVersion"]) for each in listed] == [("v2", True), ("v1", False)]
    with pytest.raises(ClientError, match="default version") as error:
        iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    assert code_of(error) == "DeleteConflict"
    with pytest.raises(ClientError, match="more than one version"):
        iam.delete_policy(PolicyArn=arn)
    for _ in range(3):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(READ))
    with pytest.raises(ClientError, match="up to 5 versions") as error:
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(READ))
    assert code_of(error) == "LimitExceeded"
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v1"


def test_policies_are_attached_listed_and_detached(iam: Any) -> None:
    make_role(iam)
    arn = make_policy(iam)
    iam.attach_role_policy(RoleName="orders", PolicyArn=arn)
    iam.attach_role_policy(RoleName="orders", PolicyArn=arn)
    iam.attach_role_policy(RoleName="orders", PolicyArn=BASIC)
    attached = iam.list_attached_role_policies(RoleName="orders")["AttachedPolicies"]
    assert attached == [
        {"PolicyName": "AWSLambdaBasicExecutionRole", "PolicyArn": BASIC},
        {"PolicyName": "read", "PolicyArn": arn},
    ]
    inner = iam.list_attached_role_policies(RoleName="orders", PathPrefix="/service-role/")["AttachedPolicies"]
    assert [each["PolicyArn"] for each in inner] == [BASIC]
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    assert [role["RoleName"] for role in iam.list_entities_for_policy(PolicyArn=arn)["PolicyRoles"]] == ["orders"]
    with pytest.raises(ClientError, match="attached to entities"):
        iam.delete_policy(PolicyArn=arn)
    iam.detach_role_policy(RoleName="orders", PolicyArn=arn)
    with pytest.raises(ClientError, match="was not found") as error:
        iam.detach_role_policy(RoleName="orders", PolicyArn=arn)
    assert code_of(error) == "NoSuchEntity"
    iam.delete_policy(PolicyArn=arn)
    with pytest.raises(ClientError, match="does not exist or is not attachable"):
        iam.attach_role_policy(RoleName="orders", PolicyArn=arn)


def test_policies_are_listed_by_use_and_path(iam: Any) -> None:
    first, second = make_policy(iam, "first", Path="/a/"), make_policy(iam, "second")
    make_role(iam, PermissionsBoundary=first)
    iam.attach_role_policy(RoleName="orders", PolicyArn=second)

    def names(**request: Any) -> list[str]:
        return [policy["PolicyName"] for policy in iam.list_policies(**request)["Policies"]]

    assert names(Scope="Local") == ["first", "second"]
    assert names(PathPrefix="/a/") == ["first"]
    assert names(PolicyUsageFilter="PermissionsBoundary") == ["first"]
    assert names(OnlyAttached=True, PolicyUsageFilter="PermissionsPolicy") == ["second"]
    with pytest.raises(ClientError, match="Scope AWS of ListPolicies"):
        names(Scope="AWS")
    with pytest.raises(ClientError, match="AWS's managed policies are not here"):
        iam.get_policy(PolicyArn=BASIC)


# --- users and groups


def test_a_users_key_calls_as_the_user_until_it_is_inactive_or_deleted(own_platform: PlatformThread) -> None:
    iam = own_platform.client("iam", account="111122223333")
    user = iam.create_user(UserName="alice", Path="/staff/")["User"]
    key = iam.create_access_key(UserName="alice")["AccessKey"]

    def caller() -> tuple[str, str]:
        sts = boto3.client(
            "sts", endpoint_url=own_platform.url, region_name="us-east-1", aws_access_key_id=key["AccessKeyId"],
            aws_secret_access_key=key["SecretAccessKey"],
        )  # fmt: skip
        identity = sts.get_caller_identity()
        return identity["Arn"], identity["UserId"]

    assert caller() == ("arn:aws:iam::111122223333:user/staff/alice", user["UserId"])
    own_platform.restart()
    iam = own_platform.client("iam", account="111122223333")
    assert caller() == ("arn:aws:iam::111122223333:user/staff/alice", user["UserId"])
    iam.update_user(UserName="alice", NewUserName="alicia")
    assert caller()[0] == "arn:aws:iam::111122223333:user/staff/alicia"
    listed = iam.list_access_keys(UserName="alicia")["AccessKeyMetadata"]
    assert [(each["AccessKeyId"], each["Status"]) for each in listed] == [(key["AccessKeyId"], "Active")]
    iam.update_access_key(UserName="alicia", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    assert own_platform.platform.keys.find(key["AccessKeyId"]) is None
    own_platform.restart()
    iam = own_platform.client("iam", account="111122223333")
    with pytest.raises(ClientError, match="invalid"):
        caller()
    iam.update_access_key(UserName="alicia", AccessKeyId=key["AccessKeyId"], Status="Active")
    assert caller()[0].endswith("/alicia")
    with pytest.raises(ClientError, match="delete access keys first"):
        iam.delete_user(UserName="alicia")
    iam.delete_access_key(UserName="alicia", AccessKeyId=key["AccessKeyId"])
    assert own_platform.platform.keys.find(key["AccessKeyId"]) is None
    iam.delete_user(UserName="alicia")


def test_a_user_asks_about_itself(platform: PlatformThread, iam: Any) -> None:
    iam.create_user(UserName="alice")
    key = iam.create_access_key(UserName="alice")["AccessKey"]
    own = boto3.client(
        "iam", endpoint_url=platform.url, region_name="us-east-1", aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )  # fmt: skip
    assert own.get_user()["User"]["UserName"] == "alice"
    assert [each["UserName"] for each in own.list_access_keys()["AccessKeyMetadata"]] == ["alice"]
    own.create_access_key()
    with pytest.raises(ClientError, match="AccessKeysPerUser: 2"):
        own.create_access_key()
    assert iam.get_user()["User"]["Arn"] == "arn:aws:iam::000000000000:root"


def test_users_belong_to_groups(iam: Any) -> None:
    iam.create_group(GroupName="staff")
    for name in ("bob", "alice"):
        iam.create_user(UserName=name, Tags=[{"Key": "a", "Value": "b"}])
        iam.add_user_to_group(GroupName="staff", UserName=name)
    assert [user["UserName"] for user in iam.get_group(GroupName="staff")["Users"]] == ["alice", "bob"]
    assert [group["GroupName"] for group in iam.list_groups_for_user(UserName="bob")["Groups"]] == ["staff"]
    iam.update_group(GroupName="staff", NewGroupName="people")
    iam.attach_group_policy(GroupName="people", PolicyArn=BASIC)
    iam.put_group_policy(GroupName="people", PolicyName="read", PolicyDocument=json.dumps(READ))
    for reason in ("detach all policies", "delete policies", "remove users from group"):
        with pytest.raises(ClientError, match=reason):
            iam.delete_group(GroupName="people")
        if reason.startswith("detach"):
            iam.detach_group_policy(GroupName="people", PolicyArn=BASIC)
        elif reason.startswith("delete"):
            iam.delete_group_policy(GroupName="people", PolicyName="read")
    with pytest.raises(ClientError, match="remove users from group"):
        iam.delete_user(UserName="bob")
    for name in ("bob", "alice"):
        iam.remove_user_from_group(GroupName="people", UserName=name)
        iam.delete_user(UserName=name)
    iam.delete_group(GroupName="people")
    assert iam.list_groups()["Groups"] == []


def test_an_instance_profile_holds_one_role(iam: Any) -> None:
    make_role(iam)
    make_role(iam, "second")
    profile = iam.create_instance_profile(InstanceProfileName="machine", Path="/m/")["InstanceProfile"]
    assert profile["Arn"] == "arn:aws:iam::000000000000:instance-profile/m/machine"
    iam.add_role_to_instance_profile(InstanceProfileName="machine", RoleName="orders")
    with pytest.raises(ClientError) as error:
        iam.add_role_to_instance_profile(InstanceProfileName="machine", RoleName="second")
    assert code_of(error) == "LimitExceeded"
    (found,) = iam.list_instance_profiles_for_role(RoleName="orders")["InstanceProfiles"]
    assert [role["RoleName"] for role in found["Roles"]] == ["orders"]
    with pytest.raises(ClientError, match="remove roles from instance profile"):
        iam.delete_instance_profile(InstanceProfileName="machine")


def test_what_is_not_here_is_refused_by_name(iam: Any) -> None:
    with pytest.raises(ClientError, match="ChangePassword of iam is not supported"):
        iam.change_password(OldPassword="one", NewPassword="two")
    with pytest.raises(ClientError, match="Service-linked roles"):
        make_role(iam, Path="/aws-service-role/x/")
