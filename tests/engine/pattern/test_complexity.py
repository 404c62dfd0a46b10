"""How complex wildcards are. Which rules AWS refused is known from those who met the limit."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.engine.pattern import compile
from penstock.engine.pattern.complexity import complexity

LIMIT = 10


def of(*texts):
    return complexity(compile({"key": [{"wildcard": text} for text in texts]}), 100)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["plain"], 1),
        (["ab*"], 2),  # "ab and "ab*, after the b
        (["*.png"], 2),
        (["*aaa"], 4),  # *, *a, *aa, *aaa
        (["*/lib/*"], 4),  # *, */, */lib/ and */lib/*, after a/lib/
        (["*.png", "*.jpg"], 4),
        (["order-*", "order-*-done"], 4),
    ],
)
def test_it_is_the_number_of_beginnings_one_value_matches(texts, expected):
    assert of(*texts) == expected


@pytest.mark.parametrize(
    "texts",
    [
        ["*.bif", "*.tiff", "*.tif", "*.svs"],
        ["*/datasync/*.bif", "*/datasync/*.tif"],
        ["*:stack/one/*", "*:stack/two/*", "*:stack/three/*"],
    ],
)
def test_rules_that_aws_took_are_within_ten(texts):
    assert of(*texts) <= LIMIT


@pytest.mark.parametrize(
    "texts",
    [
        ["*/datasync/*.bif", "*/datasync/*.tif", "*/datasync/*.tiff", "*/datasync/*.svs"],
        ["*:stack/one/*", "*:stack/two/*", "*:stack/three/*", "*:stack/four/*"],
    ],
)
def test_rules_that_aws_refused_are_beyond_ten(texts):
    assert of(*texts) > LIMIT


def test_every_field_counts_alone_and_a_list_shares_what_comes_before_its_first_wildcard():
    pattern = compile({"a": [{"wildcard": "*aa"}], "b": [{"wildcard": "*b"}], "c": [{"prefix": "c"}]})
    assert complexity(pattern, 100) == 3
    several = compile({"a": [{"anything-but": {"wildcard": ["dir/*.a", "dir/*.b"]}}]})
    assert complexity(several, 100) == 3


def test_the_texts_of_a_list_have_one_end():
    """Values that Event Ruler's own evaluator gives."""
    ended = compile({"x": [{"anything-but": {"wildcard": ["*", "abb:a*"]}}, {"wildcard": "a*:a*:"}]})
    assert complexity(ended, 100) == 6
    assert complexity(compile({"z": [{"anything-but": {"wildcard": ["b/x*", "*:ab*"]}}]}), 100) == 4


def test_looking_ends_beyond_the_limit():
    assert LIMIT < of("*a*a*a*a*a*a*a*a*") < 30
    assert complexity(compile({"a": [{"wildcard": "*" + "ab*" * 40}]}), LIMIT) > LIMIT


def beginnings(text, seen):
    """The beginnings of a wildcard text, in its quotes, that match what is seen of a value: the obvious way."""

    def matches(beginning, rest):
        if not beginning:
            return not rest
        if beginning[0] == "*":
            return any(matches(beginning[1:], rest[at:]) for at in range(len(rest) + 1))
        return rest[:1] == beginning[0] and matches(beginning[1:], rest[1:])

    text = f'"{text}"'
    return {text[:length] for length in range(len(text) + 1) if matches(text[:length], seen)}


WILDCARDS = st.text("ab*", max_size=4).filter(lambda text: "**" not in text)
SEEN = ['"' + "".join(value) for length in range(5) for value in product("abc", repeat=length)]
SEEN += [f'{value}"' for value in SEEN]


@given(WILDCARDS)
def test_a_text_counts_the_most_beginnings_that_any_value_matches(text):
    assert max(len(beginnings(text, seen)) for seen in SEEN) == of(text)


@given(st.lists(WILDCARDS, min_size=2, max_size=3, unique=True), st.sampled_from(SEEN))
def test_no_value_matches_more_beginnings_of_several_texts_than_are_counted(texts, seen):
    assert sum(len(beginnings(text, seen)) for text in texts) <= of(*texts)
