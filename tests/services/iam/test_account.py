"""The account as a whole: alias, password policy, login profiles, summary, reports; identity providers."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from penstock.testing.platform import PlatformThread
from tests.coverage.recorder import Recorder
from tests.services.iam.test_every_member import paged
from tests.services.iam.test_iam import READ, TRUST, code_of, make_policy, make_role

METADATA = f'<EntityDescriptor entityID="https://idp.example.com">{"x" * 1000}</EntityDescriptor>'
SAML = "arn:aws:iam::000000000000:saml-provider/idp"
OIDC = "arn:aws:iam::000000000000:oidc-provider/login.example.com/tenant"
GOOD = "Correct-Horse-7"


@pytest.fixture
def iam(platform: PlatformThread) -> Any:
    return platform.client("iam")


def refused(code: str, call: Any, **request: Any) -> str:
    """The message of a call that is refused with this code."""
    with pytest.raises(ClientError) as error:
        call(**request)
    assert code_of(error) == code
    return str(error.value.response["Error"]["Message"])


# --- alias, summary


def test_an_alias_belongs_to_one_account_and_another_replaces_it(platform: PlatformThread, iam: Any) -> None:
    other = platform.client("iam", account="111111111111")
    assert iam.list_account_aliases()["AccountAliases"] == []
    iam.create_account_alias(AccountAlias="orders")
    refused("EntityAlreadyExists", other.create_account_alias, AccountAlias="orders")
    iam.create_account_alias(AccountAlias="shop")
    assert iam.list_account_aliases(MaxItems=1) | {"ResponseMetadata": 0} == {
        "AccountAliases": ["shop"], "IsTruncated": False, "ResponseMetadata": 0
    }  # fmt: skip
    refused("NoSuchEntity", iam.delete_account_alias, AccountAlias="orders")
    iam.delete_account_alias(AccountAlias="shop")
    assert iam.list_account_aliases()["AccountAliases"] == []
    other.create_account_alias(AccountAlias="shop")


def test_the_summary_counts_what_the_account_has(iam: Any) -> None:
    empty = iam.get_account_summary()["SummaryMap"]
    assert {name: empty[name] for name in ("Users", "UsersQuota", "PolicySizeQuota", "MFADevices")} == {
        "Users": 0, "UsersQuota": 5000, "PolicySizeQuota": 6144, "MFADevices": 0
    }  # fmt: skip
    make_role(iam)
    arn = make_policy(iam)
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(READ))
    iam.create_user(UserName="ann")
    iam.create_group(GroupName="g")
    iam.create_instance_profile(InstanceProfileName="p")
    iam.create_saml_provider(Name="idp", SAMLMetadataDocument=METADATA)
    iam.create_access_key()
    found = iam.get_account_summary()["SummaryMap"]
    assert {name: count for name, count in found.items() if count != empty[name]} == {
        "Users": 1, "Groups": 1, "Roles": 1, "Policies": 1, "PolicyVersionsInUse": 2, "InstanceProfiles": 1,
        "Providers": 1, "AccountAccessKeysPresent": 1,
    }  # fmt: skip


# --- passwords


def test_a_password_policy_is_whole_each_time(iam: Any) -> None:
    refused("NoSuchEntity", iam.get_account_password_policy)
    iam.update_account_password_policy(
        MinimumPasswordLength=12, RequireSymbols=True, RequireNumbers=True, RequireUppercaseCharacters=True,
        RequireLowercaseCharacters=True, AllowUsersToChangePassword=True, MaxPasswordAge=90,
        PasswordReusePrevention=3, HardExpiry=True,
    )  # fmt: skip
    assert iam.get_account_password_policy()["PasswordPolicy"] == {
        "MinimumPasswordLength": 12, "RequireSymbols": True, "RequireNumbers": True,
        "RequireUppercaseCharacters": True, "RequireLowercaseCharacters": True, "AllowUsersToChangePassword": True,
        "ExpirePasswords": True, "MaxPasswordAge": 90, "PasswordReusePrevention": 3, "HardExpiry": True,
    }  # fmt: skip
    iam.update_account_password_policy(RequireNumbers=True)
    assert iam.get_account_password_policy()["PasswordPolicy"] == {
        "MinimumPasswordLength": 6, "RequireSymbols": False, "RequireNumbers": True,
        "RequireUppercaseCharacters": False, "RequireLowercaseCharacters": False,
        "AllowUsersToChangePassword": False, "ExpirePasswords": False, "HardExpiry": False,
    }  # fmt: skip
    iam.delete_account_password_policy()
    refused("NoSuchEntity", iam.delete_account_password_policy)


@pytest.mark.parametrize(
    ("policy", "password", "words"),
    [
        (None, "Short-7", "minimum length of 8"),
        (None, "onlylower7", "3 kinds"),
        ({"MinimumPasswordLength": 20}, GOOD, "minimum length of 20"),
        ({"RequireUppercaseCharacters": True}, "correct", "at least one uppercase letter"),
        ({"RequireLowercaseCharacters": True}, "CORRECT", "at least one lowercase letter"),
        ({"RequireNumbers": True}, "correct", "at least one number"),
        ({"RequireSymbols": True}, "correct", "at least one symbol"),
    ],
)
def test_passwords_are_as_the_policy_says(iam: Any, policy: Any, password: str, words: str) -> None:
    iam.create_user(UserName="ann")
    if policy is not None:
        iam.update_account_password_policy(**policy)
    assert words in refused("PasswordPolicyViolation", iam.create_login_profile, UserName="ann", Password=password)
    iam.create_login_profile(UserName="ann", Password=GOOD * 2)
    assert words in refused("PasswordPolicyViolation", iam.update_login_profile, UserName="ann", Password=password)


def test_a_login_profile_is_made_read_changed_and_deleted(iam: Any) -> None:
    iam.create_user(UserName="ann")
    refused("NoSuchEntity", iam.create_login_profile, UserName="bob", Password=GOOD)
    refused("NoSuchEntity", iam.get_login_profile, UserName="ann")
    refused("NoSuchEntity", iam.delete_login_profile, UserName="ann")
    refused("NoSuchEntity", iam.update_login_profile, UserName="ann", Password=GOOD)
    made = iam.create_login_profile(UserName="ann", Password=GOOD, PasswordResetRequired=True)["LoginProfile"]
    assert (made["UserName"], made["PasswordResetRequired"]) == ("ann", True)
    refused("EntityAlreadyExists", iam.create_login_profile, UserName="ann", Password=GOOD)
    iam.update_login_profile(UserName="ann", Password=GOOD + "x", PasswordResetRequired=False)
    assert iam.get_login_profile(UserName="ann")["LoginProfile"] == made | {"PasswordResetRequired": False}
    assert "login profile" in refused("DeleteConflict", iam.delete_user, UserName="ann")
    iam.delete_login_profile(UserName="ann")
    iam.delete_user(UserName="ann")


def test_a_user_may_ask_for_the_own_login_profile(platform: PlatformThread, iam: Any) -> None:
    iam.create_user(UserName="ann")
    iam.create_login_profile(UserName="ann", Password=GOOD)
    key = iam.create_access_key(UserName="ann")["AccessKey"]
    own = platform.client("iam", account=key["AccessKeyId"])
    assert own.get_login_profile()["LoginProfile"]["UserName"] == "ann"
    own.delete_login_profile()
    assert "Give a Password" in refused("ValidationError", own.create_login_profile)
    assert "userName" in refused("ValidationError", iam.get_login_profile)


# --- reports


def test_the_credential_report_has_a_line_for_everybody(iam: Any) -> None:
    refused("ReportNotPresent", iam.get_credential_report)
    iam.create_user(UserName="ann", Path="/team/")
    iam.create_user(UserName="bob")
    iam.update_account_password_policy(MaxPasswordAge=90)
    iam.create_login_profile(UserName="ann", Password=GOOD)
    key = iam.create_access_key(UserName="ann")["AccessKey"]["AccessKeyId"]
    iam.update_access_key(UserName="ann", AccessKeyId=key, Status="Inactive")
    assert iam.generate_credential_report()["State"] == "STARTED"
    assert iam.generate_credential_report()["State"] == "COMPLETE"
    answer = iam.get_credential_report()
    assert answer["ReportFormat"] == "text/csv"
    root, ann, bob = csv.DictReader(io.StringIO(answer["Content"].decode()))
    assert (root["user"], root["arn"]) == ("<root_account>", "arn:aws:iam::000000000000:root")
    assert (ann["arn"], ann["password_enabled"]) == ("arn:aws:iam::000000000000:user/team/ann", "true")
    assert ann["password_next_rotation"] > ann["password_last_changed"] > "2020"
    assert (ann["access_key_1_active"], ann["access_key_2_active"]) == ("false", "false")
    assert ann["access_key_1_last_rotated"] != "N/A" == ann["access_key_2_last_rotated"]
    assert (bob["password_enabled"], bob["password_last_changed"], bob["cert_2_active"]) == ("false", "N/A", "false")


def test_the_credential_report_is_made_anew_after_four_hours(platform: PlatformThread, iam: Any) -> None:
    platform.freeze()
    iam.generate_credential_report()
    platform.advance(4 * 3600)
    assert iam.generate_credential_report()["State"] == "COMPLETE"
    platform.advance(1)
    assert iam.generate_credential_report()["State"] == "STARTED"


def test_authorization_details_tell_everything_a_page_at_a_time(iam: Any, recorder: Recorder) -> None:
    arn = make_policy(iam)
    make_role(iam, "r", Tags=[{"Key": "team", "Value": "red"}], PermissionsBoundary=arn)
    iam.create_instance_profile(InstanceProfileName="p")
    iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="r")
    iam.create_user(UserName="u")
    iam.create_group(GroupName="g")
    iam.add_user_to_group(GroupName="g", UserName="u")
    for kind in ("role", "user", "group"):
        who = {f"{kind.title()}Name": kind[0]}
        getattr(iam, f"put_{kind}_policy")(**who, PolicyName="inline", PolicyDocument=json.dumps(READ))
        getattr(iam, f"attach_{kind}_policy")(**who, PolicyArn=arn)
    whole = iam.get_account_authorization_details()
    (user,), (group,), (role,) = whole["UserDetailList"], whole["GroupDetailList"], whole["RoleDetailList"]
    (policy,) = whole["Policies"]
    attached = [{"PolicyName": "read", "PolicyArn": arn}]
    for detail, kind in ((user, "User"), (group, "Group"), (role, "Role")):
        assert detail["AttachedManagedPolicies"] == attached
        assert detail[f"{kind}PolicyList"] == [{"PolicyName": "inline", "PolicyDocument": READ}]
    assert (user["GroupList"], role["AssumeRolePolicyDocument"]) == (["g"], TRUST)
    assert role["PermissionsBoundary"]["PermissionsBoundaryArn"] == arn
    assert [profile["InstanceProfileName"] for profile in role["InstanceProfileList"]] == ["p"]
    assert (policy["AttachmentCount"], policy["PolicyVersionList"][0]["Document"]) == (3, READ)
    for member, count in (("UserDetailList", 1), ("GroupDetailList", 1), ("RoleDetailList", 1), ("Policies", 1)):
        found, marker = [], {}
        while True:
            page = iam.get_account_authorization_details(MaxItems=1, **marker)
            found += page[member]
            if not page["IsTruncated"]:
                break
            marker = {"Marker": page["Marker"]}
        assert (found, len(found)) == (whole[member], count)
    only = iam.get_account_authorization_details(Filter=["Role"])
    assert (only["RoleDetailList"], only["UserDetailList"], only["Policies"]) == ([role], [], [])
    message = refused("NotImplemented", iam.get_account_authorization_details, Filter=["AWSManagedPolicy"])
    assert "Filter AWSManagedPolicy of GetAccountAuthorizationDetails" in message


# --- identity providers


def test_a_saml_provider_is_made_read_changed_tagged_and_deleted(iam: Any) -> None:
    made = iam.create_saml_provider(Name="idp", SAMLMetadataDocument=METADATA, Tags=[{"Key": "a", "Value": "1"}])
    assert made["SAMLProviderArn"] == SAML
    refused("EntityAlreadyExists", iam.create_saml_provider, Name="idp", SAMLMetadataDocument=METADATA)
    refused("InvalidInput", iam.create_saml_provider, Name="other", SAMLMetadataDocument="x" * 1000)
    refused("InvalidInput", iam.update_saml_provider, SAMLProviderArn=SAML, SAMLMetadataDocument="x" * 1000)
    iam.update_saml_provider(SAMLProviderArn=SAML, SAMLMetadataDocument=METADATA + " ")
    iam.tag_saml_provider(SAMLProviderArn=SAML, Tags=[{"Key": "b", "Value": "2"}])
    found = iam.get_saml_provider(SAMLProviderArn=SAML)
    assert found["SAMLMetadataDocument"] == METADATA + " " and found["ValidUntil"] > found["CreateDate"]
    assert found["Tags"] == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    assert len(paged(iam.list_saml_provider_tags, "Tags", SAMLProviderArn=SAML)) == 2
    iam.untag_saml_provider(SAMLProviderArn=SAML, TagKeys=["a", "b"])
    assert iam.list_saml_provider_tags(SAMLProviderArn=SAML)["Tags"] == []
    assert [each["Arn"] for each in iam.list_saml_providers()["SAMLProviderList"]] == [SAML]
    iam.delete_saml_provider(SAMLProviderArn=SAML)
    refused("NoSuchEntity", iam.delete_saml_provider, SAMLProviderArn=SAML)


def test_an_open_id_connect_provider_is_made_read_changed_tagged_and_deleted(iam: Any) -> None:
    made = iam.create_open_id_connect_provider(
        Url="https://login.example.com/tenant", ClientIDList=["one"], ThumbprintList=["a" * 40],
        Tags=[{"Key": "a", "Value": "1"}],
    )  # fmt: skip
    assert made["OpenIDConnectProviderArn"] == OIDC
    refused("EntityAlreadyExists", iam.create_open_id_connect_provider, Url="https://login.example.com/tenant/")
    for client in ("two", "two"):
        iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=OIDC, ClientID=client)
    for client in ("one", "none"):
        iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=OIDC, ClientID=client)
    iam.update_open_id_connect_provider_thumbprint(OpenIDConnectProviderArn=OIDC, ThumbprintList=["b" * 40])
    iam.tag_open_id_connect_provider(OpenIDConnectProviderArn=OIDC, Tags=[{"Key": "b", "Value": "2"}])
    found = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=OIDC)
    assert (found["Url"], found["ClientIDList"]) == ("login.example.com/tenant", ["two"])
    assert (found["ThumbprintList"], len(found["Tags"])) == (["b" * 40], 2)
    assert len(paged(iam.list_open_id_connect_provider_tags, "Tags", OpenIDConnectProviderArn=OIDC)) == 2
    iam.untag_open_id_connect_provider(OpenIDConnectProviderArn=OIDC, TagKeys=["a"])
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == [{"Arn": OIDC}]
    for _ in range(2):
        iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=OIDC)
    refused("NoSuchEntity", iam.get_open_id_connect_provider, OpenIDConnectProviderArn=OIDC)


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({"Url": "http://example.com"}, "ValidationError", "Invalid Open ID Connect Provider URL"),
        ({"Url": "example.com"}, "ValidationError", "Invalid Open ID Connect Provider URL"),
        ({"ThumbprintList": ["a" * 40] * 6}, "InvalidInput", "Thumbprint list must contain fewer than 5 entries."),
        (
            {"ClientIDList": [str(number) for number in range(101)]},
            "LimitExceeded",
            "ClientIdsPerOpenIdConnectProvider",
        ),
    ],
)
def test_open_id_connect_providers_that_cannot_be_are_refused(iam: Any, given: Any, code: str, words: str) -> None:
    assert words in refused(code, iam.create_open_id_connect_provider, **{"Url": "https://example.com"} | given)


# --- service-linked roles


def test_a_service_linked_role_is_made_once_and_changed_only_by_its_service(iam: Any) -> None:
    made = iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com", Description="x")["Role"]
    role = "AWSServiceRoleForAutoScaling"
    assert made["Arn"] == f"arn:aws:iam::000000000000:role/aws-service-role/autoscaling.amazonaws.com/{role}"
    (statement,) = iam.get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "autoscaling.amazonaws.com"}
    message = refused("InvalidInput", iam.create_service_linked_role, AWSServiceName="autoscaling.amazonaws.com")
    assert f"{role} has been taken" in message
    again = iam.create_service_linked_role(AWSServiceName="autoscaling.amazonaws.com", CustomSuffix="two")["Role"]
    assert again["RoleName"] == f"{role}_two"
    document = json.dumps(READ)
    arn = make_policy(iam)
    for call, request in (
        (iam.delete_role, {}), (iam.update_assume_role_policy, {"PolicyDocument": json.dumps(TRUST)}),
        (iam.put_role_policy, {"PolicyName": "p", "PolicyDocument": document}),
        (iam.delete_role_policy, {"PolicyName": "p"}), (iam.attach_role_policy, {"PolicyArn": arn}),
        (iam.detach_role_policy, {"PolicyArn": arn}),
        (iam.put_role_permissions_boundary, {"PermissionsBoundary": arn}), (iam.delete_role_permissions_boundary, {}),
    ):  # fmt: skip
        assert "only modifiable by AWS" in refused("UnmodifiableEntity", call, RoleName=role, **request)


def test_a_service_linked_role_is_deleted_as_a_task(iam: Any) -> None:
    role = iam.create_service_linked_role(AWSServiceName="ecs.application-autoscaling.amazonaws.com")["Role"]
    assert role["RoleName"] == "AWSServiceRoleForApplicationAutoScaling_ECSService"
    task = iam.delete_service_linked_role(RoleName=role["RoleName"])["DeletionTaskId"]
    assert task.startswith(f"task{role['Path']}{role['RoleName']}/")
    assert iam.get_service_linked_role_deletion_status(DeletionTaskId=task)["Status"] == "SUCCEEDED"
    refused("NoSuchEntity", iam.get_role, RoleName=role["RoleName"])
    refused("NoSuchEntity", iam.get_service_linked_role_deletion_status, DeletionTaskId=task[:-1])
    refused("NoSuchEntity", iam.delete_service_linked_role, RoleName=make_role(iam)["RoleName"])


def test_a_service_without_a_role_of_its_own_is_refused(iam: Any) -> None:
    message = refused("InvalidInput", iam.create_service_linked_role, AWSServiceName="sqs.amazonaws.com")
    assert "Cannot find Service Linked Role template for sqs.amazonaws.com" in message


# --- what nobody has


def test_what_cannot_be_made_here_is_listed_as_nothing(iam: Any, recorder: Recorder) -> None:
    iam.create_user(UserName="ann")
    nothing = {
        "ListMFADevices": (iam.list_mfa_devices, "MFADevices"),
        "ListSigningCertificates": (iam.list_signing_certificates, "Certificates"),
        "ListSSHPublicKeys": (iam.list_ssh_public_keys, "SSHPublicKeys"),
        "ListServiceSpecificCredentials": (iam.list_service_specific_credentials, "ServiceSpecificCredentials"),
    }
    for call, member in nothing.values():
        assert call(UserName="ann", MaxItems=5)[member] == []
        refused("NoSuchEntity", call, UserName="bob")
    everybody = iam.list_service_specific_credentials(ServiceName="codecommit.amazonaws.com", AllUsers=True)
    assert everybody["ServiceSpecificCredentials"] == []
    assert iam.list_virtual_mfa_devices(AssignmentStatus="Any", MaxItems=5)["VirtualMFADevices"] == []
    assert iam.list_server_certificates(PathPrefix="/", MaxItems=5)["ServerCertificateMetadataList"] == []
    everything = nothing | {
        "ListVirtualMFADevices": (iam.list_virtual_mfa_devices, ""),
        "ListServerCertificates": (iam.list_server_certificates, ""),
        "ListAccountAliases": (iam.list_account_aliases, ""),
    }
    for operation, (call, _) in everything.items():
        assert "Marker" in refused("ValidationError", call, Marker="any")
        recorder.refusal("iam", operation, "Marker")


def test_a_reset_forgets_what_the_account_has(platform: PlatformThread, iam: Any) -> None:
    iam.create_account_alias(AccountAlias="orders")
    iam.create_saml_provider(Name="idp", SAMLMetadataDocument=METADATA)
    platform.reset()
    assert iam.list_account_aliases()["AccountAliases"] == []
    assert iam.list_saml_providers()["SAMLProviderList"] == []
