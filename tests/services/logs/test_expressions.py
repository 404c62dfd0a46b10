"""The regular expressions of filter patterns, against Python's own engine."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.services.logs.expressions import Expression, ExpressionError

_ATOM = st.one_of(
    st.sampled_from(list("abc1 -")),
    st.sampled_from([".", r"\d", r"\w", r"\s", r"\.", r"\x61", "[ab]", "[^a]", "[a-c1]", r"[\d-]"]),
)
_REPEAT = st.sampled_from(["", "", "", "?", "*", "+", "{2}", "{1,3}", "{2,}"])
_PART = st.builds("".join, st.lists(st.builds(lambda a, r: a + r, _ATOM, _REPEAT), max_size=5))
_ANCHORED = st.builds(lambda a, p, z: a + p + z, st.sampled_from(["", "^"]), _PART, st.sampled_from(["", "$"]))
_EXPRESSION = st.builds("|".join, st.lists(_ANCHORED, min_size=1, max_size=3))


@given(_EXPRESSION, st.text("abc1 .-\t", max_size=12))
def test_an_expression_finds_what_pythons_engine_finds(expression: str, text: str) -> None:
    wanted = re.search(expression.replace("$", r"\Z"), text, re.ASCII) is not None
    assert Expression(expression).search(text) == wanted


def test_a_repetition_of_repetitions_takes_linear_time() -> None:
    assert not Expression("a*a*a*a*a*a*a*a*b").search("a" * 20_000)


@pytest.mark.parametrize("wrong", ["(a)", "a!", "[a", "a{2", "a{3,1}", "a{x}", "\\", "\\q", "[z-a]", "a{1000}{1000}"])
def test_what_the_dialect_lacks_is_refused(wrong: str) -> None:
    with pytest.raises(ExpressionError):
        Expression(wrong)
