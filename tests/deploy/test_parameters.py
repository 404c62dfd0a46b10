"""Parameters: given values, defaults, and what CloudFormation refuses."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.base.errors import TemplateError
from penstock.deploy.parameters import resolve
from penstock.deploy.problems import Lines, Problems


def values(declared: dict[str, Any], **given: str) -> dict[str, Any]:
    problems = Problems(Lines())
    found = resolve(declared, given, problems)
    problems.raise_if_any()
    assert found.unknown == frozenset()
    return dict(found.values)


def test_values_are_given_or_defaults() -> None:
    declared = {
        "A": {"Type": "String", "Default": "x"},
        "B": {"Type": "Number", "Default": 5},
        "C": {"Type": "CommaDelimitedList", "Default": "a, b"},
        "D": {"Type": "List<Number>"},
        "E": {"Type": "String", "Default": True},
    }
    assert values(declared, D="1,2", A="y") == {"A": "y", "B": "5", "C": ["a", "b"], "D": ["1", "2"], "E": "true"}


@pytest.mark.parametrize(
    ("declaration", "value", "message"),
    [
        ({"AllowedValues": ["a", "b"]}, "c", "'c' and must be one of a, b"),
        ({"AllowedPattern": "[a-z]+"}, "ab1", r"must match \[a-z\]"),
        ({"AllowedPattern": r"[\p{Upper}]+", "ConstraintDescription": "capitals"}, "ab", r"\(capitals\)"),
        ({"MinLength": 3}, "ab", "at least 3 characters"),
        ({"MaxLength": "1"}, "ab", "at most 1 characters"),
        ({"Type": "Number"}, "x", "must be a number"),
        ({"Type": "Number", "MinValue": 3}, "2", "at least 3"),
        ({"Type": "Number", "MaxValue": 3}, "4", "at most 3"),
        ({"Type": "Text"}, "4", "unknown type Text"),
        ({"Type": "AWS::SSM::Parameter::Value<String>"}, "4", "no Parameter Store here yet"),
        ({"NoEcho": True, "MinLength": 3}, "ab", r"'\*\*\*\*'"),
    ],
)
def test_what_is_not_allowed_is_refused(declaration: dict[str, Any], value: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        values({"P": {"Type": "String", **declaration}}, P=value)


def test_all_that_is_missing_or_unknown_is_told_at_once() -> None:
    with pytest.raises(TemplateError) as caught:
        values({"A": {"Type": "String"}, "B": {"Type": "String"}}, C="1")
    assert "no parameter C" in caught.value.message
    assert "--param A=…" in caught.value.message and "--param B=…" in caught.value.message


def test_secrets_are_masked_when_shown() -> None:
    found = resolve({"S": {"Type": "String", "NoEcho": "true"}}, {"S": "secret"}, Problems(Lines()))
    assert found.values == {"S": "secret"} and found.shown() == {"S": "****"}


def test_a_parameter_without_a_usable_value_is_noted_as_unknown() -> None:
    problems = Problems(Lines())
    declared = {"A": {"Type": "String"}, "B": {"Type": "Number"}, "C": {"Type": "Text"}, "D": {}}
    declared["E"] = {"Type": "String"}
    found = resolve(declared, {"B": "x", "E": "e"}, problems)
    assert (found.values, found.unknown, len(problems.found)) == ({"E": "e"}, {"A", "B", "C", "D"}, 4)
