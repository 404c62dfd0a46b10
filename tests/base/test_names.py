"""Ids, their public form, and ARNs."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.clock import MachineClock
from penstock.base.names import Arn, Names, id_of, is_account, uuid_of

ids = st.integers(min_value=0, max_value=(1 << 60) - 1)


@given(ids)
def test_an_id_and_its_uuid_are_two_forms_of_one_thing(id_: int) -> None:
    public = uuid_of(id_)
    assert id_of(public) == id_ == id_of(public.upper())
    assert uuid.UUID(public).version == 4
    assert uuid.UUID(public).variant == uuid.RFC_4122


@given(st.integers(min_value=1 << 40, max_value=(1 << 60) - 1000))
def test_each_part_of_a_uuid_tells_neighbours_apart(id_: int) -> None:
    parts = [uuid_of(id_ + step).split("-") for step in range(100)]
    assert len({part[0] for part in parts}) == len({part[4] for part in parts}) == 100
    assert len({part[4][-6:] for part in parts}) >= 95


@given(st.uuids(version=4))
def test_a_uuid_from_elsewhere_is_nobodys_id(foreign: uuid.UUID) -> None:
    found = id_of(str(foreign))
    assert found is None or uuid_of(found) == str(foreign)


@given(st.text(max_size=40))
def test_any_text_that_is_no_uuid_is_nobodys_id(text: str) -> None:
    assert id_of(text) is None


def test_ids_rise_and_never_repeat_even_within_a_millisecond() -> None:
    names = Names(MachineClock())
    made = [names.id() for _ in range(10_000)]
    assert made == sorted(set(made))


def test_ids_go_on_after_those_of_an_earlier_process() -> None:
    names = Names(MachineClock())
    later = names.id() + (1 << 40)
    names.resume_after(later)
    assert names.id() > later


def test_a_seed_repeats_names_but_never_secrets() -> None:
    one, two = Names(MachineClock(), 7), Names(MachineClock(), 7)
    assert [one.uuid(), one.hex(9), one.text(5)] == [two.uuid(), two.hex(9), two.text(5)]
    assert one.secret() != two.secret()


@given(ids)
def test_random_uuids_are_version_4(seed: int) -> None:
    made = uuid.UUID(Names(MachineClock(), seed).uuid())
    assert (made.version, made.variant) == (4, uuid.RFC_4122)


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:sqs:us-east-1:000000000000:orders",
        "arn:aws:lambda:eu-west-1:123456789012:function:f:$LATEST",
        "arn:aws:s3:::bucket/key:with:colons",
    ],
)
def test_an_arn_is_what_its_parts_say(text: str) -> None:
    assert str(Arn.parse(text)) == text


@pytest.mark.parametrize("text", ["", "orders", "arn:aws:sqs", "urn:aws:sqs:r:a:x", "arn:aws:sqs:r:a:", "arn:::::x"])
def test_what_is_no_arn_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not an ARN"):
        Arn.parse(text)


def test_accounts_have_twelve_digits() -> None:
    assert is_account("123456789012")
    assert not is_account("12345678901") and not is_account("AKIAIOSFODNN")
