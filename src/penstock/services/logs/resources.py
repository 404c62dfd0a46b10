"""CloudWatch Logs' CloudFormation types: groups, streams, subscription filters and resource policies.

Source: the references of AWS::Logs::LogGroup, LogStream and ResourcePolicy in the CloudFormation User Guide.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from penstock.base.errors import ApiError
from penstock.engine.context import Context, WaitingContext
from penstock.engine.model.written import TAGS, words
from penstock.engine.resource import Declared, Physical, ResourceType, Wrong
from penstock.services.logs.patterns import PatternError, compile_pattern
from penstock.services.logs.rules import RETENTION_DAYS


def _tags(declared: Declared) -> dict[str, str]:
    return dict(declared.tags) | {tag["Key"]: str(tag["Value"]) for tag in declared.properties.get("Tags") or ()}


def _is_true(value: Any) -> bool:
    return value is True or str(value).lower() == "true"


def _unless_gone(cx: Context, operation: str, request: dict[str, Any]) -> None:
    try:
        cx.call("logs", operation, request)
    except ApiError as error:
        if error.code != "ResourceNotFoundException":
            raise


async def create_log_group(cx: WaitingContext, declared: Declared) -> Physical:
    """Make the group, with its retention."""
    properties = declared.properties
    name = properties.get("LogGroupName") or declared.generated_name

    def work(cx: Context) -> Physical:
        request: dict[str, Any] = {"logGroupName": name}
        for member, property_ in (("kmsKeyId", "KmsKeyId"), ("logGroupClass", "LogGroupClass")):
            if properties.get(property_):
                request[member] = properties[property_]
        if _tags(declared):
            request["tags"] = _tags(declared)
        if _is_true(properties.get("DeletionProtectionEnabled")):
            request["deletionProtectionEnabled"] = True
        cx.call("logs", "CreateLogGroup", request)
        _set_retention(cx, name, properties.get("RetentionInDays"))
        return Physical(name, {"Arn": f"{cx.arn(f'log-group:{name}', 'logs')}:*"})

    return await cx.transact(work)


def check_log_group(cx: WaitingContext, declared: Declared, unknown: frozenset[str]) -> Iterator[Wrong]:
    """What PutRetentionPolicy would refuse."""
    days = declared.properties.get("RetentionInDays")
    if days and days not in RETENTION_DAYS:
        yield Wrong("RetentionInDays", f"must be one of {', '.join(map(str, RETENTION_DAYS))}, not {days}")


def _set_retention(cx: Context, name: str, days: Any) -> None:
    if days:
        cx.call("logs", "PutRetentionPolicy", {"logGroupName": name, "retentionInDays": int(days)})
    else:
        cx.call("logs", "DeleteRetentionPolicy", {"logGroupName": name})


async def update_log_group(cx: WaitingContext, new: Declared, old: Declared, physical: Physical) -> Physical:
    """Change what differs: retention, protection, key, tags."""
    properties, name = new.properties, physical.id

    def work(cx: Context) -> Physical:
        _set_retention(cx, name, properties.get("RetentionInDays"))
        protected = _is_true(properties.get("DeletionProtectionEnabled"))
        cx.call(
            "logs", "PutLogGroupDeletionProtection",
            {"logGroupIdentifier": name, "deletionProtectionEnabled": protected},
        )  # fmt: skip
        if properties.get("KmsKeyId"):
            cx.call("logs", "AssociateKmsKey", {"logGroupName": name, "kmsKeyId": properties["KmsKeyId"]})
        else:
            cx.call("logs", "DisassociateKmsKey", {"logGroupName": name})
        arn = cx.arn(f"log-group:{name}", "logs")
        gone = sorted(_tags(old).keys() - _tags(new).keys())
        if gone:
            cx.call("logs", "UntagResource", {"resourceArn": arn, "tagKeys": gone})
        if _tags(new):
            cx.call("logs", "TagResource", {"resourceArn": arn, "tags": _tags(new)})
        return physical

    return await cx.transact(work)


async def delete_log_group(cx: WaitingContext, physical: Physical) -> None:
    """Delete the group with everything in it."""
    await cx.transact(lambda cx: _unless_gone(cx, "DeleteLogGroup", {"logGroupName": physical.id}))


async def create_log_stream(cx: WaitingContext, declared: Declared) -> Physical:
    """Make the stream."""
    group = declared.properties["LogGroupName"]
    name = declared.properties.get("LogStreamName") or declared.generated_name
    await cx.call("logs", "CreateLogStream", {"logGroupName": group, "logStreamName": name})
    # Ref gives the stream's name, which does not say its group: that is kept as an attribute.
    return Physical(name, {"LogGroupName": group})


async def update_log_stream(cx: WaitingContext, new: Declared, old: Declared, physical: Physical) -> Physical:
    """Nothing of a stream can change: every change replaces it."""
    return physical


async def delete_log_stream(cx: WaitingContext, physical: Physical) -> None:
    """Delete the stream with its events."""
    request = {"logGroupName": physical.attributes["LogGroupName"], "logStreamName": physical.id}
    await cx.transact(lambda cx: _unless_gone(cx, "DeleteLogStream", request))


async def create_resource_policy(cx: WaitingContext, declared: Declared) -> Physical:
    """Make the policy."""
    name, document = declared.properties["PolicyName"], declared.properties["PolicyDocument"]
    await cx.call("logs", "PutResourcePolicy", {"policyName": name, "policyDocument": document})
    return Physical(name)


async def update_resource_policy(cx: WaitingContext, new: Declared, old: Declared, physical: Physical) -> Physical:
    """Replace the document."""
    return await create_resource_policy(cx, new)


async def delete_resource_policy(cx: WaitingContext, physical: Physical) -> None:
    """Delete the policy."""
    await cx.transact(lambda cx: _unless_gone(cx, "DeleteResourcePolicy", {"policyName": physical.id}))


def check_subscription_filter(cx: WaitingContext, declared: Declared, unknown: frozenset[str]) -> Iterator[Wrong]:
    """What PutSubscriptionFilter would refuse of the pattern."""
    if "FilterPattern" not in unknown:
        try:
            compile_pattern(str(declared.properties["FilterPattern"]))
        except PatternError as error:
            yield Wrong("FilterPattern", f"is no filter pattern: {error}")


async def create_subscription_filter(cx: WaitingContext, declared: Declared) -> Physical:
    """Make the filter."""
    properties = declared.properties
    name = properties.get("FilterName") or declared.generated_name
    request = {
        "logGroupName": properties["LogGroupName"],
        "filterName": name,
        "filterPattern": properties["FilterPattern"],
        "destinationArn": properties["DestinationArn"],
    }
    if properties.get("Distribution"):
        request["distribution"] = properties["Distribution"]
    await cx.call("logs", "PutSubscriptionFilter", request)
    # Ref gives the filter's name, which does not say its group: that is kept as an attribute.
    return Physical(name, {"LogGroupName": properties["LogGroupName"]})


async def update_subscription_filter(cx: WaitingContext, new: Declared, old: Declared, physical: Physical) -> Physical:
    """Replace pattern and destination."""
    named = {**new.properties, "FilterName": physical.id}
    return await create_subscription_filter(cx, replace(new, properties=named))


async def delete_subscription_filter(cx: WaitingContext, physical: Physical) -> None:
    """Delete the filter."""
    request = {"logGroupName": physical.attributes["LogGroupName"], "filterName": physical.id}
    await cx.transact(lambda cx: _unless_gone(cx, "DeleteSubscriptionFilter", request))


RESOURCES: Final = (
    ResourceType(
        "AWS::Logs::LogGroup", create_log_group, update_log_group, delete_log_group,
        executed=frozenset({"LogGroupName", "RetentionInDays", "LogGroupClass", "DeletionProtectionEnabled"}),
        kept=frozenset({"KmsKeyId", "Tags"}),
        refused={
            "DataProtectionPolicy": "leave it out: nothing is masked here",
            "FieldIndexPolicies": "leave it out: field indexes are not here",
            "ResourcePolicyDocument": "leave it out: resource policies of log groups are not here",
            "BearerTokenAuthenticationEnabled": "leave it out: bearer tokens are not accepted here",
        },
        replaced_by=frozenset({"LogGroupName", "LogGroupClass"}),
        attributes=frozenset({"Arn"}),
        name_property="LogGroupName",
        name_limit=512,
        forms={
            "DeletionProtectionEnabled": "CreateLogGroup.deletionProtectionEnabled",
            "KmsKeyId": "CreateLogGroup.kmsKeyId",
            "LogGroupClass": words("STANDARD"),
            "LogGroupName": "CreateLogGroup.logGroupName",
            "RetentionInDays": "PutRetentionPolicy.retentionInDays",
            "Tags": TAGS,
        },
        like="logs.",
        check=check_log_group,
    ),
    ResourceType(
        "AWS::Logs::LogStream", create_log_stream, update_log_stream, delete_log_stream,
        executed=frozenset({"LogGroupName", "LogStreamName"}),
        required=frozenset({"LogGroupName"}),
        replaced_by=frozenset({"LogGroupName", "LogStreamName"}),
        name_property="LogStreamName",
        name_limit=512,
        forms={
            "LogGroupName": "CreateLogStream.logGroupName",
            "LogStreamName": "CreateLogStream.logStreamName",
        },
        like="logs.",
    ),
    ResourceType(
        "AWS::Logs::SubscriptionFilter", create_subscription_filter, update_subscription_filter,
        delete_subscription_filter,
        executed=frozenset({"LogGroupName", "FilterName", "FilterPattern", "DestinationArn"}),
        kept=frozenset({"Distribution"}),
        refused={
            "RoleArn": "leave it out: functions are called without a role, and other destinations are not here",
            "ApplyOnTransformedLogs": "leave it out: log transformers are not here",
            "FieldSelectionCriteria": "leave it out: system fields are not here",
            "EmitSystemFields": "leave it out: system fields are not here",
        },
        required=frozenset({"LogGroupName", "FilterPattern", "DestinationArn"}),
        replaced_by=frozenset({"LogGroupName", "FilterName"}),
        name_property="FilterName",
        name_limit=512,
        forms={
            "DestinationArn": "PutSubscriptionFilter.destinationArn",
            "Distribution": "PutSubscriptionFilter.distribution",
            "FilterName": "PutSubscriptionFilter.filterName",
            "FilterPattern": "PutSubscriptionFilter.filterPattern",
            "LogGroupName": "PutSubscriptionFilter.logGroupName",
        },
        like="logs.",
        check=check_subscription_filter,
    ),
    ResourceType(
        "AWS::Logs::ResourcePolicy", create_resource_policy, update_resource_policy, delete_resource_policy,
        executed=frozenset({"PolicyName"}),
        kept=frozenset({"PolicyDocument"}),
        required=frozenset({"PolicyName", "PolicyDocument"}),
        replaced_by=frozenset({"PolicyName"}),
        name_property="PolicyName",
        forms={
            "PolicyDocument": "PutResourcePolicy.policyDocument",
            "PolicyName": "PutResourcePolicy.policyName",
        },
        like="logs.",
    ),
)  # fmt: skip
