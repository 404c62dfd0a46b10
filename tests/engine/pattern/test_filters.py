"""Filter criteria over records ("Using event filtering with an Amazon SQS event source", Lambda Developer Guide)."""

import json

import pytest

from penstock.engine.pattern import PatternError, compile_filters, explain_filters


def criteria(*patterns):
    return {"Filters": [{"Pattern": json.dumps(pattern)} for pattern in patterns]}


JSON_BODY = {"messageId": "m", "body": json.dumps({"RecordNumber": 10000, "RequestCode": "BBBB"})}
TEXT_BODY = {"messageId": "m", "body": "Result: fine"}


@pytest.mark.parametrize(
    ("patterns", "record", "passes"),
    [
        ([{"body": {"RequestCode": ["BBBB"]}}], JSON_BODY, True),
        ([{"body": {"RequestCode": ["AAAA"]}}], JSON_BODY, False),
        ([{"body": {"RecordNumber": [{"numeric": [">", 9999]}]}}], JSON_BODY, True),
        ([{"body": {"RequestCode": ["AAAA"]}}, {"body": {"RequestCode": ["BBBB"]}}], JSON_BODY, True),
        ([{"body": [{"prefix": "Result: "}]}], TEXT_BODY, True),
        ([{"body": [{"prefix": "Error"}]}], TEXT_BODY, False),
        ([{"body": {"RequestCode": [{"exists": False}]}}], TEXT_BODY, False),  # formats differ: dropped
        ([{"body": [{"prefix": "{"}]}], JSON_BODY, False),  # and the other way round
        ([{"messageId": ["m"]}], TEXT_BODY, True),
        ([{"messageId": ["m"]}], JSON_BODY, True),
        ([{"body": {"a": [{"exists": False}]}}], {"body": "{not json"}, False),
    ],
)
def test_a_record_passes_when_one_filter_lets_it(patterns, record, passes):
    assert compile_filters(criteria(*patterns))(record) is passes


@pytest.mark.parametrize("nothing", [None, {}, {"Filters": []}])
def test_no_criteria_let_everything_pass(nothing):
    assert compile_filters(nothing)(TEXT_BODY)


def test_an_invalid_pattern_is_refused():
    with pytest.raises(PatternError):
        compile_filters({"Filters": [{"Pattern": '{"body": "x"}'}]})


def test_each_filter_tells_why_it_turns_a_record_down() -> None:
    told = explain_filters(criteria({"body": {"n": [1]}}, {"body": ["x"]}))({"body": '{"n": 2}'})
    assert told == (
        "filter 1: body.n is 2; the pattern wants 1; "
        "filter 2: the body is JSON; the pattern is for a body of text"
    )  # fmt: skip
    told = explain_filters(criteria({"awsRegion": ["a"]}))({"body": "x"})
    assert told == 'awsRegion is missing; the pattern wants "a"'


def test_a_reason_is_not_as_long_as_the_value() -> None:
    assert len(explain_filters(criteria({"body": ["x"]}))({"body": "y" * 100_000})) < 200
