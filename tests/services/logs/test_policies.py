"""Resource policies: kept, and given back as they were."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from penstock.testing.platform import PlatformThread
from tests.services.applied import Applied

DOCUMENT = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:PutLogEvents"}]})


def refused(code: str, call: Any, **request: Any) -> None:
    with pytest.raises(ClientError) as error:
        call(**request)
    assert error.value.response["Error"]["Code"] == code


def test_policies_are_put_listed_a_page_at_a_time_and_deleted(platform: PlatformThread) -> None:
    logs, now = platform.client("logs"), platform.freeze()
    for number in range(10):
        made = logs.put_resource_policy(policyName=f"p{number}", policyDocument=DOCUMENT)["resourcePolicy"]
    assert made == {
        "policyName": "p9", "policyDocument": DOCUMENT, "lastUpdatedTime": now, "policyScope": "ACCOUNT",
    }  # fmt: skip
    logs.put_resource_policy(policyName="p9", policyDocument=DOCUMENT)
    refused("LimitExceededException", logs.put_resource_policy, policyName="p10", policyDocument=DOCUMENT)
    first = logs.describe_resource_policies(limit=7)
    rest = logs.describe_resource_policies(policyScope="ACCOUNT", nextToken=first["nextToken"])
    listed = [each["policyName"] for page in (first, rest) for each in page["resourcePolicies"]]
    assert listed == [f"p{number}" for number in range(10)] and "nextToken" not in rest
    assert logs.describe_resource_policies(policyScope="RESOURCE")["resourcePolicies"] == []
    logs.delete_resource_policy(policyName="p0")
    refused("ResourceNotFoundException", logs.delete_resource_policy, policyName="p0")


def test_a_policy_is_json_with_statements_and_belongs_to_the_account(platform: PlatformThread) -> None:
    logs = platform.client("logs")
    for document in ("{", "[]", "{}"):
        refused("InvalidParameterException", logs.put_resource_policy, policyName="p", policyDocument=document)
    refused("InvalidParameterException", logs.put_resource_policy, policyName="p")
    group = "arn:aws:logs:us-east-1:000000000000:log-group:g"
    refused("NotImplemented", logs.put_resource_policy, policyName="p", policyDocument=DOCUMENT, resourceArn=group)


def test_a_templates_policy(platform: PlatformThread) -> None:
    applied, logs = Applied(platform, "logs"), platform.client("logs")
    type_ = "AWS::Logs::ResourcePolicy"
    policy, declared = applied.create(type_, PolicyName="rules", PolicyDocument=DOCUMENT)
    changed = DOCUMENT.replace("Allow", "Deny")
    assert applied.update(declared, policy, PolicyName="rules", PolicyDocument=changed).id == policy.id == "rules"
    assert logs.describe_resource_policies()["resourcePolicies"][0]["policyDocument"] == changed
    applied.delete(type_, policy)
    applied.delete(type_, policy)
    assert logs.describe_resource_policies()["resourcePolicies"] == []
