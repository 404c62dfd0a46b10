"""STS over HTTP, with boto3."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from penstock.testing.platform import PlatformThread

ROLE = "arn:aws:iam::000000000000:role/service/orders"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }
)


def client_with(platform: PlatformThread, credentials: dict[str, Any], service: str = "sts") -> Any:
    return boto3.client(
        service,
        endpoint_url=platform.url,
        region_name="us-east-1",
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials.get("SessionToken"),
    )


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def token(**claims: Any) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'RS256'})}.{part(claims)}.c2lnbmF0dXJl"


def test_a_plain_key_calls_as_the_owner_of_its_account(platform: PlatformThread) -> None:
    identity = platform.client("sts", account="111122223333").get_caller_identity()
    assert identity["Account"] == "111122223333"
    assert identity["Arn"] == "arn:aws:iam::111122223333:root"
    assert identity["UserId"] == "111122223333"


def test_the_key_of_an_assumed_role_calls_as_its_session_in_the_roles_account(platform: PlatformThread) -> None:
    role = "arn:aws:iam::444455556666:role/cross/Reader"
    answer = platform.client("sts").assume_role(RoleArn=role, RoleSessionName="me", ExternalId="partner-7")
    identity = client_with(platform, answer["Credentials"]).get_caller_identity()
    assert identity["Account"] == "444455556666"
    assert identity["Arn"] == "arn:aws:sts::444455556666:assumed-role/Reader/me"
    assert identity["Arn"] == answer["AssumedRoleUser"]["Arn"]
    assert identity["UserId"] == answer["AssumedRoleUser"]["AssumedRoleId"]


def test_a_session_has_the_unique_id_of_a_role_that_exists(platform: PlatformThread) -> None:
    iam, sts = platform.client("iam"), platform.client("sts")
    made = iam.create_role(RoleName="orders", Path="/service/", AssumeRolePolicyDocument=TRUST)["Role"]
    answer = sts.assume_role(RoleArn=made["Arn"], RoleSessionName="me")
    assert answer["AssumedRoleUser"]["AssumedRoleId"] == f"{made['RoleId']}:me"


def test_a_session_may_last_as_long_as_its_role_allows(platform: PlatformThread) -> None:
    iam, sts = platform.client("iam"), platform.client("sts")
    iam.create_role(RoleName="orders", Path="/service/", AssumeRolePolicyDocument=TRUST, MaxSessionDuration=7200)
    answer = sts.assume_role(RoleArn=ROLE, RoleSessionName="me", DurationSeconds=7200)
    left = answer["Credentials"]["Expiration"].timestamp() - platform.platform.machine.now_ms() / 1000
    assert 7100 < left <= 7200
    with pytest.raises(ClientError, match="MaxSessionDuration") as error:
        sts.assume_role(RoleArn=ROLE, RoleSessionName="me", DurationSeconds=7201)
    assert code_of(error) == "ValidationError"


def test_a_chained_session_lasts_an_hour_at_most_and_keeps_its_source_identity(platform: PlatformThread) -> None:
    first = platform.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="one", SourceIdentity="alice")
    chained = client_with(platform, first["Credentials"])
    with pytest.raises(ClientError, match="role chaining"):
        chained.assume_role(RoleArn=ROLE, RoleSessionName="two", DurationSeconds=3601)
    with pytest.raises(ClientError, match="source identity alice") as error:
        chained.assume_role(RoleArn=ROLE, RoleSessionName="two", SourceIdentity="bob")
    assert code_of(error) == "AccessDenied"
    assert chained.assume_role(RoleArn=ROLE, RoleSessionName="two")["SourceIdentity"] == "alice"


def test_keys_still_work_after_a_restart(own_platform: PlatformThread) -> None:
    answer = own_platform.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="me")
    own_platform.restart()
    identity = client_with(own_platform, answer["Credentials"]).get_caller_identity()
    assert identity["Arn"] == "arn:aws:sts::000000000000:assumed-role/orders/me"


def test_an_expired_key_is_refused_as_expired_also_after_a_restart(own_platform: PlatformThread) -> None:
    answer = own_platform.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="me")
    store = own_platform.platform.store
    own_platform.run(store.transact(lambda tx: tx.write("UPDATE sts_session SET expires = 1")))
    own_platform.restart()
    with pytest.raises(ClientError) as error:
        client_with(own_platform, answer["Credentials"]).get_caller_identity()
    assert code_of(error) == "ExpiredTokenException"
    own_platform.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="me")
    assert own_platform.platform.keys.find(answer["Credentials"]["AccessKeyId"]) is None


def test_a_reset_revokes_sessions(platform: PlatformThread) -> None:
    answer = platform.client("sts").assume_role(RoleArn=ROLE, RoleSessionName="me")
    platform.reset()
    assert platform.platform.keys.find(answer["Credentials"]["AccessKeyId"]) is None


def test_session_policies_and_tags_are_validated(platform: PlatformThread) -> None:
    sts = platform.client("sts")
    with pytest.raises(ClientError) as error:
        sts.assume_role(RoleArn=ROLE, RoleSessionName="me", Policy="{")
    assert code_of(error) == "MalformedPolicyDocument"
    with pytest.raises(ClientError, match="Duplicate tag keys"):
        sts.assume_role(
            RoleArn=ROLE, RoleSessionName="me", Tags=[{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}]
        )
    with pytest.raises(ClientError, match="transitive tag key"):
        sts.assume_role(RoleArn=ROLE, RoleSessionName="me", TransitiveTagKeys=["team"])
    with pytest.raises(ClientError) as error:
        sts.assume_role(RoleArn=ROLE, RoleSessionName="me", Policy='{"Statement":"' + "x" * 2048 + '"}')
    assert code_of(error) == "PackedPolicyTooLarge"
    answer = sts.assume_role(RoleArn=ROLE, RoleSessionName="me", Tags=[{"Key": "team", "Value": "red"}])
    assert answer["PackedPolicySize"] == 1


def test_a_token_is_as_large_as_asked_for(platform: PlatformThread) -> None:
    answer = platform.call("sts", "AssumeRole", {
        "RoleArn": ROLE, "RoleSessionName": "me", "MinimumSessionTokenSize": 2048,
    })  # fmt: skip
    assert len(answer["Credentials"]["SessionToken"]) == answer["SessionTokenSize"] == 2048
    assert answer["SessionTokenUtilization"] == 50


def test_devices_are_refused_by_name(platform: PlatformThread) -> None:
    with pytest.raises(ClientError, match="SerialNumber of AssumeRole"):
        platform.client("sts").assume_role(
            RoleArn=ROLE, RoleSessionName="me", SerialNumber="arn:aws:iam::000000000000:mfa/me", TokenCode="123456"
        )


def test_a_web_identity_becomes_a_session(platform: PlatformThread) -> None:
    now = platform.platform.machine.now_ms() // 1000
    sts = platform.client("sts")
    answer = sts.assume_role_with_web_identity(
        RoleArn=ROLE,
        RoleSessionName="web",
        WebIdentityToken=token(sub="user-123456", iss="https://idp.example", aud="app", exp=now + 60),
    )
    assert answer["SubjectFromWebIdentityToken"] == "user-123456"
    assert (answer["Provider"], answer["Audience"]) == ("https://idp.example", "app")
    assert client_with(platform, answer["Credentials"]).get_caller_identity()["Arn"].endswith("/orders/web")
    with pytest.raises(ClientError) as error:
        sts.assume_role_with_web_identity(
            RoleArn=ROLE, RoleSessionName="web", WebIdentityToken=token(sub="user-123456", iss="x", exp=now - 1)
        )
    assert code_of(error) == "ExpiredTokenException"
    with pytest.raises(ClientError) as error:
        sts.assume_role_with_web_identity(RoleArn=ROLE, RoleSessionName="web", WebIdentityToken="opaque")
    assert code_of(error) == "InvalidIdentityToken"


def test_a_session_token_calls_as_its_caller_and_makes_no_others(platform: PlatformThread) -> None:
    answer = platform.client("sts").get_session_token(DurationSeconds=900)
    session = client_with(platform, answer["Credentials"])
    assert session.get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"
    role = client_with(platform, session.assume_role(RoleArn=ROLE, RoleSessionName="me")["Credentials"])
    for refused in (role.get_session_token, lambda: role.get_federation_token(Name="bob")):
        with pytest.raises(ClientError, match="session credentials") as error:
            refused()
        assert code_of(error) == "AccessDenied"


def test_a_federated_user_has_the_name_that_was_given(platform: PlatformThread) -> None:
    answer = platform.client("sts").get_federation_token(Name="bob")
    assert answer["FederatedUser"]["FederatedUserId"] == "000000000000:bob"
    identity = client_with(platform, answer["Credentials"]).get_caller_identity()
    assert identity["Arn"] == "arn:aws:sts::000000000000:federated-user/bob"


def test_a_key_tells_its_account(platform: PlatformThread) -> None:
    sts = platform.client("sts")
    answer = sts.assume_role(RoleArn="arn:aws:iam::444455556666:role/r", RoleSessionName="me")
    assert sts.get_access_key_info(AccessKeyId=answer["Credentials"]["AccessKeyId"])["Account"] == "444455556666"
    assert sts.get_access_key_info(AccessKeyId="AKIAIOSFODNN7EXAMPLE")["Account"] == "000000000000"


def test_what_is_not_here_is_refused_by_name(platform: PlatformThread) -> None:
    with pytest.raises(ClientError, match="DecodeAuthorizationMessage of sts is not supported"):
        platform.client("sts").decode_authorization_message(EncodedMessage="x")


@pytest.mark.parametrize("arn", ["arn:aws:iam::000000000000:user/alice", "arn:aws:iam::short:role/someone-else"])
def test_only_roles_are_assumed(platform: PlatformThread, arn: str) -> None:
    with pytest.raises(ClientError, match="Pass a role's ARN") as error:
        platform.client("sts").assume_role(RoleArn=arn, RoleSessionName="me")
    assert code_of(error) == "ValidationError"


def test_a_function_calls_as_its_roles_session(platform: PlatformThread) -> None:
    source = "import boto3\ndef handler(event, context):\n    return boto3.client('sts').get_caller_identity()['Arn']\n"
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.py", source)
    functions = platform.client("lambda")
    functions.create_function(
        FunctionName="who", Runtime="python3.12", Handler="index.handler", Role=ROLE, Code={"ZipFile": code.getvalue()}
    )
    answer = functions.invoke(FunctionName="who")
    assert json.loads(answer["Payload"].read()) == "arn:aws:sts::000000000000:assumed-role/orders/who"
