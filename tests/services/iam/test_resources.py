"""IAM's CloudFormation types, applied one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from penstock.base.errors import ApiError
from penstock.testing.platform import PlatformThread
from tests.services.applied import Applied

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
READ = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
WRITE = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}]}
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


@pytest.fixture
def applied(platform: PlatformThread) -> Applied:
    return Applied(platform, "iam")


def test_a_role_is_applied_changed_and_removed_with_its_policies(applied: Applied) -> None:
    role, declared = applied.create(
        "AWS::IAM::Role",
        "orders-role",
        AssumeRolePolicyDocument=TRUST,
        ManagedPolicyArns=[BASIC],
        Policies=[{"PolicyName": "read", "PolicyDocument": READ}],
        MaxSessionDuration="7200",
    )
    assert (role.id, role.attributes["Arn"]) == ("orders-role", "arn:aws:iam::000000000000:role/orders-role")
    found = applied.client.get_role(RoleName="orders-role")["Role"]
    assert (found["MaxSessionDuration"], found["Tags"]) == (7200, [{"Key": "stack", "Value": "orders"}])
    applied.update(
        declared, role, AssumeRolePolicyDocument=TRUST, Policies=[{"PolicyName": "write", "PolicyDocument": WRITE}]
    )
    assert applied.client.list_role_policies(RoleName="orders-role")["PolicyNames"] == ["write"]
    assert applied.client.list_attached_role_policies(RoleName="orders-role")["AttachedPolicies"] == []
    applied.delete("AWS::IAM::Role", role)
    applied.delete("AWS::IAM::Role", role)
    assert applied.client.list_roles()["Roles"] == []


def test_a_role_whose_policies_are_wrong_is_not_made_at_all(applied: Applied) -> None:
    with pytest.raises(ApiError, match="must contain actions"):
        applied.create(
            "AWS::IAM::Role", "orders-role", AssumeRolePolicyDocument=TRUST,
            Policies=[{"PolicyName": "p", "PolicyDocument": {"Statement": [{"Effect": "Allow", "Resource": "*"}]}}],
        )  # fmt: skip
    assert applied.client.list_roles()["Roles"] == []


def test_an_inline_policy_moves_from_role_to_role(applied: Applied) -> None:
    for name in ("one", "two"):
        applied.create("AWS::IAM::Role", name, AssumeRolePolicyDocument=TRUST)
    policy, declared = applied.create("AWS::IAM::Policy", "p-1", PolicyName="read", PolicyDocument=READ, Roles=["one"])
    assert applied.client.list_role_policies(RoleName="one")["PolicyNames"] == ["read"]
    policy = applied.update(declared, policy, PolicyName="read", PolicyDocument=WRITE, Roles=["two"])
    assert applied.client.list_role_policies(RoleName="one")["PolicyNames"] == []
    assert applied.client.get_role_policy(RoleName="two", PolicyName="read")["PolicyDocument"] == WRITE
    applied.delete("AWS::IAM::Policy", policy)
    assert applied.client.list_role_policies(RoleName="two")["PolicyNames"] == []


def test_a_managed_policy_gains_versions_and_goes_with_its_attachments(applied: Applied) -> None:
    applied.create("AWS::IAM::Role", "one", AssumeRolePolicyDocument=TRUST)
    policy, declared = applied.create("AWS::IAM::ManagedPolicy", "read", PolicyDocument=READ, Roles=["one"])
    assert policy.id == "arn:aws:iam::000000000000:policy/read"
    documents = [WRITE, READ, WRITE, READ, WRITE, READ]
    for document in documents:
        policy = applied.update(declared, policy, PolicyDocument=document, Roles=["one"])
        declared = replace(declared, properties={"PolicyDocument": document, "Roles": ["one"]})
    assert applied.client.get_policy(PolicyArn=policy.id)["Policy"]["DefaultVersionId"] == "v7"
    applied.delete("AWS::IAM::ManagedPolicy", policy)
    assert applied.client.list_attached_role_policies(RoleName="one")["AttachedPolicies"] == []


def test_a_users_login_profile_comes_changes_and_goes(applied: Applied) -> None:
    def required() -> bool:
        return bool(applied.client.get_login_profile(UserName="alice")["LoginProfile"]["PasswordResetRequired"])

    password = {"Password": "Correct-Horse-7"}
    user, declared = applied.create(
        "AWS::IAM::User", "alice", LoginProfile=password | {"PasswordResetRequired": "true"}
    )  # fmt: skip
    assert required() is True
    applied.update(declared, user, LoginProfile=password)
    assert required() is False
    applied.update(declared, user)
    with pytest.raises(applied.client.exceptions.NoSuchEntityException):
        required()
    applied.client.create_login_profile(UserName="alice", **password)
    applied.delete("AWS::IAM::User", user)


def test_users_groups_profiles_and_role_policies_are_applied(applied: Applied) -> None:
    applied.create("AWS::IAM::Role", "one", AssumeRolePolicyDocument=TRUST)
    group, _ = applied.create("AWS::IAM::Group", "staff", ManagedPolicyArns=[BASIC])
    user, declared = applied.create("AWS::IAM::User", "alice", Groups=["staff"])
    profile, _ = applied.create("AWS::IAM::InstanceProfile", "machine", Roles=["one"])
    inline, _ = applied.create("AWS::IAM::RolePolicy", "x", RoleName="one", PolicyName="read", PolicyDocument=READ)
    user = applied.update(declared, user, Path="/staff/")
    assert user.attributes["Arn"] == "arn:aws:iam::000000000000:user/staff/alice"
    for type_, physical in (
        ("RolePolicy", inline), ("InstanceProfile", profile), ("User", user), ("Group", group)
    ):  # fmt: skip
        applied.delete(f"AWS::IAM::{type_}", physical)
    assert applied.client.list_users()["Users"] == []
    assert applied.client.list_groups()["Groups"] == []
    assert applied.client.list_instance_profiles()["InstanceProfiles"] == []
    assert applied.client.list_role_policies(RoleName="one")["PolicyNames"] == []
