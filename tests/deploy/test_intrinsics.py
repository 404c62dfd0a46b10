"""Intrinsic functions, each as the CloudFormation User Guide's page of its name says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.errors import TemplateError
from penstock.deploy.extensions import expand_loops
from penstock.deploy.intrinsics import UNKNOWN, Scope, is_known, pseudo_parameters, resolve


def scope(**more: Any) -> Scope:
    fields: dict[str, Any] = {
        "parameters": {"Stage": "prod", "List": ["a", "b", "c"]},
        "pseudo": pseudo_parameters(account="111111111111", region="eu-west-1", stack_name="app", stack_id="arn:stack"),
        "mappings": {"Sizes": {"prod": {"memory": 512}}},
        "conditions": {
            "IsProd": {"Fn::Equals": [{"Ref": "Stage"}, "prod"]},
            "IsDev": {"Fn::Not": [{"Condition": "IsProd"}]},
            "Both": {"Fn::And": [{"Condition": "IsProd"}, {"Condition": "IsDev"}]},
            "Either": {"Fn::Or": [{"Condition": "IsProd"}, {"Condition": "IsDev"}]},
            "Truth": {"Fn::Equals": [True, "true"]},
            "Loop": {"Condition": "Pool"},
            "Pool": {"Condition": "Loop"},
        },
        "resources": frozenset({"Queue", "Other"}),
        "resource": lambda logical_id, attribute: f"{logical_id}.{attribute or 'id'}",
        "export": lambda name: f"exported {name}",
    }
    return Scope(**(fields | more))


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ({"Ref": "Stage"}, "prod"),
        ({"Ref": "Queue"}, "Queue.id"),
        ({"Ref": "AWS::Region"}, "eu-west-1"),
        ({"Fn::GetAtt": ["Queue", "Arn"]}, "Queue.Arn"),
        ({"Fn::GetAtt": "Queue.Nested.Name"}, "Queue.Nested.Name"),
        ({"Fn::Sub": "${AWS::AccountId}/${Queue.Arn}/${!Kept}/${Stage}"}, "111111111111/Queue.Arn/${Kept}/prod"),
        ({"Fn::Sub": ["${a}-${Stage}", {"a": {"Ref": "Queue"}}]}, "Queue.id-prod"),
        ({"Fn::Join": ["-", ["a", 1, True, {"Ref": "AWS::NoValue"}]]}, "a-1-true"),
        ({"Fn::Join": [",", {"Ref": "List"}]}, "a,b,c"),
        ({"Fn::Select": ["1", {"Ref": "List"}]}, "b"),
        ({"Fn::Split": ["|", "a||b"]}, ["a", "", "b"]),
        ({"Fn::Select": [0, {"Fn::GetAZs": ""}]}, "eu-west-1a"),
        ({"Fn::FindInMap": ["Sizes", {"Ref": "Stage"}, "memory"]}, 512),
        ({"Fn::FindInMap": ["Sizes", "none", "memory", {"DefaultValue": 1}]}, 1),
        ({"Fn::If": ["IsProd", 1, 2]}, 1),
        ({"Fn::If": ["Both", 1, {"Fn::If": ["Either", 3, 4]}]}, 3),
        ({"Fn::If": ["Truth", 1, 2]}, 1),
        ({"Fn::Base64": "héllo"}, "aMOpbGxv"),
        ({"Fn::Cidr": ["192.168.0.0/24", 6, 5]},
         ["192.168.0.0/27", "192.168.0.32/27", "192.168.0.64/27", "192.168.0.96/27", "192.168.0.128/27",
          "192.168.0.160/27"]),
        ({"Fn::ImportValue": {"Fn::Sub": "${Stage}-x"}}, "exported prod-x"),
        ({"Fn::Length": {"Ref": "List"}}, 3),
        ({"Fn::ToJsonString": {"a": {"Ref": "Stage"}}}, '{"a":"prod"}'),
        ({"a": {"Ref": "AWS::NoValue"}, "b": [{"Ref": "AWS::NoValue"}, 1]}, {"b": [1]}),
        ({"Ref": "AWS::NoValue"}, None),
        ({"Condition": {"StringEquals": {"a": {"Ref": "Stage"}}}}, {"Condition": {"StringEquals": {"a": "prod"}}}),
    ],
)  # fmt: skip
def test_a_function_gives_what_its_page_says(value: Any, result: Any) -> None:
    assert resolve(value, scope()) == result


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"Ref": "Nobody"}, "'Nobody', which is no parameter and no resource"),
        ({"Fn::GetAtt": ["Nobody", "Arn"]}, "no resource of this template"),
        ({"Fn::Sub": "${Nobody}"}, "no parameter and no resource"),
        ({"Fn::Select": [3, {"Ref": "List"}]}, "no item 3 in a list of 3"),
        ({"Fn::FindInMap": ["Sizes", "none", "memory"]}, "there is no Sizes/none/memory"),
        ({"Fn::If": ["Nothing", 1, 2]}, "no condition 'Nothing'"),
        ({"Fn::If": ["Loop", 1, 2]}, "Loop → Pool → Loop"),
        ({"Fn::Cidr": ["10.0.0.0/30", 8, 5]}, "do not fit"),
        ({"Fn::Transform": {"Name": "Mine"}}, "the macro 'Mine' cannot be run here"),
        ({"Fn::Nonsense": 1}, "no intrinsic function"),
        ("{{resolve:ssm:/a/b:1}}", "Parameter Store, which is not here yet"),
        ({"Fn::Sub": "x{{resolve:secretsmanager:${Stage}}}"}, "Secrets Manager, which is not here yet"),
        ({"Fn::Join": ["", ["{{resolve:", "ssm:a}}"]]}, "Parameter Store"),
    ],
)
def test_what_has_no_answer_is_an_error_that_says_why(value: Any, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        resolve(value, scope())


def test_only_references_of_the_chosen_branch_count() -> None:
    here = scope()
    resolve({"Fn::If": ["IsProd", {"Ref": "Queue"}, {"Ref": "Other"}]}, here)
    assert here.referred == {"Queue"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("abc{}$ ", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abcd", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_values_without_functions_stay_as_they_are(value: Any) -> None:
    assert resolve(value, Scope()) == value


@given(JSON, st.sampled_from(["Join", "Sub", "Split", "Base64", "ToJsonString", "Select"]))
def test_what_is_made_of_something_unknown_is_unknown(value: Any, name: str) -> None:
    unknown = {"Ref": "Queue"}
    argument = {
        "Join": ["", [unknown, "x"]], "Sub": "a${Queue}", "Split": [",", unknown], "Base64": unknown,
        "ToJsonString": [value, unknown], "Select": [0, {"Fn::Split": [",", unknown]}],
    }[name]  # fmt: skip
    here = scope(resource=lambda logical_id, attribute: UNKNOWN)
    assert resolve({f"Fn::{name}": argument}, here) is UNKNOWN
    assert not is_known(resolve([value, {f"Fn::{name}": argument}], here))


def test_loops_are_written_out() -> None:
    body = {
        "Resources": {
            "Fn::ForEach::Queues": [
                "Name",
                {"Ref": "List"},
                {"Queue${Name}": {"Type": "Q", "Properties": {"QueueName": {"Ref": "Name"}, "T": "x-${Name}"}}},
            ],
            "Fn::ForEach::Dotted": ["Host", ["a.b", "c-d"], {"Host&{Host}": {"Type": "H", "Name": "${Host}"}}],
        },
        "Outputs": {
            "Fn::ForEach::Pairs": [
                "A", ["1", "2"], {"Fn::ForEach::Inner": ["B", ["x", "y"], {"O${A}${B}": {"Value": "${A}${B}"}}]},
            ]
        },
    }  # fmt: skip
    expanded = expand_loops(body, scope())
    assert list(expanded["Resources"]) == ["Queuea", "Queueb", "Queuec", "Hostab", "Hostcd"]
    assert expanded["Resources"]["Queueb"]["Properties"] == {"QueueName": "b", "T": "x-b"}
    assert expanded["Resources"]["Hostab"]["Name"] == "a.b"
    assert expanded["Outputs"]["O2x"] == {"Value": "2x"}
