"""Paths and templates, by the examples of "Amazon EventBridge input transformation" (EventBridge User Guide)."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.engine.path import MISSING, NotJson, Path, PathError, Template, Transformer

EVENT = {
    "version": "0",
    "time": "2015-11-11T21:29:54Z",
    "resources": ["arn:aws:ec2:us-east-1:123456789012:instance/i-abcd1111"],
    "detail": {"instance-id": "i-0123456789", "state": "RUNNING", "tags": [{"k": "a"}, {"k": "b"}], "count": 3},
}
PATHS = {"instance": "$.detail.instance-id", "state": "$.detail.state", "detail": "$.detail", "none": "$.detail.none"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$", EVENT),
        ("$.", EVENT),
        ("$.detail.instance-id", "i-0123456789"),
        ("$['detail']['state']", "RUNNING"),
        ("$.resources[0]", EVENT["resources"][0]),
        ("$.resources[1]", MISSING),
        ("$.detail.tags[*].k", ["a", "b"]),
        ("$.detail.tags[1].k", "b"),
        ("$.detail.*", list(EVENT["detail"].values())),
        ("$.detail.none", MISSING),
        ("$.time.hour", MISSING),
        ("$.none[*]", []),
    ],
)
def test_a_path_leads_to_a_value(path, value):
    found = Path(path).find(EVENT)
    assert found is MISSING if value is MISSING else found == value


@pytest.mark.parametrize("path", ["detail", "$detail", "$..a", "$.a[?(@.b)]", "$.a[-1]", "$.a[0:2]", "$.a b"])
def test_a_path_eventbridge_does_not_read_is_refused(path):
    with pytest.raises(PathError):
        Path(path)


@pytest.mark.parametrize(
    ("template", "output"),
    [
        ('"instance <instance> is in <state>"', '"instance i-0123456789 is in RUNNING"'),
        ('"instance \\"<instance>\\" is in <state>"', '"instance \\"i-0123456789\\" is in RUNNING"'),
        ('{"instance" : <instance>, "state": <state>}', '{"instance" : "i-0123456789", "state": "RUNNING"}'),
        (
            '{"instance": <instance>, "state": "<state>", "status": "instance \\"<instance>\\" is in <state>"}',
            '{"instance": "i-0123456789", "state": "RUNNING", "status": "instance \\"i-0123456789\\" is in RUNNING"}',
        ),
        (
            '{"state": [9, <state>, true], "Transformed": "Yes"}',
            '{"state": [9, "RUNNING", true], "Transformed": "Yes"}',
        ),
        ('{"d": <detail>}', '{"d": ' + json.dumps(EVENT["detail"], separators=(",", ":")) + "}"),
        ('"Detail is <detail>"', '"Detail is {instance-id:i-0123456789,state:RUNNING,tags:[{k:a},{k:b}],count:3}"'),
        ('{"missing": <none>, "inside": "[<none>]"}', '{"missing": "", "inside": "[]"}'),
        ('{"rule": <aws.events.rule-name>}', '{"rule": "the-rule"}'),
    ],
)
def test_a_template_is_filled_as_the_guide_shows(template, output):
    assert Transformer(PATHS, template).transform(EVENT, {"aws.events.rule-name": "the-rule"}) == output


@pytest.mark.parametrize(
    ("template", "bare"),
    [
        ('{"d": "<detail>"}', "{a:1}"),
        ('{"path": "users/<detail>"}', "{a:1}"),
        ('["<tags>"]', "[b]"),
        ('{"a": "<text>"}', 'say "hi"'),
    ],
)
def test_what_a_value_makes_of_json_that_is_none_is_refused(template, bare):
    event = {"detail": {"a": 1}, "tags": ["b"], "text": 'say "hi"'}
    paths = {"detail": "$.detail", "tags": "$.tags", "text": "$.text"}
    with pytest.raises(NotJson, match="not valid JSON"):
        Transformer(paths, template).transform(event, {})
    string = json.dumps(template)
    assert Transformer(paths, string).transform(event, {}) == re.sub("<.*?>", bare, string)


@pytest.mark.parametrize(
    "template", ['{"a": <a>}', '"<a> and \\"<b>\\""', "<a>", '"line <a>"\n"line <b>"', '[<a>, "<a>"]']
)
def test_a_template_that_is_json_is_accepted(template):
    Template(template).check()


@pytest.mark.parametrize("template", ["<a> is <b>", '{"a": <a>', "{<a> <b>}", "plain text"])
def test_a_template_that_is_no_json_is_refused_with_the_place(template):
    with pytest.raises(PathError, match=r"line: 1, column: \d+"):
        Template(template).check()


VALUES = st.recursive(
    st.one_of(st.text(), st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.from_regex(r"[a-z\-_]{1,6}", fullmatch=True), inner, max_size=3)
    ),
    max_leaves=10,
)


def places(value, path="$"):
    """Every path into a value, with what is there."""
    yield path, value
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in members:
        yield from places(inner, path + (f"[{key}]" if isinstance(key, int) else f".{key}"))


@given(VALUES)
def test_every_place_of_a_value_can_be_reached_by_its_path(value):
    for path, expected in places(value):
        assert Path(path).find(value) == expected


@given(VALUES, VALUES)
def test_a_value_where_json_may_stand_arrives_unchanged(first, second):
    filled = Transformer({"a": "$.a", "b": "$.b"}, '{"x": <a>, "y": [<b>, "fixed <", <a>]}').transform(
        {"a": first, "b": second}, {}
    )
    assert json.loads(filled) == {"x": first, "y": [second, "fixed <", first]}


@given(st.dictionaries(st.from_regex(r"[a-z]{1,4}", fullmatch=True), VALUES, min_size=1, max_size=3))
def test_objects_inside_a_string_lose_their_quotes_only(value):
    filled = Template('"<a>"').render(lambda name: value)
    assert '"' not in filled[1:-1]
    assert filled[1:-1] == json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace('"', "")


def test_a_path_is_gone_once_however_often_a_template_names_it():
    class Elements(list):
        looked_through = 0

        def __iter__(self):
            Elements.looked_through += 1
            return super().__iter__()

    made = Transformer({"a": "$.all[*].b"}, "[<a>, <a>, <a>]").transform({"all": Elements([{"b": 1}, {}])}, {})
    assert (made, Elements.looked_through) == ("[[1], [1], [1]]", 1)
