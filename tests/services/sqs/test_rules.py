"""What is pure: receipt handles, shares, throughput, texts, digests, attributes of queues and messages."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.errors import ApiError
from penstock.services.sqs import attributes, contents, rules
from penstock.services.sqs.errors import InvalidMessageContents, InvalidParameterValue, ReceiptHandleIsInvalid

ids = st.integers(0, (1 << 60) - 1)


@given(queue=ids, id_=ids, receives=st.integers(1, 1000))
def test_a_receipt_handle_says_which_receive_it_is_of(queue: int, id_: int, receives: int) -> None:
    assert rules.receipt_of(rules.handle_of(queue, id_, receives)) == (queue, id_, receives)


@given(text=st.text())
def test_any_other_text_is_no_receipt_handle(text: str) -> None:
    for handle in (text, "AQEB" + text):
        with pytest.raises(ReceiptHandleIsInvalid):
            rules.receipt_of(handle)


def test_a_changed_receipt_handle_is_none() -> None:
    handle = rules.handle_of(1, 2, 3)
    with pytest.raises(ReceiptHandleIsInvalid):
        rules.receipt_of(handle[:10] + ("A" if handle[10] != "A" else "B") + handle[11:])


@given(text=st.text(st.characters(exclude_categories=())))
def test_texts_are_checked_as_the_documented_character_set_says(text: str) -> None:
    allowed = all(
        c in "\t\n\r" or "\x20" <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c >= "\U00010000" for c in text
    )
    try:
        contents.check_text(text)
    except InvalidMessageContents:
        assert not allowed
    else:
        assert allowed


@given(
    waiting=st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers(), max_size=5)),
    held=st.dictionaries(st.sampled_from("abcd"), st.integers(0, 5)),
    limit=st.integers(1, 10),
)
def test_a_fair_share_serves_those_who_hold_least(
    waiting: dict[str, list[int]], held: dict[str, int], limit: int
) -> None:
    named = {tenant: [(tenant, n, i) for i, n in enumerate(messages)] for tenant, messages in waiting.items()}
    share = rules.fair_share(named, held, limit)
    assert len(share) == min(limit, sum(map(len, waiting.values())))
    holds = dict(held)
    for position, (tenant, _, index) in enumerate(share):
        assert index == sum(t == tenant for t, _, _ in share[:position]), "a tenant's messages are out of order"
        left = {t: len(m) - sum(x == t for x, _, _ in share[:position]) for t, m in waiting.items()}
        least = min(holds.get(t, 0) for t, count in left.items() if count)
        assert holds.get(tenant, 0) == least
        holds[tenant] = holds.get(tenant, 0) + 1


def test_a_fifo_queue_takes_300_requests_in_a_second_of_each_action() -> None:
    rate = rules.Rate()
    assert sum(rate.allows(1, "SendMessage", "", 5_000) for _ in range(400)) == 300
    assert rate.allows(1, "ReceiveMessage", "", 5_000)
    assert rate.allows(2, "SendMessage", "", 5_000)
    assert rate.allows(1, "SendMessage", "", 6_000)


# Digests as AWS was recorded to answer them (moto's and LocalStack's public suites).
@pytest.mark.parametrize(
    ("given_attributes", "expected"),
    [
        ({"timestamp": {"StringValue": "1493147359900", "DataType": "Number"}}, "235c5c510d26fb653d073faed50ae77c"),
        (
            {"timestamp": {"StringValue": "1493147359900", "DataType": "Number.java.lang.Long"}},
            "2e2e4876d8e0bd6b8c2c8f556831c349",
        ),
        (
            {
                "id": {"StringValue": "453ae55e-f03b-21a6-a4b1-70c2e2e8fe71", "DataType": "String"},
                "mybin": {"BinaryValue": b"kekchebukek", "DataType": "Binary"},
                "timestamp": {"StringValue": "1603134247654", "DataType": "Number.java.lang.Long"},
                "contentType": {"StringValue": "application/json", "DataType": "String"},
            },
            "049075255ebc53fb95f7f9f3cedf3c50",
        ),
    ],
)
def test_digests_of_message_attributes_are_aws(given_attributes: contents.Attributes, expected: str) -> None:
    assert contents.digest_of_attributes(given_attributes) == expected


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("öther", {"DataType": "String", "StringValue": "x"}, "The message attribute name 'öther' is invalid"),
        ("a..b", {"DataType": "String", "StringValue": "x"}, "The message attribute name 'a..b' is invalid"),
        ("AWS.x", {"DataType": "String", "StringValue": "x"}, "You can't use message attribute names beginning"),
        ("n" * 257, {"DataType": "String", "StringValue": "x"}, "must be shorter than 256 bytes"),
        ("", {"DataType": "String", "StringValue": "x"}, "must contain non-empty message (user) attribute names"),
        ("a", {"DataType": "Text", "StringValue": "x"}, "has an invalid message attribute type"),
        ("a", {"DataType": "String", "StringValue": ""}, "must contain a non-empty value of type 'String'"),
        ("a", {"DataType": "Binary", "StringValue": "x"}, "must contain a non-empty value of type 'Binary'"),
        ("a", {"DataType": "Number", "StringValue": "x"}, "Can't cast the value of message (user) attribute 'a'"),
        ("a", {"DataType": "String", "StringListValues": ["x"]}, "list values in SendMessage operation"),
        ("a", {"DataType": "String." + "x" * 256, "StringValue": "x"}, "attribute type must be shorter"),
    ],
)
def test_a_wrong_message_attribute_is_refused_in_aws_words(name: str, value: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidParameterValue, match=re.escape(sentence)):
        contents.check_attributes({name: value})


def test_message_attributes_count_with_name_type_and_value() -> None:
    assert contents.check_attributes({"abc": {"DataType": "String", "StringValue": "äö"}}) == 3 + 6 + 4
    assert contents.check_attributes({"a": {"DataType": "Binary.x", "BinaryValue": b"12345"}}) == 1 + 8 + 5


@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.one_of(
    st.text(min_size=1).map(lambda v: {"DataType": "String", "StringValue": v}),
    st.binary(min_size=1).map(lambda v: {"DataType": "Binary", "BinaryValue": v}),
)))  # fmt: skip
def test_stored_attributes_come_back(given_attributes: contents.Attributes) -> None:
    try:
        stored = contents.stored(given_attributes)
    except (TypeError, UnicodeEncodeError):
        return  # lone surrogates: refused before they are stored
    assert contents.restored(stored) == given_attributes


def test_a_receive_selects_attributes_by_name_prefix_or_all() -> None:
    held = {name: {"DataType": "String", "StringValue": name} for name in ("Hello", "Help.Me", "General")}
    assert set(contents.selected(held, ["All"])) == set(contents.selected(held, [".*"])) == set(held)
    assert set(contents.selected(held, ["Hel.*"])) == {"Hello", "Help.Me"}
    assert set(contents.selected(held, ["Hello", "Nothing"])) == {"Hello"}
    assert contents.selected(held, ["Hel"]) == {}


@pytest.mark.parametrize(
    ("given_attributes", "fifo", "code", "sentence"),
    [
        ({"DelaySeconds": "901"}, False, "InvalidAttributeValue", "Invalid value for the parameter DelaySeconds."),
        ({"DelaySeconds": " 6"}, False, "InvalidAttributeValue", "Invalid value for the parameter DelaySeconds."),
        ({"MaximumMessageSize": "1048577"}, False, "InvalidAttributeValue", "MaximumMessageSize"),
        ({"MessageRetentionPeriod": "59"}, False, "InvalidAttributeValue", "MessageRetentionPeriod"),
        ({"FifoQueue": "false"}, False, "InvalidAttributeName", "Unknown Attribute FifoQueue."),
        ({"ContentBasedDeduplication": "true"}, False, "InvalidAttributeName", "Unknown Attribute Content"),
        ({"DeduplicationScope": "queue"}, False, "InvalidAttributeName", "only when FifoQueue is set to true"),
        ({"FifoThroughputLimit": "perMessageGroupId"}, True, "InvalidAttributeValue", "DeduplicationScope"),
        ({"KmsMasterKeyId": "k", "SqsManagedSseEnabled": "true"}, False, "InvalidAttributeName", "one type of"),
        ({"Policy": "badjson"}, False, "InvalidAttributeValue", "Invalid value for the parameter Policy."),
        ({"RedrivePolicy": "badjson"}, False, "InvalidAttributeValue", "Redrive policy is not a valid JSON map."),
        ({"RedrivePolicy": "{}"}, False, "InvalidParameterValue", "mandatory attribute: maxReceiveCount."),
        ({"RedrivePolicy": '{"maxReceiveCount":5}'}, False, "InvalidParameterValue", "deadLetterTargetArn."),
        (
            {"RedrivePolicy": '{"deadLetterTargetArn":"dummy","maxReceiveCount":42}'}, False, "InvalidParameterValue",
            "Invalid value for deadLetterTargetArn.",
        ),
        (
            {"RedrivePolicy": '{"deadLetterTargetArn":"arn:aws:sns:us-east-1:123456789012:t","maxReceiveCount":5}'},
            False, "InvalidParameterValue", "Only SQS queues are valid resources",
        ),
        (
            {"RedrivePolicy": '{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:123456789012:q","maxReceiveCount":0}'},
            False, "InvalidParameterValue", "valid values are from 1 to 1000 both inclusive.",
        ),
        ({"RedriveAllowPolicy": "[]"}, False, "InvalidAttributeValue", "unsupported format"),
        ({"RedriveAllowPolicy": '{"redrivePermission":"byQueue"}'}, False, "InvalidParameterValue", "one or more"),
        (
            {"RedriveAllowPolicy": '{"redrivePermission":"denyAll","sourceQueueArns":["x"]}'}, False,
            "InvalidParameterValue", "you must set redrivePermission to byQueue.",
        ),
    ],
)  # fmt: skip
def test_a_wrong_queue_attribute_is_refused_in_aws_words(
    given_attributes: dict[str, str], fifo: bool, code: str, sentence: str
) -> None:
    with pytest.raises(ApiError, match=re.escape(sentence)) as error:
        attributes.checked(given_attributes, fifo=fifo, new=True, current={})
    assert error.value.code == code


@pytest.mark.parametrize("name", ["", "p" * 81, "/my/test", "!@£$%^&*()queue", "a.fifo", "in.fo"])
def test_a_wrong_queue_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidParameterValue, match="1 to 80 in length"):
        attributes.check_name(name, False)
