"""Lambda's CloudFormation types.

Versions, aliases and function URLs are not offered: templates that declare them are refused by their type's name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from penstock.base.errors import ApiError, Unsupported
from penstock.engine.context import WaitingContext
from penstock.engine.model import load
from penstock.engine.model.written import TAGS, TEXT, structure
from penstock.engine.resource import Declared, Physical, ResourceType, Wrong, all_wrong
from penstock.services.lambda_ import configuration, functions, layers
from penstock.services.lambda_.advice import advise_function
from penstock.services.lambda_.concurrency import refuse_ending_loops
from penstock.services.lambda_.configuration import DEFAULTS, REFUSED, FunctionRow
from penstock.services.lambda_.errors import InvalidParameterValue
from penstock.services.lambda_.mapping_rules import REFUSED as MAPPING_REFUSED
from penstock.services.lambda_.mapping_rules import check_settings, check_source
from penstock.services.lambda_.packages import zip_of
from penstock.services.lambda_.records import runnable
from penstock.services.lambda_.runtimes import why_not

PACKAGES: Final = "penstock-packages"  # the bucket that built packages are named by in a template

# Members of the API that a template's property of the same meaning sets, and what they are without it.
_CONFIGURATION: Final[Mapping[str, Any]] = {
    "Runtime": None,
    "Role": None,
    "Handler": None,
    "Description": "",
    "Timeout": DEFAULTS["Timeout"],
    "MemorySize": DEFAULTS["MemorySize"],
    "Environment": {"Variables": {}},
    "DeadLetterConfig": {"TargetArn": ""},
    "VpcConfig": {},
    "TracingConfig": DEFAULTS["TracingConfig"],
    "EphemeralStorage": DEFAULTS["EphemeralStorage"],
    "LoggingConfig": {},
    "Layers": [],
    "SnapStart": None,
}
_INLINE: Final = {"python": "index.py", "nodejs": "index.js"}


async def create_function(cx: WaitingContext, declared: Declared) -> Physical:
    """Make the function, with its reserved concurrency."""
    properties = declared.properties
    name = properties.get("FunctionName") or declared.generated_name
    request = {
        "FunctionName": name,
        "Code": {"ZipFile": b""},
        **_configuration(properties, with_defaults=False),
        "Tags": _tags(declared),
    }
    if properties.get("PackageType"):
        request["PackageType"] = properties["PackageType"]
    if properties.get("Architectures"):
        request["Architectures"] = properties["Architectures"]
    _check("CreateFunction", request)
    data = await _package(cx, properties["Code"], properties.get("Runtime", ""))
    answer = await functions.create(cx, request, data)
    await _set_rest(cx, name, properties)
    return Physical(name, {"Arn": answer["FunctionArn"]})


async def update_function(cx: WaitingContext, new: Declared, old: Declared, physical: Physical) -> Physical:
    """Change what differs: code, settings, reserved concurrency, tags."""
    properties = new.properties
    code = ("Code", "Architectures")
    if any(properties.get(name) != old.properties.get(name) for name in code):
        request: dict[str, Any] = {"FunctionName": physical.id, "ZipFile": b""}
        request["Architectures"] = properties.get("Architectures") or DEFAULTS["Architectures"]
        _check("UpdateFunctionCode", request)
        data = await _package(cx, properties["Code"], properties.get("Runtime", ""))
        await functions.update_code(cx, request, data)
    await cx.call(
        "lambda", "UpdateFunctionConfiguration",
        {"FunctionName": physical.id, **_configuration(properties, with_defaults=True)},
    )  # fmt: skip
    await _set_rest(cx, physical.id, properties)
    if _tags(new) != _tags(old):
        arn = physical.attributes["Arn"]
        gone = sorted(set(_tags(old)) - set(_tags(new)))
        if gone:
            await cx.call("lambda", "UntagResource", {"Resource": arn, "TagKeys": gone})
        await cx.call("lambda", "TagResource", {"Resource": arn, "Tags": _tags(new)})
    return physical


async def _set_rest(cx: WaitingContext, name: str, properties: Mapping[str, Any]) -> None:
    reserved = properties.get("ReservedConcurrentExecutions")
    if reserved is None:
        await cx.call("lambda", "DeleteFunctionConcurrency", {"FunctionName": name})
    else:
        await cx.call(
            "lambda", "PutFunctionConcurrency",
            {"FunctionName": name, "ReservedConcurrentExecutions": int(reserved)},
        )  # fmt: skip
    if properties.get("RecursiveLoop"):
        await cx.call(
            "lambda", "PutFunctionRecursionConfig",
            {"FunctionName": name, "RecursiveLoop": properties["RecursiveLoop"]},
        )  # fmt: skip


async def delete_function(cx: WaitingContext, physical: Physical) -> None:
    """Delete the function."""
    await _gone(cx, "DeleteFunction", {"FunctionName": physical.id})


def check_function(cx: WaitingContext, declared: Declared, unknown: frozenset[str]) -> Iterator[Wrong]:
    """What CreateFunction would refuse about values, and a runtime that this machine does not have."""
    properties = declared.properties
    name = str(properties.get("FunctionName") or declared.generated_name)
    beside = {
        "Role": f"arn:aws:iam::{cx.account}:role/known-later", "Runtime": "python3.12", "Handler": "index.handler",
    }  # fmt: skip
    request = _configuration(properties, with_defaults=False)
    request |= {member: properties[member] for member in ("Architectures", "PackageType") if member in properties}

    def row_of(request: dict[str, Any]) -> FunctionRow:
        settings = configuration.new_settings(request, name, cx.account) | {"Layers": []}
        return FunctionRow(cx.account, cx.region, name, settings, "", 0, 0, "", 0, None, {}, None)

    def check(request: dict[str, Any]) -> None:
        configuration.refuse_values("CreateFunction", request)
        functions.check_runnable(cx.parts, row_of(request), "CreateFunction")

    runtime = request.get("Runtime")
    some = replace(runnable(cx.parts, row_of(beside)), name="it")
    if runtime and (why := why_not(runtime, lambda each: cx.parts.environments.version(replace(some, runtime=each)))):
        yield Wrong("Runtime", why)
        request["Runtime"] = runtime = beside["Runtime"]
    for member in ("Runtime", "Handler"):
        if member not in properties and member not in unknown:
            yield from all_wrong(check, {}, {each: value for each, value in beside.items() if each != member})
    yield from all_wrong(check, request, beside)
    if "RecursiveLoop" in properties:
        allowed, given = {"RecursiveLoop": "Allow"}, {"RecursiveLoop": properties["RecursiveLoop"]}
        yield from all_wrong(refuse_ending_loops, given, allowed)
    code = properties.get("Code") or {}
    if "Code" not in unknown and code.get("S3Bucket") != PACKAGES:
        try:
            _inline(code, runtime or beside["Runtime"])
        except ApiError as error:
            yield Wrong("Code", error.message)


async def create_mapping(cx: WaitingContext, declared: Declared) -> Physical:
    """Make the mapping."""
    request = _mapping(declared) | {"EventSourceArn": declared.properties.get("EventSourceArn")}
    if tags := _tags(declared):
        request["Tags"] = tags
    answer = await cx.call("lambda", "CreateEventSourceMapping", request)
    return Physical(answer["UUID"], {"Id": answer["UUID"], "EventSourceMappingArn": answer["EventSourceMappingArn"]})


def check_mapping(cx: WaitingContext, declared: Declared, unknown: frozenset[str]) -> Iterator[Wrong]:
    """What CreateEventSourceMapping would refuse about the source and the settings."""
    source = declared.properties.get("EventSourceArn")
    if "EventSourceArn" not in unknown:
        try:
            source = str(check_source(source, cx.region))
        except ApiError as error:
            yield Wrong("EventSourceArn", error.message)
    settings = _mapping(declared)
    settings.pop("Enabled", None)
    yield from all_wrong(lambda request: check_settings(request, source or ""), settings)


async def find_mapping(cx: WaitingContext, declared: Declared) -> Physical | None:
    """The mapping that an interrupted creation made: a function has one mapping of a source at most."""
    properties = declared.properties
    answer = await cx.call(
        "lambda", "ListEventSourceMappings",
        {"FunctionName": properties["FunctionName"], "EventSourceArn": properties["EventSourceArn"]},
    )  # fmt: skip
    for found in answer["EventSourceMappings"]:
        return Physical(found["UUID"], {"Id": found["UUID"], "EventSourceMappingArn": found["EventSourceMappingArn"]})
    return None


async def update_mapping(cx: WaitingContext, new: Declared, old: Declared, physical: Physical) -> Physical:
    """Change the mapping; settings that the template no longer names return to their defaults."""
    unset: dict[str, Any] = {
        "BatchSize": 10,
        "MaximumBatchingWindowInSeconds": 0,
        "FilterCriteria": {"Filters": []},
        "FunctionResponseTypes": [],
        "ScalingConfig": {},
        "Enabled": True,
    }
    await cx.call("lambda", "UpdateEventSourceMapping", unset | _mapping(new) | {"UUID": physical.id})
    return physical


async def delete_mapping(cx: WaitingContext, physical: Physical) -> None:
    """Delete the mapping."""
    await _gone(cx, "DeleteEventSourceMapping", {"UUID": physical.id})


def _mapping(declared: Declared) -> dict[str, Any]:
    properties = declared.properties
    request: dict[str, Any] = {
        name: properties[name]
        for name in ("FunctionName", "FilterCriteria", "FunctionResponseTypes", "MetricsConfig")
        if properties.get(name) is not None
    }
    for name in ("BatchSize", "MaximumBatchingWindowInSeconds"):
        if properties.get(name) is not None:
            request[name] = int(properties[name])
    if properties.get("KmsKeyArn"):
        request["KMSKeyArn"] = properties["KmsKeyArn"]
    scaling = properties.get("ScalingConfig") or {}
    if scaling.get("MaximumConcurrency") is not None:
        request["ScalingConfig"] = {"MaximumConcurrency": int(scaling["MaximumConcurrency"])}
    if properties.get("Enabled") is not None:
        request["Enabled"] = str(properties["Enabled"]).lower() == "true"
    return request


async def create_permission(cx: WaitingContext, declared: Declared) -> Physical:
    """Add the statement to the function's policy, under the generated name."""
    properties = dict(declared.properties)
    statement = declared.generated_name[:100]
    function = properties["FunctionName"]
    await cx.call("lambda", "AddPermission", {**properties, "StatementId": statement})
    return Physical(statement, {"Id": statement, "FunctionName": function})


async def find_permission(cx: WaitingContext, declared: Declared) -> Physical | None:
    """The statement that an interrupted creation made; deleting it is no error when there is none."""
    statement = declared.generated_name[:100]
    return Physical(statement, {"Id": statement, "FunctionName": declared.properties["FunctionName"]})


async def update_permission(cx: WaitingContext, new: Declared, old: Declared, physical: Physical) -> Physical:
    """Every change replaces a permission, so there is nothing to change in place."""
    return physical


async def delete_permission(cx: WaitingContext, physical: Physical) -> None:
    """Remove the statement."""
    await _gone(
        cx, "RemovePermission", {"FunctionName": physical.attributes["FunctionName"], "StatementId": physical.id}
    )


async def create_invoke_config(cx: WaitingContext, declared: Declared) -> Physical:
    """Set how asynchronous invokes of the function are retried and where their records go."""
    function = declared.properties["FunctionName"]
    await cx.call("lambda", "PutFunctionEventInvokeConfig", _invoke_config(declared))
    return Physical(declared.generated_name, {"FunctionName": function})


async def update_invoke_config(cx: WaitingContext, new: Declared, old: Declared, physical: Physical) -> Physical:
    """Set them again."""
    await cx.call("lambda", "PutFunctionEventInvokeConfig", _invoke_config(new))
    return physical


async def delete_invoke_config(cx: WaitingContext, physical: Physical) -> None:
    """Return to the defaults."""
    await _gone(cx, "DeleteFunctionEventInvokeConfig", {"FunctionName": physical.attributes["FunctionName"]})


def _invoke_config(declared: Declared) -> dict[str, Any]:
    properties = declared.properties
    request: dict[str, Any] = {"FunctionName": properties["FunctionName"]}
    if properties.get("Qualifier"):
        request["Qualifier"] = properties["Qualifier"]
    for name in ("MaximumRetryAttempts", "MaximumEventAgeInSeconds"):
        if properties.get(name) is not None:
            request[name] = int(properties[name])
    request["DestinationConfig"] = properties.get("DestinationConfig") or {}
    return request


async def create_layer(cx: WaitingContext, declared: Declared) -> Physical:
    """Publish the layer's next version."""
    properties = declared.properties
    request = {
        name: properties[name]
        for name in ("Description", "CompatibleRuntimes", "CompatibleArchitectures", "LicenseInfo")
        if properties.get(name) is not None
    }
    request |= {"LayerName": properties.get("LayerName") or declared.generated_name, "Content": {"ZipFile": b""}}
    _check("PublishLayerVersion", request)
    answer = await layers.publish(cx, request, await _package(cx, properties["Content"], ""))
    return Physical(answer["LayerVersionArn"], {"LayerVersionArn": answer["LayerVersionArn"]})


async def update_layer(cx: WaitingContext, new: Declared, old: Declared, physical: Physical) -> Physical:
    """Every change publishes a new version, so there is nothing to change in place."""
    return physical


async def delete_layer(cx: WaitingContext, physical: Physical) -> None:
    """Delete the version; functions that have it keep it."""
    arn, _, version = physical.id.rpartition(":")
    await _gone(cx, "DeleteLayerVersion", {"LayerName": arn, "VersionNumber": int(version)})


def _configuration(properties: Mapping[str, Any], *, with_defaults: bool) -> dict[str, Any]:
    """The settings a template gives a function; numbers may be written as text."""
    request: dict[str, Any] = {}
    for member, default in _CONFIGURATION.items():
        value = properties.get(member)
        if value is None and with_defaults:
            value = default
        if value is not None:
            request[member] = value
    for member in ("Timeout", "MemorySize"):
        if member in request:
            request[member] = int(request[member])
    if "EphemeralStorage" in request:
        request["EphemeralStorage"] = {"Size": int(request["EphemeralStorage"]["Size"])}
    variables = (request.get("Environment") or {}).get("Variables")
    if variables:
        request["Environment"] = {"Variables": {name: _text(value) for name, value in variables.items()}}
    if properties.get("KmsKeyArn") or with_defaults:
        request["KMSKeyArn"] = properties.get("KmsKeyArn") or ""
    return request


def _text(value: Any) -> str:
    """A variable's value as CloudFormation passes it on."""
    return str(value).lower() if isinstance(value, bool) else str(value)


async def _package(cx: WaitingContext, code: Mapping[str, Any], runtime: str) -> bytes:
    """The zip a template names: one that was built for it, or its inline text."""
    if code.get("S3Bucket") == PACKAGES:
        path: Path = cx.parts.applications.package(code["S3Key"])
        return await asyncio.to_thread(path.read_bytes)
    inline = code.get("ZipFile")
    return inline if isinstance(inline, bytes) else zip_of(_inline(code, runtime))


def _inline(code: Mapping[str, Any], runtime: str) -> dict[str, bytes]:
    """The one file of code that stands in the template; refuses every other place but those of built packages."""
    inline = code.get("ZipFile")
    if isinstance(inline, str):
        name = next((name for prefix, name in _INLINE.items() if runtime.startswith(prefix)), None)
        if name is None:
            raise InvalidParameterValue(
                f"ZipFile holds inline code, which is not supported for runtime {runtime or '(none)'}: use Python or "
                "Node.js, or name a local folder"
            )
        return {name: inline.encode()}
    raise Unsupported("Code in a bucket is not supported: there are no buckets yet; name a local folder or file")


def _tags(declared: Declared) -> dict[str, str]:
    given = declared.properties.get("Tags") or {}
    if isinstance(given, list):
        given = {tag["Key"]: tag["Value"] for tag in given}
    return {**declared.tags, **{name: _text(value) for name, value in given.items()}}


def _check(operation: str, request: Mapping[str, Any]) -> None:
    """Validate a request that does not travel through the dispatcher as it would."""
    for member, instead in REFUSED.items():
        if request.get(member) is not None:
            raise Unsupported(f"{member} of {operation} (lambda) is not supported: {instead}")
    load("lambda").operation(operation).check(dict(request))


async def _gone(cx: WaitingContext, operation: str, request: dict[str, Any]) -> None:
    """Delete something; that it is gone already is no error."""
    try:
        await cx.call("lambda", operation, request)
    except ApiError as error:
        if error.code != "ResourceNotFoundException":
            raise


_IN_A_BUCKET: Final = {
    "Code.S3ObjectVersion": "leave it out: code is a local folder or file here",
    "Code.S3ObjectStorageMode": "leave it out: code is a local folder or file here",
    "Code.SourceKMSKeyArn": "leave it out: packages are not encrypted here",
}

TYPES: Final = [
    ResourceType(
        "AWS::Lambda::Function", create_function, update_function, delete_function,
        executed=frozenset(
            {
                "Code", "DeadLetterConfig", "Environment", "EphemeralStorage", "FunctionName", "Handler", "Layers",
                "LoggingConfig", "MemorySize", "PackageType", "RecursiveLoop", "ReservedConcurrentExecutions", "Role",
                "Runtime", "SnapStart", "Timeout",
            }
        ),
        kept=frozenset({"Architectures", "Description", "KmsKeyArn", "Tags", "TracingConfig", "VpcConfig"}),
        refused={
            **{name: why for name, why in REFUSED.items() if name != "PublishTo"},
            "RuntimeManagementConfig": "leave it out: this machine's runtimes are used",
            "FunctionScalingConfig": "leave it out: functions run on this machine only",
            "PublishToLatestPublished": "leave it out: there are no published versions yet",
            "Code.ImageUri": "container images come later; name a local folder",
            **_IN_A_BUCKET,
        },
        required=frozenset({"Code", "Role"}),
        replaced_by=frozenset({"FunctionName", "PackageType"}),
        attributes=frozenset({"Arn"}),
        name_property="FunctionName",
        like="lambda.CreateFunction",
        forms={
            "Code": structure({"S3Bucket": TEXT, "S3Key": TEXT, "ZipFile": TEXT}),
            "KmsKeyArn": "CreateFunction.KMSKeyArn",
            "RecursiveLoop": "PutFunctionRecursionConfig.RecursiveLoop",
            "ReservedConcurrentExecutions": "PutFunctionConcurrency.ReservedConcurrentExecutions",
            "Runtime": TEXT,  # not CreateFunction's, which answers a wrong name with sixty others
            "Tags": TAGS,
        },
        check=check_function,
        advise=advise_function,
    ),
    ResourceType(
        "AWS::Lambda::EventSourceMapping", create_mapping, update_mapping, delete_mapping,
        executed=frozenset(
            {
                "BatchSize", "Enabled", "EventSourceArn", "FilterCriteria", "FunctionName", "FunctionResponseTypes",
                "MaximumBatchingWindowInSeconds", "ScalingConfig",
            }
        ),
        kept=frozenset({"KmsKeyArn", "MetricsConfig", "Tags"}),
        refused=MAPPING_REFUSED,
        required=frozenset({"FunctionName"}),
        replaced_by=frozenset({"EventSourceArn"}),
        attributes=frozenset({"Id", "EventSourceMappingArn"}),
        find=find_mapping,
        like="lambda.CreateEventSourceMapping",
        forms={"KmsKeyArn": "CreateEventSourceMapping.KMSKeyArn", "Tags": TAGS},
        check=check_mapping,
    ),
    ResourceType(
        "AWS::Lambda::Permission", create_permission, update_permission, delete_permission,
        executed=frozenset({"FunctionName"}),
        kept=frozenset(
            {
                "Action", "EventSourceToken", "FunctionUrlAuthType", "InvokedViaFunctionUrl", "Principal",
                "PrincipalOrgID", "SourceAccount", "SourceArn",
            }
        ),
        required=frozenset({"Action", "FunctionName", "Principal"}),
        replaced_by=frozenset(
            {
                "Action", "EventSourceToken", "FunctionName", "FunctionUrlAuthType", "InvokedViaFunctionUrl",
                "Principal", "PrincipalOrgID", "SourceAccount", "SourceArn",
            }
        ),
        attributes=frozenset({"Id"}),
        name_limit=100,
        find=find_permission,
        like="lambda.AddPermission",
    ),
    ResourceType(
        "AWS::Lambda::EventInvokeConfig", create_invoke_config, update_invoke_config, delete_invoke_config,
        executed=frozenset(
            {"DestinationConfig", "FunctionName", "MaximumEventAgeInSeconds", "MaximumRetryAttempts", "Qualifier"}
        ),
        required=frozenset({"FunctionName", "Qualifier"}),
        replaced_by=frozenset({"FunctionName", "Qualifier"}),
        like="lambda.PutFunctionEventInvokeConfig",
    ),
    ResourceType(
        "AWS::Lambda::LayerVersion", create_layer, update_layer, delete_layer,
        executed=frozenset({"Content", "LayerName"}),
        kept=frozenset({"CompatibleArchitectures", "CompatibleRuntimes", "Description", "LicenseInfo"}),
        required=frozenset({"Content"}),
        replaced_by=frozenset(
            {
                "CompatibleArchitectures", "CompatibleRuntimes", "Content", "Description", "LayerName", "LicenseInfo",
            }
        ),
        attributes=frozenset({"LayerVersionArn"}),
        name_property="LayerName",
        name_limit=140,
        refused={"Content.S3ObjectVersion": _IN_A_BUCKET["Code.S3ObjectVersion"]},
        like="lambda.PublishLayerVersion",
        forms={"Content": structure({"S3Bucket": TEXT, "S3Key": TEXT}, needs=("S3Bucket", "S3Key"))},
    ),
]  # fmt: skip
