"""A template's parameters: what was given, defaults, and CloudFormation's checks on both.

See "CloudFormation template Parameters syntax" in the CloudFormation User Guide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.deploy.problems import Problems

PARAMETERS_PER_TEMPLATE = 200  # CloudFormation quotas, "Parameters"
VALUE_BYTES = 4096  # CloudFormation quotas, "Parameter value length"
MASK = "****"

_KNOWN = frozenset({
    "Type", "Default", "Description", "NoEcho", "AllowedValues", "AllowedPattern", "ConstraintDescription", "MinLength",
    "MaxLength", "MinValue", "MaxValue",
})  # fmt: skip
_AWS_TYPE = re.compile(r"(List<)?AWS::(EC2|Route53|SSM)::[A-Za-z0-9:]+>?$")


@dataclass(frozen=True, slots=True)
class Parameters:
    """The parameters' values: text, or a list of texts.

    ``hidden`` are the names of NoEcho ones, ``unknown`` of those without a value that they may have: as long as there
    are such, nothing is deployed.
    """

    values: Mapping[str, str | list[str]] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()

    def shown(self) -> dict[str, str]:
        """Every value as text, NoEcho ones masked."""
        return {
            name: MASK if name in self.hidden else value if isinstance(value, str) else ",".join(value)
            for name, value in self.values.items()
        }


def resolve(declared: Any, given: Mapping[str, str], problems: Problems) -> Parameters:
    """Every declared parameter's value; what is missing, unknown or not allowed is noted.

    TemplateError when the section is none.
    """
    lines = problems.lines
    declared = declared or {}
    if not isinstance(declared, dict):
        problems.add("the section Parameters must be a mapping", line=lines.of("Parameters"))
        problems.raise_if_any()
    if len(declared) > PARAMETERS_PER_TEMPLATE:
        problems.add(f"{len(declared)} parameters; a template may have {PARAMETERS_PER_TEMPLATE}")
    for name in sorted(set(given) - set(declared)):
        known = ", ".join(sorted(declared)) or "none"
        problems.add(f"there is no parameter {name}; this template's parameters: {known}")
    values: dict[str, str | list[str]] = {}
    hidden, unfit = set[str](), set[str]()
    for name, declaration in declared.items():
        line = lines.of("Parameters", name)
        if not isinstance(declaration, dict) or not isinstance(declaration.get("Type"), str):
            problems.add(f"parameter {name} needs a Type", line=line)
            unfit.add(name)
            continue
        value, wrong = _value(name, declaration, given.get(name))
        for message in wrong:
            problems.add(message, line=line)
        if value is None or wrong:
            unfit.add(name)
        else:
            values[name] = value
        if str(declaration.get("NoEcho", "")).lower() == "true":
            hidden.add(name)
    return Parameters(values, frozenset(hidden), frozenset(unfit))


def _value(name: str, declaration: dict[str, Any], given: str | None) -> tuple[str | list[str] | None, list[str]]:
    unknown = sorted(set(declaration) - _KNOWN)
    if unknown:
        return None, [f"parameter {name} has unknown settings: {', '.join(unknown)}"]
    type_ = declaration["Type"]
    if type_.startswith("AWS::SSM::Parameter::Value<"):
        return None, [
            f"parameter {name} has the type {type_}, and there is no Parameter Store here yet; "
            f"make it a String and give its value with --param {name}=…"
        ]
    listed = type_ == "CommaDelimitedList" or type_.startswith("List<")
    if type_ not in ("String", "Number", "CommaDelimitedList", "List<Number>", "List<String>") and not _AWS_TYPE.match(
        type_
    ):
        return None, [f"parameter {name} has the unknown type {type_}; use String, Number or CommaDelimitedList"]
    if given is None:
        if "Default" not in declaration:
            return None, [f"parameter {name} has no default; give it with --param {name}=…"]
        given = _text(declaration["Default"])
    if len(given.encode()) > VALUE_BYTES:
        return None, [f"parameter {name} is longer than {VALUE_BYTES} bytes"]
    if listed:
        items = [item.strip() for item in given.split(",")] if given else []
        wrong = [message for item in items for message in _refusals(name, declaration, item, "Number" in type_)]
        return items, wrong
    return given, _refusals(name, declaration, given, type_ == "Number")


def _refusals(name: str, declaration: dict[str, Any], value: str, number: bool) -> list[str]:
    """Why CloudFormation would not take this value."""
    shown = MASK if str(declaration.get("NoEcho", "")).lower() == "true" else value
    reasons = []
    allowed = [_text(item) for item in declaration.get("AllowedValues") or ()]
    if allowed and value not in allowed:
        reasons.append(f"must be one of {', '.join(allowed)}")
    pattern = declaration.get("AllowedPattern")
    if pattern is not None:
        try:
            if re.fullmatch(_python_pattern(str(pattern)), value) is None:
                reasons.append(f"must match {pattern}")
        except re.error as error:
            return [f"parameter {name}: AllowedPattern {pattern!r} is no regular expression ({error}); correct it"]
    if number:
        try:
            amount = float(value)
        except ValueError:
            return [f"parameter {name} is {shown!r} and must be a number"]
        if "MinValue" in declaration and amount < float(declaration["MinValue"]):
            reasons.append(f"must be at least {declaration['MinValue']}")
        if "MaxValue" in declaration and amount > float(declaration["MaxValue"]):
            reasons.append(f"must be at most {declaration['MaxValue']}")
    if "MinLength" in declaration and len(value) < int(declaration["MinLength"]):
        reasons.append(f"must have at least {declaration['MinLength']} characters")
    if "MaxLength" in declaration and len(value) > int(declaration["MaxLength"]):
        reasons.append(f"must have at most {declaration['MaxLength']} characters")
    if not reasons:
        return []
    described = declaration.get("ConstraintDescription")
    return [f"parameter {name} is {shown!r} and {'; '.join(reasons)}" + (f" ({described})" if described else "")]


_JAVA_CLASSES = {
    "Alpha": "a-zA-Z", "Alnum": "a-zA-Z0-9", "Digit": "0-9", "Lower": "a-z", "Upper": "A-Z", "Print": " -~",
    "ASCII": "\\x00-\\x7f", "Space": "\\s", "XDigit": "0-9a-fA-F", "Punct": "!-/:-@\\[-`{-~",
    "L": "^\\W\\d_", "N": "\\d",
}  # fmt: skip


def _python_pattern(pattern: str) -> str:
    """A Java regular expression in Python's words, where they differ in what templates use: POSIX classes."""

    def inside(match: re.Match[str]) -> str:
        return re.sub(r"\\p\{(\w+)\}", lambda found: _JAVA_CLASSES.get(found[1], found[0]), match[0])

    pattern = re.sub(r"\[(?:\\.|[^\]\\])*\]", inside, pattern)
    return re.sub(rf"\\p\{{({'|'.join(_JAVA_CLASSES)})\}}", lambda found: f"[{_JAVA_CLASSES[found[1]]}]", pattern)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(_text(item) for item in value)
    return "" if value is None else str(value)
