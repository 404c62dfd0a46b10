"""Pages of lists: each item once, in order, whatever comes and goes between two pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.base.errors import ApiError, ValidationError
from penstock.engine.paging import Paging, among, token_of

PAGING = Paging("Marker", "MaxItems", 3, ValidationError, answered="NextMarker", most=5)
_keys = st.sets(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4))


def pages(items: list[str], size: int | None) -> list[list[str]]:
    found, request = [], {} if size is None else {"MaxItems": size}
    while True:
        page, token = PAGING.of(request, among(items, str), str)
        found.append(list(page))
        if not token:
            return found
        request = {**request, "Marker": token["NextMarker"]}


@given(_keys, st.none() | st.integers(1, 9))
def test_the_pages_together_are_the_list(keys: set[str], size: int | None) -> None:
    found = pages(list(keys), size)
    assert [key for page in found for key in page] == sorted(keys)
    assert len(found) == max(1, -(-len(keys) // min(size or 3, 5)))


@given(_keys.filter(lambda keys: len(keys) > 3), _keys, _keys)
def test_what_comes_and_goes_between_pages_hides_and_repeats_nothing(
    stay: set[str], come: set[str], go: set[str]
) -> None:
    first, token = PAGING.of({}, among([*stay | go], str), str)
    second, more = PAGING.of({"MaxItems": 5, "Marker": token["NextMarker"]}, among([*stay | come], str), str)
    assert not set(first) & set(second)
    assert {key for key in stay if not more or key <= second[-1]} <= {*first, *second}


@pytest.mark.parametrize("token", ["2", "fuzz", "é", "YWZ0ZQ==", "order-17", "=", "\0"])
def test_a_token_that_no_answer_gave_is_refused(token: str) -> None:
    with pytest.raises(ApiError, match="ValidationException: The value of Marker is not valid: pass the one of"):
        PAGING.of({"Marker": token}, among(["a"], str), str)


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    st.integers(0, 60),
    st.sampled_from("Aa0-_=+/ !"),
)
def test_a_token_that_was_changed_is_refused(key: str, at: int, other: str) -> None:
    token = token_of(key)
    for changed in (token[:at], token[at:], token + other, token[:at] + other + token[at:], token + token):
        if changed not in ("", token):
            with pytest.raises(ApiError, match="unchanged"):
                PAGING.of({"Marker": changed}, among(["a"], str), str)
    assert PAGING.after({"Marker": token}) == key
