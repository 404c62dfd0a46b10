"""Template files as values with lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.base.errors import TemplateError
from penstock.deploy import load, samconfig


def test_every_short_form_becomes_its_function() -> None:
    body = load.parse("""
Resources:
  A:
    Properties:
      A: !Ref B
      B: !GetAtt C.D.E
      C: !Sub "${A}"
      D: !Sub ["${a}", {a: !Ref A}]
      E: !If [IsBig, !Join [",", [a]], !Ref AWS::NoValue]
      F: !GetAtt [A, B]
      G: !Base64 text
      H: !And [!Condition X]
""").body
    assert body["Resources"]["A"]["Properties"] == {
        "A": {"Ref": "B"},
        "B": {"Fn::GetAtt": ["C", "D.E"]},
        "C": {"Fn::Sub": "${A}"},
        "D": {"Fn::Sub": ["${a}", {"a": {"Ref": "A"}}]},
        "E": {"Fn::If": ["IsBig", {"Fn::Join": [",", ["a"]]}, {"Ref": "AWS::NoValue"}]},
        "F": {"Fn::GetAtt": ["A", "B"]},
        "G": {"Fn::Base64": "text"},
        "H": {"Fn::And": [{"Condition": "X"}]},
    }


def test_dates_account_ids_and_clock_times_stay_text() -> None:
    body = load.parse("Resources: {V: 2012-10-17, A: 012345678901, T: 12:30:00, N: 42, F: 1.5, B: true, Z: ~}").body
    assert body["Resources"] == {
        "V": "2012-10-17", "A": "012345678901", "T": "12:30:00", "N": 42, "F": 1.5, "B": True, "Z": None,
    }  # fmt: skip


def test_every_part_has_its_line() -> None:
    template = load.parse("Resources:\n  Queue:\n    Type: T\n    Properties:\n      Delay: 1\n")
    assert template.lines.resource("Queue") == 2
    assert template.lines.resource("Queue", "Delay") == 5
    assert template.lines.resource("Queue", "Absent") == 4
    assert template.lines.resource("Absent") == 1


def test_json_with_tabs_has_lines_too() -> None:
    template = load.parse('{\n\t"Resources": {\n\t\t"Queue": {"Type": "T", "Properties": {"Text": "a\\tb"}}\n\t}\n}')
    assert template.lines.resource("Queue") == 3
    assert template.body["Resources"]["Queue"]["Properties"]["Text"] == "a\tb"


def test_a_tab_that_yaml_does_not_take_is_called_a_tab() -> None:
    with pytest.raises(TemplateError, match=":2: not well-formed YAML: a tab; indent with spaces"):
        load.parse("Resources:\n\tQueue: {Type: T}\n")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("A: 1\nB\nC: 2\n", 2, "could not find expected ':'"),
        ("A: 1\nB:2\nC: 1\n", 2, "could not find expected ':'"),
        ("A: 1\nB\n", 2, "could not find expected ':'"),
        ("R:\n  Q:\n    Type T\n    Properties: {}\n", 3, "could not find expected ':'"),
        ("R:\n  - Type T\n    Properties: {}\n", 2, "could not find expected ':'"),
        ("A: 1\n  B: 2\n", 2, "mapping values are not allowed"),
        ("A: some\n  more text\n  B: 2\n", 3, "mapping values are not allowed"),
        ("A: 1\nB: c: d\nE: 1\n", 2, "mapping values are not allowed"),
        ("A: 'x\nB: 1\nC: 1\n", 1, "a text without its closing quote"),
        ("A: {B: 1\nC: 3\n", 2, "for the bracket in line 1"),
        ("R:\n  Q: {T: X, P: {A: 1}\n  S: {T: Y}\n", 3, "for the bracket in line 2"),
        ("R:\n  Q: [1,\n  2\n\n", 2, "a bracket that nothing closes"),
        ("A:\n  B: 1\n C: 2\n", 3, "did not find expected key"),
        ("A: 1\nB: 'x' y\nC: 1\n", 2, "did not find expected key"),
        ("Ä: 1\nB: x\x01y\nC: 1\n", 2, "(#x0001); remove it"),
        ('{"A": 1,\n "B": [1, 2]\n "C": 3}', 2, "Expecting ',' delimiter"),
        ('{"A": 1,\n "B": 2,\n}', 2, "Expecting property name"),
        ('{"A": 1,\n "B": \n}', 2, "Expecting value"),
        ('{"A": 1,\n "B": x\n}', 2, "Expecting value"),
        ('{"A": {\n "B": 1\n\n', 2, "Expecting ',' delimiter"),
    ],
)
def test_a_syntax_error_is_told_with_the_line_to_look_at(text: str, line: int, words: str) -> None:
    with pytest.raises(TemplateError) as caught:
        load.parse(text, "t.yaml")
    assert caught.value.line == line and f"t.yaml:{line}: not well-formed" in caught.value.message, caught.value
    assert words in caught.value.message


def test_an_item_of_a_list_has_its_line() -> None:
    template = load.parse("Resources:\n  R:\n    Properties:\n      Targets:\n      - Id: a\n      - Id: b\n")
    assert template.lines.resource("R", "Targets", "1") == template.lines.resource("R", "Targets", "1", "Arn") == 6


def test_anchors_and_merge_keys_are_written_out() -> None:
    body = load.parse("Common: &c {a: 1, b: 2}\nResources: {X: {<<: *c, b: 3}}").body
    assert body["Resources"]["X"] == {"a": 1, "b": 3}


def test_of_a_key_that_stands_twice_the_last_counts_and_a_warning_says_so() -> None:
    template = load.parse("Resources:\n  A: 1\n  A: 2\n")
    assert template.body["Resources"] == {"A": 2}
    assert template.warnings == ("the template:3: 'A' stands twice in one mapping; the last one counts",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Resources:\n  A: [1\n", "2: not well-formed YAML: a bracket that nothing closes"),
        ('{"Resources": }', "1: not well-formed JSON"),
        ("Resources:\n  A: !Reff B\n", "2: !Reff is no intrinsic function"),
        ("- a\n", "a template is a mapping"),
        ("a: &a [*a]\n", "1: an alias contains itself"),
    ],
)
def test_what_is_no_template_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(TemplateError, match=message):
        load.parse(text)


def test_another_environment_of_samconfig_is_taken_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text("Resources: {}")
    with pytest.raises(TemplateError, match="that could have an environment staging"):
        samconfig.find(tmp_path, environment="staging")
    (tmp_path / "samconfig.toml").write_text("""
version = 0.1
[default.deploy.parameters]
stack_name = "usual"
[staging.deploy.parameters]
stack_name = "staging"
parameter_overrides = ["Stage=dev", "Names=x,y"]
""")
    found = samconfig.find(tmp_path, environment="staging")
    assert found is not None and (found.name, found.parameters) == ("staging", {"Stage": "dev", "Names": "x,y"})
    with pytest.raises(TemplateError, match="has no environment prod; it has: default, staging"):
        samconfig.find(tmp_path, environment="prod")


def test_samconfig_names_stack_template_and_parameters(tmp_path: Path) -> None:
    (tmp_path / "app.yaml").write_text("Resources: {}")
    (tmp_path / "samconfig.toml").write_text("""
version = 0.1
[default.global.parameters]
stack_name = "orders"
[default.build.parameters]
template_file = "app.yaml"
[default.deploy.parameters]
capabilities = "CAPABILITY_IAM"
parameter_overrides = 'Stage="pro d" ParameterKey=Size,ParameterValue=5'
""")
    found = samconfig.find(tmp_path, given={"Size": "6"})
    assert found is not None
    assert (found.name, found.template) == ("orders", tmp_path / "app.yaml")
    assert found.parameters == {"Stage": "pro d", "Size": "6"}
    assert found.ignored == ("capabilities",)


@pytest.mark.parametrize(
    ("given", "parameters"),
    [
        ("A=1 B=two", {"A": "1", "B": "two"}),
        ('A="x=y z" B=\'q\'', {"A": "x=y z", "B": "q"}),
        (["A=1 and 2", "B="], {"A": "1 and 2", "B": ""}),
        ({"A": 1}, {"A": "1"}),
        (r"A=a\ b", {"A": "a b"}),
        ("ParameterKey=A,ParameterValue=https://x/?a=b&c", {"A": "https://x/?a=b&c"}),
    ],
)
def test_overrides_are_read_in_every_form(given: object, parameters: dict[str, str]) -> None:
    assert samconfig.parse_overrides(given) == parameters


def test_a_folder_without_config_gives_the_name(tmp_path: Path) -> None:
    folder = tmp_path / "1 my_app"
    folder.mkdir()
    assert samconfig.find(folder) is None
    (folder / "template.yml").write_text("Resources: {}")
    found = samconfig.find(folder)
    assert found is not None and found.name == "app-1-my-app"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
            f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
        ), "what aliases repeat"),
        ("Resources: " + "[" * 3000 + "]" * 3000, "nested more than"),
        ('{"Resources": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested more than"),
    ],
)  # fmt: skip
def test_a_template_that_grows_without_end_is_refused(text: str, told: str) -> None:
    with pytest.raises(TemplateError, match=told):
        load.parse(text)
