"""A template against the resource types that can be deployed: every setting is executed, kept or refused by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from penstock.base.errors import TemplateError
from penstock.deploy import forms, intrinsics
from penstock.deploy.intrinsics import UNKNOWN, Scope, Undecided, Unknown
from penstock.deploy.problems import Lines, Problem, Problems, did_you_mean, or_write
from penstock.engine.resource import ResourceType, Wrong

REFUSED_ATTRIBUTES = {
    "CreationPolicy": "remove it: resources here are ready when they are created",
    "UpdatePolicy": "remove it: an update here replaces what it changes at once",
    "Connectors": "it needs 'Transform: AWS::Serverless-2016-10-31'",
}
KNOWN_ATTRIBUTES = frozenset({
    "Type", "Properties", "DependsOn", "Condition", "Metadata", "DeletionPolicy", "UpdateReplacePolicy", "Description",
    *REFUSED_ATTRIBUTES,
})  # fmt: skip
# AWS SAM Developer Guide, "AWS SAM resources and properties": what the transform replaces.
SAM_TYPES = frozenset(
    f"AWS::Serverless::{name}"
    for name in ("Api", "Application", "CapacityProvider", "Connector", "Function", "GraphQLApi", "HttpApi",
                 "LayerVersion", "MicrovmImage", "NetworkConnector", "SimpleTable", "StateMachine", "WebFunction",
                 "WebSocketApi")
)  # fmt: skip
_POLICIES = {"Delete": False, "Retain": True, "RetainExceptOnCreate": True}
RESOURCES_PER_TEMPLATE = 500  # CloudFormation quotas, "Resources"


class Types(Protocol):
    """The resource types that can be deployed."""

    def find(self, name: str) -> ResourceType | None:
        """The type of this name, such as AWS::SQS::Queue."""

    @property
    def names(self) -> frozenset[str]:
        """The names of all types."""


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


Examine = Callable[[ResourceType, str, Mapping[str, Any], frozenset[str]], Iterable[Wrong]]
"""What a type's service would refuse about the resource of a logical id: its known properties, the unknown ones."""


def _unexamined(
    type_: ResourceType, logical_id: str, properties: Mapping[str, Any], unknown: frozenset[str]
) -> Iterable[Wrong]:
    return ()


@dataclass(frozen=True, slots=True)
class Question:
    """A template and what it is checked against.

    ``examine`` asks the services about values. ``unmade`` are resources for which something is yet to be made, because
    a transform did not pass: nothing is said of them, nor of names that begin with theirs.
    """

    body: Mapping[str, Any]
    scope: Scope
    types: Types
    lines: Lines
    stub_unknown: bool = False
    examine: Examine = _unexamined
    unmade: frozenset[str] = frozenset()


def check(body: Mapping[str, Any], scope: Scope, types: Types, lines: Lines, *, stub_unknown: bool = False) -> Checked:
    """The template's resources and outputs as its conditions choose them; TemplateError tells all that is wrong."""
    problems = Problems(lines)
    checked = _check(Question(body, scope, types, lines, stub_unknown), problems)
    problems.raise_if_any()
    return checked


def find_problems(question: Question) -> list[Problem]:
    """All that is wrong with a template."""
    problems = Problems(question.lines)
    _check(question, problems)
    return problems.found


def _check(question: Question, problems: Problems) -> Checked:
    body, types = question.body, question.types
    present, undecided = _present(body["Resources"], question.scope, problems)
    if len(present) > RESOURCES_PER_TEMPLATE:
        problems.add(f"{len(present)} resources; CloudFormation takes {RESOURCES_PER_TEMPLATE}: split the template")
    made = {name: resource for name, resource in present.items() if name not in question.unmade}
    warnings = _refuse_unknown_types(made, types, problems, question.stub_unknown)

    def attribute(logical_id: str, name: str | None) -> Any:
        type_ = types.find(made[logical_id]["Type"]) if logical_id in made else None
        if name is not None and type_ is not None and name not in type_.attributes:
            known = ", ".join(sorted(type_.attributes)) or "none"
            raise TemplateError(f"{type_.name} has no attribute {name!r} here; it has: {known}")
        return UNKNOWN

    names = _Names({*present, *undecided}, question.unmade)
    scope = replace(question.scope, resources=names, resource=attribute, export=lambda name: UNKNOWN)
    checks = _Checks(question, scope, problems, frozenset(body["Resources"]))
    wanted = {logical_id: checks.resource(logical_id, resource) for logical_id, resource in made.items()}
    outputs = checks.outputs(body.get("Outputs") or {})
    return Checked(wanted, outputs, tuple(checks.kept), tuple(warnings))


class _Names(frozenset[str]):
    """The logical ids of a template, and all that may yet be made for some of them."""

    _makers: tuple[str, ...]

    def __new__(cls, names: Iterable[str], makers: Iterable[str]) -> _Names:
        made = super().__new__(cls, names)
        made._makers = tuple(makers)
        return made

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (
            bool(self._makers) and isinstance(name, str) and name.startswith(self._makers)
        )


def _present(resources: Mapping[str, Any], scope: Scope, problems: Problems) -> tuple[dict[str, Any], set[str]]:
    """The resources that conditions leave, and the names of those of which that is not known."""
    present, undecided = {}, set()
    for logical_id, resource in resources.items():
        try:
            if "Condition" not in resource or intrinsics.holds(resource["Condition"], scope):
                present[logical_id] = resource
        except Undecided:
            undecided.add(logical_id)
        except TemplateError as error:
            problems.add(error.message, resource=logical_id)
            present[logical_id] = resource  # so that what refers to it is not wrong as well
    return present, undecided


def _refuse_unknown_types(
    present: Mapping[str, Any], types: Types, problems: Problems, stub_unknown: bool
) -> list[str]:
    warnings = []
    for logical_id, resource in present.items():
        name = resource["Type"]
        if types.find(name) is not None:
            continue
        if stub_unknown:
            meant = did_you_mean(name, types.names | SAM_TYPES)
            warnings.append(
                f"{logical_id} is a stub: {name} is not supported, so only its name exists{meant and f'; {meant}'}"
            )
        else:
            _refuse_type(logical_id, name, types, problems)
    return warnings


def _refuse_type(logical_id: str, type_: str, types: Types, problems: Problems) -> None:
    """Note that a resource's type cannot be deployed."""
    if type_ in SAM_TYPES:
        problems.add(f"{type_} needs 'Transform: AWS::Serverless-2016-10-31': add that", resource=logical_id)
        return
    origin = problems.lines.origins.get(logical_id, logical_id)
    made = f" (made for {origin})" if origin != logical_id else ""
    meant = did_you_mean(type_, types.names | SAM_TYPES)
    instead = f": {meant} Else remove it" if meant else "; remove it"
    problems.add(
        f"{type_}{made} is not supported{instead}, or deploy with --stub-unknown, which makes a name that stands for "
        "it and nothing else",
        resource=logical_id,
    )


class _Checks:
    def __init__(self, question: Question, scope: Scope, problems: Problems, declared: frozenset[str]) -> None:
        self.scope, self.types, self.problems = scope, question.types, problems
        self.examine = question.examine
        self.declared = declared  # every resource of the template, also those that a condition leaves out
        self.kept: list[Kept] = []

    def resource(self, logical_id: str, resource: Mapping[str, Any]) -> Wanted:
        """One resource, its problems noted."""
        for name in resource:
            if name in REFUSED_ATTRIBUTES:
                self.problems.add(f"{name} is not executed here; {REFUSED_ATTRIBUTES[name]}", resource=logical_id)
            elif name not in KNOWN_ATTRIBUTES:
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
                for path, message in self._all_wrong(value, (name,)) or [((name,), error.message)]:
                    self.problems.add(f"{'.'.join(path)}: {message}", resource=logical_id, property_=path)
                present[name] = UNKNOWN
                continue
            needs |= self.scope.referred
            if logical_id in self.scope.referred:
                self.problems.add(f"{name} refers to its own resource", resource=logical_id, property_=name)
            if known is not None:
                present[name] = value
        return present, needs

    def _all_wrong(self, value: Any, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], str]]:
        """Every intrinsic function within the value that cannot be carried out; of Fn::If the branch that counts."""
        try:
            intrinsics.resolve(value, self.scope)
        except TemplateError as error:
            items: Iterable[tuple[str, Any]] = ()
            if isinstance(value, dict) and "Fn::If" not in value:
                items = ((name, item) for name, item in value.items())
            elif isinstance(value, list):
                items = ((str(index), item) for index, item in enumerate(value))
            inner = [
                found
                for name, item in items
                for found in self._all_wrong(item, path if name.startswith("Fn::") else (*path, name))
            ]
            return inner or [(path, error.message)]
        return []

    def _settings(self, logical_id: str, type_: ResourceType, properties: Mapping[str, Any]) -> None:
        """What is wrong with properties, what stands inside them, and what the service would not take."""
        for name in properties:
            if name in type_.refused:
                self.problems.add(
                    f"{type_.name} does not execute {name}: {type_.refused[name]}", resource=logical_id, property_=name
                )
            elif name not in type_.executed and name not in type_.kept:
                instead = or_write(name, {*type_.executed, *type_.kept})
                self.problems.add(
                    f"{type_.name} has no property {name} here; remove it{instead}",
                    resource=logical_id, property_=name,
                )  # fmt: skip
        bad = set(type_.required - properties.keys())
        for name in sorted(bad):
            self.problems.add(f"{type_.name} needs the property {name}", resource=logical_id)

        def tell(path: tuple[str, ...], sentence: str) -> None:
            bad.add(path[0])
            self.problems.add(sentence, resource=logical_id, property_=path)

        here = type_.executed | type_.kept
        resolved = {name: intrinsics.resolve(value, self.scope) for name, value in properties.items() if name in here}
        there: set[str] = set()
        given = forms.conformed(type_, resolved, tell, there)
        self.kept += [Kept(logical_id, type_.name, name) for name in sorted(type_.kept & ({*given} | there))]
        known, unknown = forms.known(type_, {name: value for name, value in given.items() if name not in bad})
        for wrong in self.examine(type_, logical_id, known, unknown | bad):
            path = () if wrong.property is None else tuple(wrong.property.split("."))
            self.problems.add(f"{path[0]}: {wrong.why}" if path else wrong.why, resource=logical_id, property_=path)

    def _policy(self, logical_id: str, resource: Mapping[str, Any], name: str) -> bool:
        policy = resource.get(name, "Delete")
        if not isinstance(policy, str):
            try:
                policy = intrinsics.resolve(policy, self.scope)
            except TemplateError as error:
                self.problems.add(f"{name}: {error.message}", resource=logical_id)
                return False
        if isinstance(policy, Unknown):
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
            except Undecided:
                continue
            except TemplateError as error:
                self.problems.add(f"output {name}: {error.message}", line=line)
                continue
            found.append(Output(name, output["Value"], str(output.get("Description", "")), export))
        return tuple(found)
