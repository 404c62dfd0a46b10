"""Every operator, as the EventBridge User Guide describes it ("Comparison operators for use in event patterns")."""

import json

import pytest

from penstock.engine.pattern import PatternError, compile

EVENT = {
    "version": "0",
    "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
    "detail-type": "EC2 Instance State-change Notification",
    "source": "aws.ec2",
    "account": "111122223333",
    "time": "2017-12-22T18:43:48Z",
    "region": "us-west-1",
    "resources": ["arn:aws:ec2:us-west-1:123456789012:instance/i-1234567890abcdef0"],
    "detail": {
        "instance-id": "i-1234567890abcdef0",
        "state": "terminated",
        "count": 5,
        "limit": 301.8,
        "source-ip": "10.0.0.33",
        "file": "report.PNG",
        "path": "dir/sub/file.txt",
        "empty": "",
        "nothing": None,
        "flag": True,
        "big": 12345678901234567890,
    },
}

MATCHING = [
    {"source": ["aws.ec2"]},
    {"source": ["aws.s3", "aws.ec2"], "detail": {"state": ["terminated"]}},
    {"resources": ["arn:aws:ec2:us-west-1:123456789012:instance/i-1234567890abcdef0", "other"]},
    {"time": [{"prefix": "2017-12-22"}]},
    {"source": [{"prefix": {"equals-ignore-case": "AWS."}}]},
    {"detail": {"file": [{"suffix": ".PNG"}]}},
    {"detail": {"file": [{"suffix": {"equals-ignore-case": ".png"}}]}},
    {"detail": {"state": [{"equals-ignore-case": "TERMinated"}]}},
    {"detail": {"state": [{"anything-but": "initializing"}]}},
    {"detail": {"state": [{"anything-but": ["stopped", "overloaded"]}]}},
    {"detail": {"count": [{"anything-but": [100, 200]}]}},
    {"detail": {"count": [{"anything-but": "5"}]}},
    {"detail": {"state": [{"anything-but": {"prefix": "init"}}]}},
    {"detail": {"state": [{"anything-but": {"suffix": ["ing", "ed "]}}]}},
    {"detail": {"state": [{"anything-but": {"equals-ignore-case": ["INITIALIZING", "stopped"]}}]}},
    {"detail": {"path": [{"anything-but": {"wildcard": "*/lib/*"}}]}},
    {"detail": {"count": [{"numeric": ["=", 5]}]}},
    {"detail": {"count": [{"numeric": [">", 0, "<=", 5]}]}},
    {"detail": {"limit": [{"numeric": ["=", 3.018e2]}]}},
    {"detail": {"limit": [{"numeric": [">=", 301.8]}]}},
    {"detail": {"count": [5.0]}},
    {"detail": {"source-ip": [{"cidr": "10.0.0.0/24"}]}},
    {"detail": {"source-ip": ["10.0.0.33"]}},
    {"detail": {"path": [{"wildcard": "dir/*/file.*"}]}},
    {"detail": {"count": [{"exists": True}], "missing": [{"exists": False}]}},
    {"detail": {"empty": [""]}},
    {"detail": {"nothing": [None]}},
    {"detail": {"flag": [True]}},
    {"detail": {"big": [12345678901234567890]}},
    {"detail": {"$or": [{"count": [{"numeric": [">", 10]}]}, {"limit": [{"numeric": ["<", 1000]}]}]}},
    {"source": ["aws.ec2"], "$or": [{"region": ["eu-west-1"]}, {"detail": {"state": ["terminated"]}}]},
    {"detail.state": ["terminated"]},
]

NOT_MATCHING = [
    {"source": ["AWS.ec2"]},
    {"source": ["aws.ec2"], "detail": {"state": ["running"]}},
    {"detail": {"count": ["5"]}},
    {"detail": {"state": [{"prefix": "Term"}]}},
    {"detail": {"count": [{"prefix": "5"}]}},
    {"detail": {"file": [{"suffix": ".png"}]}},
    {"detail": {"state": [{"anything-but": "terminated"}]}},
    {"detail": {"count": [{"anything-but": [5.0]}]}},
    {"detail": {"missing": [{"anything-but": "x"}]}},
    {"detail": {"state": [{"anything-but": {"equals-ignore-case": "TERMINATED"}}]}},
    {"detail": {"path": [{"anything-but": {"wildcard": "*/sub/*"}}]}},
    {"detail": {"count": [{"numeric": ["<", 5]}]}},
    {"detail": {"state": [{"numeric": ["=", 5]}]}},
    {"detail": {"source-ip": [{"cidr": "10.0.1.0/24"}]}},
    {"detail": {"path": [{"wildcard": "dir/*/other.*"}]}},
    {"detail": {"path": [{"wildcard": "dir/\\*/file.txt"}]}},
    {"detail": {"count": [{"exists": False}]}},
    {"detail": [{"exists": True}]},  # exists asks for a leaf; detail is an object
    {"detail": {"empty": [None]}},
    {"detail": {"nothing": [""]}},
    {"detail": {"flag": ["true"]}},
    {"detail": {"flag": [1]}},
    {"detail": {"big": [12345678901234567891]}},
    {"source": ["aws.ec2"], "$or": [{"region": ["eu-west-1"]}, {"detail": {"state": ["running"]}}]},
]


@pytest.mark.parametrize("pattern", MATCHING, ids=json.dumps)
def test_a_pattern_that_matches(pattern):
    assert compile(pattern).why(EVENT).reason == "every field matches"
    assert compile(pattern).matches(json.dumps(EVENT))


@pytest.mark.parametrize("pattern", NOT_MATCHING, ids=json.dumps)
def test_a_pattern_that_does_not_match(pattern):
    assert not compile(pattern).matches(EVENT)
    assert not compile(pattern).why(EVENT).matched


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("[]", "Filter is not an object"),
        ("{}", "Empty objects are not allowed"),
        ('{"a": []}', "Empty arrays are not allowed"),
        ('{"a": "b"}', '"a" must be an object or an array'),
        ('{"a": [[1]]}', "Match value must be String, number, true, false, or null"),
        ('{"a": [{"foo": 1}]}', "Unrecognized match type foo"),
        ('{"a": [{"prefix": 1}]}', "prefix match pattern must be a string"),
        ('{"a": [{"wildcard": "a**b"}]}', "Consecutive wildcard characters at pos 2"),
        ('{"a": [{"wildcard": "a\\\\b"}]}', "Invalid escape character at pos 2"),
        ('{"a": [{"cidr": "10.0.0.0/33"}]}', "IPv4 mask bits must be < 32"),
        ('{"a": [{"cidr": "10.0.0.300/8"}]}', "Invalid IP address: 10.0.0.300"),
        ('{"a": [{"numeric": [">", 5, "<", 1]}]}', "Bottom must be less than top"),
        ('{"a": [{"anything-but": [1, "x"]}]}', "Inside anything but list, either all values are number or string"),
        ('{"a": [{"anything-but": null}]}', "Value of anything-but must be an array or single string/number value."),
        ('{"a": [{"exists": null}]}', "exists match pattern must be either true or false."),
        ('{"$or": [{"a": [1]}]}', "There must have at least 2 Objects in $or relationship."),
        ('{"a": [1}', "Unexpected close marker '}': expected ']' (for Array starting at"),
        ('{"a": [1]', "Unexpected end-of-input: expected close marker for Object (start marker at"),
        ('{"a": [nope]}', "Unrecognized token 'nope': was expecting (JSON String, Number, Array, Object"),
        ("", "Filter is not an object"),
    ],
)
def test_a_pattern_aws_would_not_take_is_refused_in_its_words(pattern, sentence):
    with pytest.raises(PatternError) as refused:
        compile(pattern)
    assert str(refused.value).startswith(sentence)


def test_a_refusal_says_where_the_reader_stood():
    with pytest.raises(PatternError) as refused:
        compile('{\n  "pipeline": {\n    "slug": "some"\n  }\n}')
    assert str(refused.value) == (
        '"slug" must be an object or an array\n'
        ' at [Source: (String)"{\n  "pipeline": {\n    "slug": "some"\n  }\n}"; line: 3, column: 14]'
    )


def test_a_pattern_nested_too_deeply_is_refused():
    with pytest.raises(PatternError, match="nested too deeply"):
        compile('{"a":' * 201 + "[1]" + "}" * 201)
    assert compile('{"a":' * 200 + "[1]" + "}" * 200).matches('{"a":' * 200 + "1" + "}" * 200)
    with pytest.raises(PatternError, match="nested too deeply"):
        compile('{"$or":[' * 201)


def test_or_combinations_are_bounded():
    branches = [{f"f{number}": [number]} for number in range(32)]
    with pytest.raises(PatternError, match="too complex"):
        compile({"a": {"$or": branches}, "b": {"$or": branches}})


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ({"people": {"name": ["Anna"], "job": ["Smith"]}}, True),
        ({"people": {"name": ["Anna"], "job": ["Miner"]}}, False),
        ({"people": {"tags": ["b"], "name": ["Peter"]}}, True),
        ({"people": {"tags": ["a"], "name": ["Peter"]}}, False),
        ({"people": {"name": ["Anna"]}, "town": ["Bonn"]}, True),
        ({"matrix": [4]}, True),
    ],
)
def test_fields_come_from_one_element_of_an_array(pattern, matches):
    event = {
        "people": [
            {"name": "Anna", "job": "Smith", "tags": ["a"]},
            {"name": "Peter", "job": "Miner", "tags": ["b"]},
        ],
        "town": "Bonn",
        "matrix": [[1, 2], [3, 4]],
    }
    assert compile(pattern).matches(event) is matches


def test_absence_is_asked_of_the_array_element_gone_to():
    pattern = compile({"items": {"id": ["b"], "note": [{"exists": False}]}})
    assert pattern.matches({"items": [{"id": "a", "note": "x"}, {"id": "b"}]})
    assert not pattern.matches({"items": [{"id": "a"}, {"id": "b", "note": "x"}]})


def test_a_reason_names_the_field_and_what_it_should_be():
    why = compile({"source": ["shop"], "detail": {"total": [{"numeric": [">", 100]}]}}).why(
        {"source": "shop", "detail": {"total": 7}}
    )
    assert why.reason == 'detail.total is 7; the pattern wants {"numeric": [">", 100]}'
    assert [(demand.path, demand.met) for demand in why.alternatives[0]] == [("detail.total", False), ("source", True)]
    missing = compile({"detail": {"a": ["x", "y"]}}).why({"detail": {}})
    assert missing.reason == 'detail.a is missing; the pattern wants one of ["x", "y"]'
    arrays = compile({"a": {"b": [1], "c": [2]}}).why({"a": [{"b": 1, "c": 1}, {"b": 2, "c": 2}]})
    assert arrays.reason == "every field matches, but only in different elements of one array"
