"""A template against the resource types that can be deployed: every setting is executed, kept or refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from penstock.base.errors import TemplateError
from penstock.deploy import intrinsics
from penstock.deploy.intrinsics import UNKNOWN, Scope
from penstock.deploy.problems import Lines, Problems
from penstock.engine.resource import ResourceType

_REFUSED_ATTRIBUTES = {
    "CreationPolicy": "remove it: resources here are ready when they are created",
    "UpdatePolicy": "remove it: an update here replaces what it changes at once",
    "Connectors": "it needs 'Transform: AWS::Serverless-2016-10-31'",
}
_KNOWN_ATTRIBUTES = frozenset({
    "Type", "Properties", "DependsOn", "Condition", "Metadata", "DeletionPolicy", "UpdateReplacePolicy", "Description",
    *_REFUSED_ATTRIBUTES,
})  # fmt: skip
_POLICIES = {"Delete": False, "Retain": True, "RetainExceptOnCreate": True}
RESOURCES_PER_TEMPLATE = 500  # CloudFormation quotas, "Resources"


class Types(Protocol):
    """The resource types that can be deployed."""

    def find(self, name: str) -> ResourceType | None:
        """The type of this name, such as AWS::SQS::Queue."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A resource as the template wants it. ``properties`` still have their intrinsics; ``needs`` are the resources
    that must exist before it. A ``stub`` is a name and nothing else."""

    logical_id: str
    type: str
    properties: Mapping[str, Any]
    needs: frozenset[str]
    retain_on_delete: bool = False
    retain_on_replace: bool = False
    line: int | None = None
    stub: bool = False


@dataclass(frozen=True, slots=True)
class Output:
    """An output of the template; value and export name still have their intrinsics."""

    name: str
    value: Any
    description: str = ""
    export: Any = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A setting that is stored and given back and has no effect here."""

    resource: str
    type: str
    property: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A template that can be deployed."""

    resources: Mapping[str, Wanted]
    outputs: tuple[Output, ...]
    kept: tuple[Kept, ...]
    warnings: tuple[str, ...]


def check(body: Mapping[str, Any], scope: Scope, types: Types, lines: Lines, *, stub_unknown: bool = False) -> Checked:
    """The template's resources and outputs as its conditions choose them; TemplateError tells all that is wrong."""
    problems = Problems(lines)
    present = _present(body["Resources"], scope, problems)
    problems.raise_if_any()
    if len(present) > RESOURCES_PER_TEMPLATE:
        problems.add(f"{len(present)} resources; CloudFormation takes {RESOURCES_PER_TEMPLATE}: split the template")
    warnings = _refuse_unknown_types(present, types, problems, stub_unknown)
    problems.raise_if_any()

    def attribute(logical_id: str, name: str | None) -> Any:
        type_ = types.find(present[logical_id]["Type"])
        if name is not None and type_ is not None and name not in type_.attributes:
            known = ", ".join(sorted(type_.attributes)) or "none"
            raise TemplateError(f"{type_.name} has no attribute {name!r} here; it has: {known}")
        return UNKNOWN

    scope = replace(scope, resources=frozenset(present), resource=attribute, export=lambda name: UNKNOWN)
    checks = _Checks(scope, types, problems, frozenset(body["Resources"]))
    wanted = {logical_id: checks.resource(logical_id, resource) for logical_id, resource in present.items()}
    outputs = checks.outputs(body.get("Outputs") or {})
    problems.raise_if_any()
    kept = tuple(
        Kept(logical_id, item.type, name)
        for logical_id, item in wanted.items()
        for name in item.properties
        if (type_ := types.find(item.type)) is not None and name in type_.kept
    )
    return Checked(wanted, outputs, kept, tuple(warnings))


def _present(resources: Mapping[str, Any], scope: Scope, problems: Problems) -> dict[str, Any]:
    present = {}
    for logical_id, resource in resources.items():
        try:
            if "Condition" not in resource or intrinsics.holds(resource["Condition"], scope):
                present[logical_id] = resource
        except TemplateError as error:
            problems.add(error.message, resource=logical_id)
    return present


def _refuse_unknown_types(
    present: Mapping[str, Any], types: Types, problems: Problems, stub_unknown: bool
) -> list[str]:
    warnings = []
    for logical_id, resource in present.items():
        name = resource["Type"]
        if types.find(name) is not None:
            continue
        if stub_unknown:
            warnings.append(f"{logical_id} is a stub: {name} is not supported, so only its name exists")
        else:
            refuse_type(logical_id, name, problems)
    return warnings


def refuse_type(logical_id: str, type_: str, problems: Problems) -> None:
    """Note that a resource's type cannot be deployed."""
    origin = problems.lines.origins.get(logical_id, logical_id)
    made = f" (made for {origin})" if origin != logical_id else ""
    problems.add(
        f"{type_}{made} is not supported; remove it, or deploy with --stub-unknown, which makes a name that stands for "
        "it and nothing else",
        resource=logical_id,
    )


class _Checks:
    def __init__(self, scope: Scope, types: Types, problems: Problems, declared: frozenset[str]) -> None:
        self.scope, self.types, self.problems = scope, types, problems
        self.declared = declared  # every resource of the template, also those that a condition leaves out

    def resource(self, logical_id: str, resource: Mapping[str, Any]) -> Wanted:
        """One resource, its problems noted."""
        for name in resource:
            if name in _REFUSED_ATTRIBUTES:
                self.problems.add(f"{name} is not executed here; {_REFUSED_ATTRIBUTES[name]}", resource=logical_id)
            elif name not in _KNOWN_ATTRIBUTES:
                self.problems.add(f"{name!r} is nothing a resource has; remove it", resource=logical_id)
        properties, needs = self._properties(logical_id, resource.get("Properties") or {})
        type_ = self.types.find(resource["Type"])
        if type_ is not None:
            self._settings(logical_id, type_, properties)
        declared = resource.get("DependsOn") or []
        for need in declared if isinstance(declared, list) else [declared]:
            if not isinstance(need, str):
                self.problems.add(f"DependsOn names resources, not {need!r}", resource=logical_id)
            elif need in self.scope.resources:
                needs.add(need)
            elif need not in self.declared:
                self.problems.add(
                    f"DependsOn names {need}, which the template does not have; name a resource of it",
                    resource=logical_id,
                )
        return Wanted(
            logical_id,
            resource["Type"],
            properties,
            frozenset(needs - {logical_id}),
            self._policy(logical_id, resource, "DeletionPolicy"),
            self._policy(logical_id, resource, "UpdateReplacePolicy"),
            self.problems.lines.resource(logical_id),
            type_ is None,
        )

    def _properties(self, logical_id: str, properties: Mapping[str, Any]) -> tuple[dict[str, Any], set[str]]:
        """The properties that are there once conditions chose, and the resources they refer to."""
        present, needs = {}, set[str]()
        for name, value in properties.items():
            self.scope.referred.clear()
            try:
                known = intrinsics.resolve(value, self.scope)
            except TemplateError as error:
                self.problems.add(f"{name}: {error.message}", resource=logical_id, property_=name)
                continue
            needs |= self.scope.referred
            if logical_id in self.scope.referred:
                self.problems.add(f"{name} refers to its own resource", resource=logical_id, property_=name)
            if known is not None:
                present[name] = value
        return present, needs

    def _settings(self, logical_id: str, type_: ResourceType, properties: Mapping[str, Any]) -> None:
        for name in properties:
            if name in type_.refused:
                self.problems.add(
                    f"{type_.name} does not execute {name}: {type_.refused[name]}", resource=logical_id, property_=name
                )
            elif name not in type_.executed and name not in type_.kept:
                self.problems.add(
                    f"{type_.name} has no property {name} here; remove it", resource=logical_id, property_=name
                )
        for name in sorted(type_.required - properties.keys()):
            self.problems.add(f"{type_.name} needs the property {name}", resource=logical_id)

    def _policy(self, logical_id: str, resource: Mapping[str, Any], name: str) -> bool:
        policy = resource.get(name, "Delete")
        if not isinstance(policy, str):
            try:
                policy = intrinsics.resolve(policy, self.scope)
            except TemplateError as error:
                self.problems.add(f"{name}: {error.message}", resource=logical_id)
                return False
        if policy not in _POLICIES:
            self.problems.add(f"{name} {policy!r} is not executed here; use Delete or Retain", resource=logical_id)
            return False
        return _POLICIES[policy]

    def outputs(self, outputs: Mapping[str, Any]) -> tuple[Output, ...]:
        """The outputs that conditions leave."""
        found = []
        for name, output in outputs.items():
            line = self.problems.lines.of("Outputs", name)
            if not isinstance(output, dict) or "Value" not in output:
                self.problems.add(f"output {name} needs a Value", line=line)
                continue
            try:
                if "Condition" in output and not intrinsics.holds(output["Condition"], self.scope):
                    continue
                export = (output.get("Export") or {}).get("Name")
                intrinsics.resolve(output["Value"], self.scope)
                intrinsics.resolve(export, self.scope)
            except TemplateError as error:
                self.problems.add(f"output {name}: {error.message}", line=line)
                continue
            found.append(Output(name, output["Value"], str(output.get("Description", "")), export))
        return tuple(found)
