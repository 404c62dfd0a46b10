"""The index is the matcher of one pattern, only faster: whatever the rules, whatever the event."""

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.engine.pattern import Index, compile

WORDS = st.sampled_from(
    ["a", "b", "ab", "abc", "aba", "cab", "ABC", "Ab", "", "x*y", "ß", "SS", "10.0.0.1", "10.0.0.9"]
)
NUMBERS = st.sampled_from([0, 1, 2, 2.5, -1, 3, 1e3])
SCALARS = st.one_of(WORDS, NUMBERS, st.booleans(), st.none())
NAMES = st.sampled_from(["p", "q", "r"])
LISTS = st.lists(WORDS.filter(bool), min_size=1, max_size=2)


def one_key(name, values):
    return values.map(lambda value: {name: value})


RANGES = st.tuples(st.sampled_from([">", ">="]), NUMBERS, st.sampled_from(["<", "<="]), NUMBERS).map(
    lambda t: {"numeric": [t[0], min(t[1], t[3]), t[2], max(t[1], t[3]) + 0.5]}
)
OPERATORS = st.one_of(
    one_key("prefix", WORDS),
    one_key("suffix", WORDS),
    one_key("prefix", one_key("equals-ignore-case", WORDS)),
    one_key("suffix", one_key("equals-ignore-case", WORDS)),
    one_key("equals-ignore-case", WORDS),
    one_key("wildcard", st.sampled_from(["*", "a*", "*b", "a*c", "*ab*", "abc*", "*cab", "*abc*", "x\\*y"])),
    one_key("exists", st.booleans()),
    one_key("anything-but", st.one_of(WORDS, NUMBERS, LISTS)),
    one_key("anything-but", one_key("prefix", WORDS.filter(bool))),
    one_key("anything-but", one_key("suffix", LISTS)),
    one_key("anything-but", one_key("equals-ignore-case", LISTS)),
    one_key("anything-but", one_key("wildcard", st.just("*b*"))),
    one_key("cidr", st.sampled_from(["10.0.0.0/29", "10.0.0.8/29", "10.0.0.0/8"])),
    one_key("numeric", st.tuples(st.sampled_from(["<", "<=", "=", ">", ">="]), NUMBERS).map(list)),
    RANGES,
)
FIELD = st.lists(st.one_of(SCALARS, OPERATORS), min_size=1, max_size=3)
OBJECT = st.recursive(
    st.dictionaries(NAMES, FIELD, min_size=1, max_size=3),
    lambda inner: st.one_of(
        st.dictionaries(NAMES, st.one_of(FIELD, inner), min_size=1, max_size=3),
        st.lists(inner, min_size=2, max_size=2).map(lambda branches: {"$or": branches}),
    ),
    max_leaves=3,
)
EVENT = st.dictionaries(
    NAMES,
    st.recursive(
        SCALARS,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
        max_leaves=5,
    ),
    max_size=3,
)


@settings(max_examples=400, deadline=None)
@given(st.lists(OBJECT, min_size=1, max_size=8), st.lists(EVENT, min_size=1, max_size=3), st.sets(st.integers(0, 7)))
def test_the_index_finds_exactly_the_patterns_that_match(patterns, events, removed):
    compiled = {number: compile(pattern) for number, pattern in enumerate(patterns)}
    index = Index()
    for number, pattern in compiled.items():
        index.add(number, pattern)
    for number in removed & compiled.keys():
        index.remove(number)
        del compiled[number]
    for event in events:
        expected = {number for number, pattern in compiled.items() if pattern.matches(event)}
        assert set(index.matching(event)) == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(OBJECT, min_size=1, max_size=6))
def test_an_index_whose_patterns_are_gone_is_empty(patterns):
    index = Index()
    for number, pattern in enumerate(patterns):
        index.add(number, compile(pattern))
    for number in range(len(patterns)):
        index.remove(number)
    assert len(index) == 0
    assert not index._root.edges
    assert not index._wanted


def cost(rules):
    """CPU time of one event against so many rules, the best of many rounds."""
    index = Index()
    for number in range(rules):
        index.add(
            number,
            compile(
                {"source": ["shop"], "detail-type": [f"Type{number}"], "detail": {"total": [{"numeric": [">", 5]}]}}
            ),
        )
    event = {"source": "shop", "detail-type": "Type3", "detail": {"total": 7, "lines": [{"sku": "a"}]}}
    assert index.matching(event) == [3]
    rounds = []
    for _ in range(40):
        begun = time.process_time()
        for _ in range(100):
            index.matching(event)
        rounds.append(time.process_time() - begun)
    return min(rounds)


def test_ten_thousand_rules_cost_hardly_more_than_ten():
    ratios = []
    for _ in range(3):
        few, many = cost(10), cost(10_000)
        ratios.append(many / few)
        if ratios[-1] < 1.1:
            return
    raise AssertionError(f"an event costs {min(ratios):.2f} times as much against 10,000 rules as against 10")


def test_an_event_of_long_arrays_is_matched_in_time_that_grows_with_its_length():
    patterns = [
        {"a": {"b": [49], "c": [{"exists": True}], "d": [{"exists": False}]}},
        {"a": {"b": [49], "c": [{"exists": True}], "d": [7]}},
        {"a": {"b": [{"exists": True}], "c": [-1], "d": [{"exists": False}]}},
    ]
    event = {"a": [{"b": [number % 50], "c": [0, 1, 2]} for number in range(10_000)]}  # by pairs: 300 million
    index = Index()
    for number, pattern in enumerate(patterns):
        index.add(number, compile(pattern))
        assert compile(pattern).matches(event) == (number == 0)
    began = time.process_time()
    assert index.matching(event) == [0]
    assert time.process_time() - began < 10
