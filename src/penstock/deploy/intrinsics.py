"""CloudFormation's intrinsic functions over plain values.

A ``Scope`` says what names mean. What is not known before a resource exists is UNKNOWN, and so is every text made of
it; the same evaluation therefore serves the plan (with UNKNOWN) and its execution (without). Evaluating notes which
resources were referred to, on the branches that conditions chose: those are the implicit dependencies.
See "Intrinsic function reference" in the CloudFormation User Guide.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from penstock.base.errors import TemplateError


class Unknown:
    """A value that is known only once something exists."""

    def __repr__(self) -> str:
        return "(known after apply)"


UNKNOWN: Final = Unknown()


class Undecided(TemplateError):
    """A condition that asks for a parameter of which the value is not known: the template may yet be right."""


class _NoValue:
    """AWS::NoValue: what holds it is left out."""


_NO_VALUE: Final = _NoValue()

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_DYNAMIC = re.compile(r"\{\{resolve:([a-zA-Z-]+):([^}]*)\}\}")
_ZONES = "abc"  # three availability zones per region
_CIDR_LIMIT = 256  # Fn::Cidr: "Valid values for count are 1 to 256"

Lookup = Callable[[str, str | None], Any]


def _no_export(name: str) -> Any:
    raise TemplateError(f"no application exports {name!r}; deploy the one that does first")


@dataclass(slots=True)
class Scope:
    """What a template's names mean.

    ``resource(logical_id, attribute)`` gives an attribute, or what Ref gives when the attribute is None. ``resources``
    are all logical ids; a reference to another name is an error. ``referred`` collects the resources that were
    looked up, ``imported`` the exports.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    pseudo: Mapping[str, Any] = field(default_factory=dict)
    mappings: Mapping[str, Any] = field(default_factory=dict)
    conditions: Mapping[str, Any] = field(default_factory=dict)
    resources: frozenset[str] = frozenset()
    resource: Lookup = lambda logical_id, attribute: UNKNOWN
    export: Callable[[str], Any] = _no_export
    referred: set[str] = field(default_factory=set)
    imported: set[str] = field(default_factory=set)
    decided: dict[str, bool] = field(default_factory=dict)


def pseudo_parameters(*, account: str, region: str, stack_name: str, stack_id: str) -> dict[str, Any]:
    """The pseudo parameters of a stack; AWS::NoValue is handled by ``resolve``."""
    return {
        "AWS::AccountId": account,
        "AWS::NotificationARNs": [],
        "AWS::Partition": "aws",
        "AWS::Region": region,
        "AWS::StackId": stack_id,
        "AWS::StackName": stack_name,
        "AWS::URLSuffix": "amazonaws.com",
    }


def resolve(value: Any, scope: Scope) -> Any:
    """The value with every intrinsic function carried out; None where AWS::NoValue is all there is."""
    result = _Evaluation(scope).value(value)
    return None if result is _NO_VALUE else result


def holds(name: str, scope: Scope) -> bool:
    """Whether a condition of the template is true; TemplateError when there is none of this name."""
    return _Evaluation(scope).condition(name)


def is_known(value: Any) -> bool:
    """Whether nothing in the value is UNKNOWN."""
    if isinstance(value, dict):
        return all(is_known(item) for item in value.values())
    if isinstance(value, list):
        return all(is_known(item) for item in value)
    return not isinstance(value, Unknown)


def text_of(value: Any) -> str:
    """A scalar as CloudFormation writes it inside text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


class _Evaluation:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self._deciding: list[str] = []

    def value(self, value: Any) -> Any:
        if isinstance(value, dict):
            if len(value) == 1:
                [(name, argument)] = value.items()
                function = _FUNCTIONS.get(name)
                if function is not None:
                    return function(self, argument)
                if name.startswith("Fn::"):
                    raise TemplateError(_unknown_function(name))
            resolved = {key: self.value(item) for key, item in value.items()}
            return {key: item for key, item in resolved.items() if item is not _NO_VALUE}
        if isinstance(value, list):
            items = [self.value(item) for item in value]
            return [item for item in items if item is not _NO_VALUE]
        if isinstance(value, str) and "{{resolve:" in value:
            refuse_dynamic(value)
        return value

    # --- names

    def ref(self, argument: Any) -> Any:
        if not isinstance(argument, str):
            raise TemplateError(f"Ref takes the name of a parameter or resource, not {_shown(argument)}")
        scope = self.scope
        if argument == "AWS::NoValue":
            return _NO_VALUE
        if argument in scope.pseudo:
            return scope.pseudo[argument]
        if argument in scope.parameters:
            return scope.parameters[argument]
        if argument in scope.resources:
            scope.referred.add(argument)
            return scope.resource(argument, None)
        raise TemplateError(f"Ref to {argument!r}, which is no parameter and no resource of this template")

    def get_att(self, argument: Any) -> Any:
        if isinstance(argument, str):
            argument = argument.split(".", 1)
        if not isinstance(argument, list) or len(argument) != 2 or not isinstance(argument[0], str):
            raise TemplateError(f"Fn::GetAtt takes a resource and an attribute, not {_shown(argument)}")
        logical_id, attribute = argument[0], self.value(argument[1])
        if logical_id not in self.scope.resources:
            raise TemplateError(f"Fn::GetAtt of {logical_id!r}, which is no resource of this template")
        self.scope.referred.add(logical_id)
        return UNKNOWN if attribute is UNKNOWN else self.scope.resource(logical_id, str(attribute))

    def sub(self, argument: Any) -> Any:
        own: dict[str, Any] = {}
        if isinstance(argument, list):
            if len(argument) != 2 or not isinstance(argument[1], dict):
                raise TemplateError("Fn::Sub takes a text, or a list of a text and a mapping")
            argument, own = argument[0], argument[1]
        if not isinstance(argument, str):
            raise TemplateError(f"Fn::Sub takes a text, not {_shown(argument)}")
        unknown = False

        def replaced(match: re.Match[str]) -> str:
            nonlocal unknown
            name = match[1]
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            name = name.strip()
            if name in own:
                found = self.value(own[name])
            elif "." in name:
                found = self.get_att(name.split(".", 1))
            else:
                found = self.ref(name)
            if isinstance(found, Unknown):
                unknown = True
                return ""
            if isinstance(found, (dict, list)) or found is _NO_VALUE:
                raise TemplateError(f"${{{name}}} in Fn::Sub is not a text; use Fn::Join for lists")
            return text_of(found)

        text = _VARIABLE.sub(replaced, argument)
        refuse_dynamic(text)
        return UNKNOWN if unknown else text

    def import_value(self, argument: Any) -> Any:
        name = self.value(argument)
        if isinstance(name, Unknown):
            return UNKNOWN
        self.scope.imported.add(text_of(name))
        return self.scope.export(text_of(name))

    def find_in_map(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) not in (3, 4):
            raise TemplateError("Fn::FindInMap takes a map, a first key and a second key")
        keys = [self.value(item) for item in argument[:3]]
        if any(isinstance(key, Unknown) for key in keys):
            return UNKNOWN
        found: Any = self.scope.mappings
        for key in keys:
            found = found.get(text_of(key)) if isinstance(found, dict) else None
        if found is not None:
            return found
        default = argument[3] if len(argument) == 4 else None
        if isinstance(default, dict) and "DefaultValue" in default:
            return self.value(default["DefaultValue"])
        raise TemplateError(f"Fn::FindInMap: there is no {'/'.join(text_of(key) for key in keys)} in Mappings")

    # --- texts and lists

    def join(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 2:
            raise TemplateError("Fn::Join takes a delimiter and a list")
        delimiter, items = self.value(argument[0]), self.value(argument[1])
        if isinstance(items, Unknown) or isinstance(delimiter, Unknown):
            return UNKNOWN
        if not isinstance(items, list):
            raise TemplateError(f"Fn::Join takes a list, not {_shown(items)}")
        if not is_known(items):
            return UNKNOWN
        if any(isinstance(item, (dict, list)) for item in items):
            raise TemplateError("Fn::Join takes a list of texts; one of its items is a mapping or a list")
        text = str(delimiter).join(text_of(item) for item in items)
        refuse_dynamic(text)
        return text

    def split(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 2:
            raise TemplateError("Fn::Split takes a delimiter and a text")
        delimiter, text = self.value(argument[0]), self.value(argument[1])
        if isinstance(text, Unknown) or isinstance(delimiter, Unknown):
            return UNKNOWN
        if not delimiter:
            raise TemplateError("Fn::Split needs a delimiter that is not empty")
        return text_of(text).split(text_of(delimiter))

    def select(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 2:
            raise TemplateError("Fn::Select takes an index and a list")
        index, items = self.value(argument[0]), self.value(argument[1])
        if isinstance(items, Unknown) or isinstance(index, Unknown):
            return UNKNOWN
        if not isinstance(items, list):
            raise TemplateError(f"Fn::Select takes a list, not {_shown(items)}")
        try:
            position = int(index)
        except (TypeError, ValueError):
            raise TemplateError(f"Fn::Select takes a number first, not {_shown(index)}") from None
        if not 0 <= position < len(items):
            raise TemplateError(f"Fn::Select: there is no item {position} in a list of {len(items)}")
        return items[position]

    def base64(self, argument: Any) -> Any:
        text = self.value(argument)
        return UNKNOWN if isinstance(text, Unknown) else base64.b64encode(text_of(text).encode()).decode()

    def length(self, argument: Any) -> Any:
        items = self.value(argument)
        if isinstance(items, Unknown):
            return UNKNOWN
        if not isinstance(items, list):
            raise TemplateError(f"Fn::Length takes a list, not {_shown(items)}")
        return len(items)

    def to_json(self, argument: Any) -> Any:
        found = self.value(argument)
        return json.dumps(found, separators=(",", ":")) if is_known(found) else UNKNOWN

    def zones(self, argument: Any) -> Any:
        region = self.value(argument)
        if isinstance(region, Unknown):
            return UNKNOWN
        region = region or self.scope.pseudo.get("AWS::Region", "")
        return [f"{region}{zone}" for zone in _ZONES]

    def cidr(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) not in (2, 3):
            raise TemplateError("Fn::Cidr takes an address block, a count and the bits of a subnet")
        block, count, *rest = (self.value(item) for item in argument)
        if not is_known([block, count, *rest]):
            return UNKNOWN
        try:
            network = ipaddress.ip_network(str(block), strict=False)
            bits = int(rest[0]) if rest else network.max_prefixlen // 4
            amount = int(count)
            if not 1 <= amount <= _CIDR_LIMIT:
                raise ValueError(f"the count must be 1 to {_CIDR_LIMIT}")
            size = 1 << bits
            if amount * size > network.num_addresses:
                raise ValueError(f"{amount} blocks of {size} addresses do not fit into {network}")
        except (ValueError, TypeError) as error:
            raise TemplateError(f"Fn::Cidr: {error}") from None
        prefix = network.max_prefixlen - bits
        start = int(network.network_address)
        kind = type(network.network_address)
        return [f"{kind(start + index * size)}/{prefix}" for index in range(amount)]

    def transform(self, argument: Any) -> Any:
        name = argument.get("Name") if isinstance(argument, dict) else argument
        raise TemplateError(f"the macro {name!r} cannot be run here; put what it makes into the template")

    # --- conditions

    def condition(self, argument: Any) -> bool:
        if not isinstance(argument, str):
            raise TemplateError(f"Condition takes the name of a condition, not {_shown(argument)}")
        decided = self.scope.decided
        if argument in decided:
            return decided[argument]
        if argument not in self.scope.conditions:
            raise TemplateError(f"there is no condition {argument!r} in the section Conditions")
        if argument in self._deciding:
            raise TemplateError(f"the conditions {' → '.join([*self._deciding, argument])} need each other")
        self._deciding.append(argument)
        try:
            decided[argument] = self.truth(self.scope.conditions[argument])
        finally:
            self._deciding.pop()
        return decided[argument]

    def truth(self, value: Any) -> bool:
        """A condition function's answer; in conditions the texts true and false count as well."""
        if isinstance(value, dict) and len(value) == 1 and "Condition" in value:
            return self.condition(value["Condition"])
        found = self.value(value)
        if isinstance(found, bool):
            return found
        if isinstance(found, str) and found.lower() in ("true", "false"):
            return found.lower() == "true"
        self._refuse_undecided(found)
        raise TemplateError(f"a condition must be a condition function, not {_shown(found)}")

    def _refuse_undecided(self, value: Any) -> None:
        if not is_known(value) and not is_known(list(self.scope.parameters.values())):
            raise Undecided("a condition asks for a parameter that has no value")

    def if_(self, argument: Any) -> Any:
        if not isinstance(argument, list) or len(argument) != 3:
            raise TemplateError("Fn::If takes a condition, a value if it is true and one if it is false")
        try:
            chosen = self.condition(argument[0]) if isinstance(argument[0], str) else self.truth(argument[0])
        except Undecided:
            return UNKNOWN
        return self.value(argument[1] if chosen else argument[2])

    def equals(self, argument: Any) -> bool:
        if not isinstance(argument, list) or len(argument) != 2:
            raise TemplateError("Fn::Equals takes two values")
        left, right = (self.value(item) for item in argument)
        self._refuse_undecided([left, right])
        if not is_known([left, right]):
            raise TemplateError("a condition cannot refer to a resource; use a parameter")
        if isinstance(left, (dict, list)) or isinstance(right, (dict, list)):
            return bool(left == right)
        return text_of(left) == text_of(right)

    def all_(self, argument: Any) -> bool:
        return all(self.truth(item) for item in _several(argument, "Fn::And"))

    def any_(self, argument: Any) -> bool:
        return any(self.truth(item) for item in _several(argument, "Fn::Or"))

    def not_(self, argument: Any) -> bool:
        if isinstance(argument, list):
            if len(argument) != 1:
                raise TemplateError("Fn::Not takes one condition")
            argument = argument[0]
        return not self.truth(argument)


def _several(argument: Any, name: str) -> list[Any]:
    if not isinstance(argument, list) or not argument:
        raise TemplateError(f"{name} takes a list of conditions")
    return argument


def refuse_dynamic(text: str) -> None:
    """TemplateError for ``{{resolve:service:…}}``: the services behind it are not here yet."""
    match = _DYNAMIC.search(text)
    if match is None:
        return
    service = {"ssm": "Parameter Store", "ssm-secure": "Parameter Store", "secretsmanager": "Secrets Manager"}
    name = service.get(match[1], match[1])
    raise TemplateError(
        f"{match[0]} refers to {name}, which is not here yet; put the value in a parameter of the template"
    )


def _unknown_function(name: str) -> str:
    if name.startswith("Fn::ForEach"):
        return f"{name} needs 'Transform: AWS::LanguageExtensions' and stands for entries of a section, not for a value"
    return f"{name} is no intrinsic function of CloudFormation that may stand here"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


_FUNCTIONS: Final[Mapping[str, Callable[[_Evaluation, Any], Any]]] = {
    "Ref": _Evaluation.ref,
    "Fn::And": _Evaluation.all_,
    "Fn::Base64": _Evaluation.base64,
    "Fn::Cidr": _Evaluation.cidr,
    "Fn::Equals": _Evaluation.equals,
    "Fn::FindInMap": _Evaluation.find_in_map,
    "Fn::GetAZs": _Evaluation.zones,
    "Fn::GetAtt": _Evaluation.get_att,
    "Fn::If": _Evaluation.if_,
    "Fn::ImportValue": _Evaluation.import_value,
    "Fn::Join": _Evaluation.join,
    "Fn::Length": _Evaluation.length,
    "Fn::Not": _Evaluation.not_,
    "Fn::Or": _Evaluation.any_,
    "Fn::Select": _Evaluation.select,
    "Fn::Split": _Evaluation.split,
    "Fn::Sub": _Evaluation.sub,
    "Fn::ToJsonString": _Evaluation.to_json,
    "Fn::Transform": _Evaluation.transform,
}
