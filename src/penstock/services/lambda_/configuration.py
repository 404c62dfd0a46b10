"""A function's settings, pure: what a request may set, what is stored, what AWS gives back.

``settings`` is a dictionary with the member names of the API model; ``Layers`` in it holds what is needed to run
them: ``{"Arn", "CodeSize", "Digest"}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from penstock.base.errors import Unsupported, ValidationError
from penstock.base.names import Arn
from penstock.services.lambda_.errors import InvalidParameterValue
from penstock.services.lambda_.packages import code_sha256
from penstock.services.lambda_.rules import (
    ENVIRONMENT_BYTES,
    EPHEMERAL_MB,
    LATEST,
    MEMORY_MB,
    NAME_CHARACTERS,
    RESERVED_VARIABLES,
    TIMEOUT_SECONDS,
    function_arn,
    timestamp,
)

# Stored and given back without effect here: functions run on this machine's processor, whatever Architectures says.
KEPT: Final = frozenset({"Architectures", "Description", "VpcConfig", "KMSKeyArn", "TracingConfig", "Tags"})

# Refused whenever they are set. What is refused for some values only stands in _refuse_values.
REFUSED: Final[Mapping[str, str]] = {
    "PublishTo": "leave it out: there are no published versions yet",
    "FileSystemConfigs": "leave it out: there are no network file systems; use EphemeralStorage or a bucket",
    "CodeSigningConfigArn": "leave it out: code signatures are not checked",
    "ImageConfig": "leave it out: functions are zip packages here, container images come later",
    "TenancyConfig": "leave it out: every tenant shares the function's environments",
    "CapacityProviderConfig": "leave it out: functions run on this machine only",
    "DurableConfig": "leave it out: durable functions come later",
    "RuntimeConfig": "leave it out: this machine's runtime is used",
    "AcceleratorConfig": "leave it out: no accelerators are handed to functions",
}

AT_CREATION: Final = frozenset({"PublishTo", "CodeSigningConfigArn", "TenancyConfig"})  # no update has them

DEFAULTS: Final[Mapping[str, Any]] = {
    "Description": "",
    "Timeout": 3,
    "MemorySize": 128,
    "PackageType": "Zip",
    "TracingConfig": {"Mode": "PassThrough"},
    "Architectures": ["x86_64"],
    "EphemeralStorage": {"Size": 512},
}

# What UpdateFunctionConfiguration may change; Architectures belongs to the code.
_CHANGEABLE: Final = (
    "Role", "Handler", "Description", "Timeout", "MemorySize", "VpcConfig", "Environment", "Runtime",
    "DeadLetterConfig", "KMSKeyArn", "TracingConfig", "EphemeralStorage", "LoggingConfig",
)  # fmt: skip
_DESCRIBED: Final = (*_CHANGEABLE, "PackageType", "Architectures")


@dataclass(frozen=True, slots=True)
class FunctionRow:
    """A row of lambda_function, with its JSON read."""

    account: str
    region: str
    name: str
    settings: dict[str, Any]
    code_digest: str
    code_size: int
    unzipped: int
    revision: str
    modified: int
    reserved: int | None
    tags: dict[str, str]
    policy: list[dict[str, Any]] | None
    arn: str = field(init=False)  # unqualified

    def __post_init__(self) -> None:
        object.__setattr__(self, "arn", function_arn(self.account, self.region, self.name))

    @property
    def log_group(self) -> str:
        """Where its environments log."""
        group: str = self.settings["LoggingConfig"]["LogGroup"]
        return group


def new_settings(request: Mapping[str, Any], name: str, account: str) -> dict[str, Any]:
    """The settings of a new function, checked; ``Layers`` is resolved by the caller."""
    if len(name) > NAME_CHARACTERS:
        raise ValidationError(
            f"1 validation error detected: Value '{name}' at 'functionName' failed to satisfy constraint: "
            f"Member must have length less than or equal to {NAME_CHARACTERS}"
        )
    if request.get("PackageType", "Zip") != "Zip":
        raise Unsupported(
            "PackageType Image of CreateFunction is not supported: container images come later; upload a zip package"
        )
    for member in ("Runtime", "Handler"):
        if not request.get(member):
            raise InvalidParameterValue(
                f"{member} is mandatory for functions created with deployment packages: set {member}"
            )
    settings = {**DEFAULTS, "LoggingConfig": {}}
    settings |= {member: request[member] for member in (*_CHANGEABLE, "Architectures") if _given(request, member)}
    return _checked(settings, name, account)


def changed_settings(
    settings: Mapping[str, Any], request: Mapping[str, Any], name: str, account: str
) -> dict[str, Any]:
    """The settings after UpdateFunctionConfiguration, checked; members not given stay as they are."""
    changed = dict(settings) | {member: request[member] for member in _CHANGEABLE if _given(request, member)}
    return _checked(changed, name, account)


def _given(request: Mapping[str, Any], member: str) -> bool:
    return request.get(member) is not None


def _checked(settings: dict[str, Any], name: str, account: str) -> dict[str, Any]:
    _at_most("timeout", settings["Timeout"], TIMEOUT_SECONDS)
    _at_most("memorySize", settings["MemorySize"], MEMORY_MB)
    _at_most("ephemeralStorage.size", settings["EphemeralStorage"]["Size"], EPHEMERAL_MB)
    if len(settings["Architectures"]) != 1:
        raise InvalidParameterValue("Architectures must name exactly one architecture: x86_64 or arm64")
    role = settings["Role"]
    if role.split(":")[4] != account:
        raise InvalidParameterValue("Cross-account pass role is not allowed.")
    _check_environment((settings.get("Environment") or {}).get("Variables") or {})
    _check_dead_letter((settings.get("DeadLetterConfig") or {}).get("TargetArn") or "")
    logging = dict(settings.get("LoggingConfig") or {})
    logging.setdefault("LogFormat", "Text")
    if not logging.get("LogGroup"):
        logging["LogGroup"] = f"/aws/lambda/{name}"
    if logging["LogFormat"] == "JSON":
        if settings["Runtime"].startswith("nodejs"):
            raise Unsupported(
                "LoggingConfig.LogFormat JSON is not supported for Node.js yet: leave it out, or set it to Text"
            )
        logging.setdefault("ApplicationLogLevel", "INFO")
        logging.setdefault("SystemLogLevel", "INFO")
    elif "ApplicationLogLevel" in logging or "SystemLogLevel" in logging:
        raise InvalidParameterValue(
            "ApplicationLogLevel and SystemLogLevel need LogFormat JSON: set it, or leave the levels out."
        )
    settings["LoggingConfig"] = logging
    return settings


def refuse_values(operation: str, request: Mapping[str, Any]) -> None:
    """Refuse the settings of which only some values can be executed."""
    if request.get("Publish"):
        raise Unsupported(
            f"Publish of {operation} is not supported: there are no published versions yet; leave it out or false"
        )
    if (request.get("SnapStart") or {}).get("ApplyOn", "None") != "None":
        raise Unsupported(
            f"SnapStart of {operation} is not supported: it applies to published versions, which come later; "
            "leave it out or set ApplyOn to None"
        )


def _at_most(member: str, value: int, limit: int) -> None:
    if value > limit:
        raise ValidationError(
            f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: "
            f"Member must have value less than or equal to {limit}"
        )


def _check_environment(variables: Mapping[str, str]) -> None:
    reserved = sorted(RESERVED_VARIABLES.intersection(variables))
    if reserved:
        raise InvalidParameterValue(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            "provided contains reserved keys that are currently not supported for modification. Reserved keys used "
            f"in this request: {', '.join(reserved)}"
        )
    measured = orjson.dumps(dict(variables))
    if len(measured) > ENVIRONMENT_BYTES:
        raise InvalidParameterValue(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            f"provided exceeded the 4KB limit. String measured: {measured.decode()}"
        )


def _check_dead_letter(target: str) -> None:
    if not target:
        return
    try:
        arn = Arn.parse(target)
    except ValueError:
        arn = None
    if arn is not None and arn.service == "sns":
        raise Unsupported(
            "DeadLetterConfig.TargetArn: SNS topics are not supported yet; name the ARN of a standard SQS queue"
        )
    if arn is None or arn.service != "sqs" or arn.resource.endswith(".fifo"):
        raise InvalidParameterValue(
            f"The provided target arn {target} is invalid: name the ARN of a standard SQS queue."
        )


def describe(row: FunctionRow, qualifier: str | None = None) -> dict[str, Any]:
    """A FunctionConfiguration as AWS answers it. New code is ready at once, so a function is always Active."""
    settings = row.settings
    answer: dict[str, Any] = {member: settings[member] for member in _DESCRIBED if member in settings}
    if "VpcConfig" in answer:
        answer["VpcConfig"] = {"SubnetIds": [], "SecurityGroupIds": [], "VpcId": "", **answer["VpcConfig"]}
    if not (answer.get("DeadLetterConfig") or {}).get("TargetArn"):
        answer.pop("DeadLetterConfig", None)
    if not (answer.get("Environment") or {}).get("Variables"):
        answer.pop("Environment", None)
    if settings.get("Layers"):
        answer["Layers"] = [{"Arn": layer["Arn"], "CodeSize": layer["CodeSize"]} for layer in settings["Layers"]]
    return answer | {
        "FunctionName": row.name,
        "FunctionArn": f"{row.arn}:{qualifier}" if qualifier else row.arn,
        "CodeSize": row.code_size,
        "CodeSha256": code_sha256(row.code_digest),
        "LastModified": timestamp(row.modified),
        "Version": LATEST,
        "RevisionId": row.revision,
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
    }
