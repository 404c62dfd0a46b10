"""SAM templates as CloudFormation templates, by AWS's own translator, without AWS.

The translator gets everything it would otherwise ask AWS for: the region, and the managed policies' ARNs from its own
data. Code that the template names by a local path becomes ``s3://penstock-packages/KEY``, where KEY names the built
package, as ``sam package`` would have uploaded it. See "AWS SAM resources and properties" in the SAM Developer Guide.
"""

from __future__ import annotations

import copy
import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, Final

from samtranslator.metrics.metrics import DummyMetricsPublisher, Metrics
from samtranslator.model.exceptions import ExceptionWithMessage, InvalidDocumentException, InvalidResourceException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.utils.py27hash_fix import to_py27_compatible_template, undo_mark_unicode_str_in_template

from penstock.base.errors import TemplateError
from penstock.deploy import intrinsics, load, packages
from penstock.deploy.check import SAM_TYPES
from penstock.deploy.intrinsics import Scope
from penstock.deploy.problems import Problems, or_write
from penstock.deploy.sam_forms import properties_of
from penstock.deploy.workshop import Code

SAM: Final = "AWS::Serverless-2016-10-31"
LANGUAGE: Final = "AWS::LanguageExtensions"
_FUNCTION: Final = "AWS::Serverless::Function"
# Where a resource type names local code, and whether that is a layer's.
_CODE_PROPERTIES: Final = {
    _FUNCTION: ("CodeUri", False),
    "AWS::Serverless::LayerVersion": ("ContentUri", True),
    "AWS::Lambda::Function": ("Code", False),
    "AWS::Lambda::LayerVersion": ("Content", True),
}
# Where a SAM resource names a local definition, and the property that takes it as it is.
_DEFINITIONS: Final = {
    "AWS::Serverless::StateMachine": ("DefinitionUri", "Definition"),
    "AWS::Serverless::Api": ("DefinitionUri", "DefinitionBody"),
    "AWS::Serverless::HttpApi": ("DefinitionUri", "DefinitionBody"),
}


@dataclass(frozen=True, slots=True)
class _Region:
    """The only part of a boto3 session that the translator looks at."""

    region_name: str


def transforms_of(body: Mapping[str, Any], problems: Problems) -> list[str]:
    """The names in the section Transform; TemplateError names those that cannot be run here, and all noted before."""
    given = body.get("Transform") or []
    names = [entry.get("Name") if isinstance(entry, dict) else entry for entry in _as_list(given)]
    strange = [name for name in names if name not in (SAM, LANGUAGE)]
    for name in strange:
        problems.add(
            f"the transform {name!r} cannot be run here; put what it makes into the template",
            line=problems.lines.of("Transform"),
        )
    if strange:
        problems.raise_if_any()
    return [str(name) for name in names]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def local_code(body: dict[str, Any], base: Path, scope: Scope, problems: Problems) -> list[Code]:
    """All code that the template names by a local path; what cannot be code here is noted."""
    found = []
    globals_ = _mapping(_mapping(body.get("Globals")).get("Function"))
    for logical_id, resource in _mapping(body.get("Resources")).items():
        if not isinstance(resource, dict) or resource.get("Type") not in _CODE_PROPERTIES:
            continue
        name, layer = _CODE_PROPERTIES[resource["Type"]]
        properties = _mapping(resource.get("Properties"))
        defaults = globals_ if resource["Type"] == _FUNCTION else {}
        if properties.get("PackageType", defaults.get("PackageType")) == "Image":
            problems.add(
                "PackageType Image: container images are not run here; give the code as a folder, with a Runtime",
                resource=logical_id, property_="PackageType",
            )  # fmt: skip
            continue
        metadata = _mapping(resource.get("Metadata"))
        location = _location(properties, defaults, metadata, name)
        try:
            location = intrinsics.resolve(location, scope)
            runtime = intrinsics.resolve(properties.get("Runtime", defaults.get("Runtime")), scope)
            handler = intrinsics.resolve(properties.get("Handler", defaults.get("Handler")), scope)
        except TemplateError as error:
            problems.add(error.message, resource=logical_id, property_=name)
            continue
        if not isinstance(location, str) or location.startswith("s3://"):
            if isinstance(location, str) or (isinstance(location, dict) and "Bucket" in location):
                problems.add(
                    f"{name} is in S3, which is not here yet; set it to a local folder or zip file",
                    resource=logical_id, property_=name,
                )  # fmt: skip
            continue
        method = metadata.get("BuildMethod")
        found.append(
            Code(
                logical_id, name, (base / location).resolve(), layer, runtime if isinstance(runtime, str) else None,
                str(method) if method is not None else None, _mapping(metadata.get("BuildProperties")),
                handler if isinstance(handler, str) else None,
            )
        )  # fmt: skip
    return found


def _location(properties: dict[str, Any], defaults: dict[str, Any], metadata: dict[str, Any], name: str) -> Any:
    # The CDK names the staged folder in metadata: "aws:asset:path" for the property "aws:asset:property".
    if metadata.get("aws:asset:property") == name and isinstance(metadata.get("aws:asset:path"), str):
        return metadata["aws:asset:path"]
    if "InlineCode" in properties:
        return None
    location = properties.get(name, defaults.get(name))
    # `sam build` looks beside the template when nothing is said.
    return "." if location is None and name == "CodeUri" else location


def with_packages(body: dict[str, Any], keys: Mapping[str, str]) -> dict[str, Any]:
    """The template with local code replaced by where its package is; ``keys`` maps logical ids to package keys."""
    body = copy.deepcopy(body)
    _mapping(_mapping(body.get("Globals")).get("Function")).pop("CodeUri", None)
    for logical_id, key in keys.items():
        resource = body["Resources"][logical_id]
        name, _ = _CODE_PROPERTIES[resource["Type"]]
        properties = resource.setdefault("Properties", {})
        if resource["Type"].startswith("AWS::Serverless::"):
            properties[name] = f"s3://{packages.BUCKET}/{key}"
        else:
            properties[name] = {"S3Bucket": packages.BUCKET, "S3Key": key}
    return body


def with_definitions(body: dict[str, Any], base: Path, problems: Problems) -> dict[str, Any]:
    """The template with local definition files of APIs and state machines put in their place.

    TemplateError for one that cannot be read, with all that is noted.
    """
    body = copy.deepcopy(body)
    for logical_id, resource in _mapping(body.get("Resources")).items():
        names = _DEFINITIONS.get(resource.get("Type", "")) if isinstance(resource, dict) else None
        properties = _mapping(resource.get("Properties")) if names else {}
        location = properties.get(names[0]) if names else None
        if names is None or not isinstance(location, str) or location.startswith("s3://"):
            continue
        try:
            definition = load.load(base / location).body
        except TemplateError as error:
            problems.add(error.message, resource=logical_id, property_=names[0])
            problems.raise_if_any()
            raise
        del properties[names[0]]
        properties[names[1]] = definition
    return body


def made_by_sam(body: Mapping[str, Any]) -> list[str]:
    """The resources that SAM's transform replaces."""
    resources_ = _mapping(body.get("Resources")).items()
    return [name for name, resource in resources_ if isinstance(resource, dict) and resource.get("Type") in SAM_TYPES]


def translate(
    body: dict[str, Any], parameters: Mapping[str, Any], *, region: str, problems: Problems
) -> tuple[dict[str, Any], dict[str, str]]:
    """A SAM template as a CloudFormation template, and for each resource that was made, the one it was made for.

    What the translator refuses is noted, and the template comes back as it is.
    """
    source = copy.deepcopy(body)
    before = {
        logical_id: resource.get("Type", "") if isinstance(resource, dict) else ""
        for logical_id, resource in _mapping(source.get("Resources")).items()
    }
    # The translator mistakes a list of one transform for none.
    source["Transform"] = SAM
    values: dict[str, Any] = dict(parameters)
    metrics = Metrics("ServerlessTransform", DummyMetricsPublisher())
    try:
        to_py27_compatible_template(source, values)
        translated = Translator(None, Parser(), boto_session=_Region(region), metrics=metrics).translate(
            source, parameter_values=values, passthrough_metadata=True, get_managed_policy_map=_managed_policies
        )
    except InvalidDocumentException as error:
        _note_all(error, before, problems)
        return body, {}
    except (ExceptionWithMessage, Exception) as error:
        # The translator trusts templates: a value of the wrong form ends in any error at all.
        detail = error.message if isinstance(error, ExceptionWithMessage) else f"{type(error).__name__}: {error}"
        problems.add(f"the SAM translator cannot take this template: {detail}")
        return body, {}
    finally:
        metrics.publish()  # to nobody: it complains of unpublished ones otherwise
    result = undo_mark_unicode_str_in_template(translated)
    return result, _origins(before, result)


def _advised(message: str) -> str:
    """What the translator says, with what to do about a property that no resource of the type has."""
    found = re.fullmatch(r"property (\S+) not defined for resource of type (\S+)", message)
    return f"{message}; remove it{or_write(found[1], properties_of(found[2]))}" if found else message


def _note_all(error: InvalidDocumentException, before: Mapping[str, str], problems: Problems) -> None:
    for cause in error.causes:
        logical_id = getattr(cause, "_logical_id", None) if isinstance(cause, InvalidResourceException) else None
        named = logical_id if isinstance(logical_id, str) else None
        message = getattr(cause, "_message", None) if named else None
        line = None
        if named is not None and named not in before:  # an event: SAM calls it by its function's name and its own
            maker = max((name for name in before if named.startswith(name)), key=len, default=named)
            line = replace(problems.lines, origins={named: maker}).resource(named, "")
        problems.add(_advised(str(message or cause.message)), resource=named, line=line)
    if not error.causes:
        problems.add(str(error.message))


def _origins(before: Mapping[str, str], result: Mapping[str, Any]) -> dict[str, str]:
    """SAM names what it makes after what it makes it for: the longest such name that begins a new one is its origin."""
    makers = sorted((name for name, type_ in before.items() if type_.startswith("AWS::Serverless::")), key=len)
    origins = {}
    for logical_id, resource in result.get("Resources", {}).items():
        if before.get(logical_id) == resource.get("Type"):
            continue
        for name in makers:
            if logical_id.startswith(name):
                origins[logical_id] = name
    return origins


@functools.cache
def _managed_policies() -> dict[str, str]:
    text = resources.files("samtranslator.internal").joinpath("data", "aws_managed_policies.json").read_text()
    policies: dict[str, str] = json.loads(text)["aws"]
    return policies


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
