"""Fields in one array must be found in one element of it ("Arrays in event patterns", EventBridge User Guide).

The truth is a matcher that does nothing but try: every value for every demand, in the order of their paths.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.engine.pattern import Index, compile
from penstock.engine.pattern.conditions import ABSENT
from penstock.engine.pattern.values import leaf_of
from tests.counting import calls


def leaves_of(value, path=(), elements=()):
    """(path, value, {array: element}) of every scalar; a scalar that is an element itself stands where its array is."""
    if isinstance(value, dict):
        for name, member in value.items():
            yield from leaves_of(member, (*path, name), elements)
    elif isinstance(value, list):
        for index, element in enumerate(value):
            inside = (*elements, (id(value), index)) if isinstance(element, (dict, list)) else elements
            yield from leaves_of(element, path, inside)
    else:
        yield ".".join(path), leaf_of(value), dict(elements)


def agree(one, other):
    return all(other.get(array, element) == element for array, element in one.items())


def obviously(alternative, leaves):
    demands = sorted(alternative.items())

    def meet(number, chosen):
        if number == len(demands):
            return True
        path, conditions = demands[number]
        here = [(leaf, elements) for name, leaf, elements in leaves if name == path and agree(chosen, elements)]
        if any(
            meet(number + 1, chosen | elements)
            for leaf, elements in here
            if any(condition.holds(leaf) for condition in conditions)
        ):
            return True
        return ABSENT in conditions and not here and meet(number + 1, chosen)

    return meet(0, {})


def found_by_trying(pattern, event):
    leaves = list(leaves_of(event))
    return any(obviously(alternative, leaves) for alternative in pattern.alternatives)


VALUES = st.integers(0, 1)
ABSENCE = {"exists": False}
FIELD = st.sampled_from([[0], [1], [0, 1], [1, ABSENCE], [ABSENCE], [{"exists": True}], [{"numeric": [">", 0]}]])


PATHS = ["a", "b", "a-", "a.a", "a.b", "a-.a", "b.a", "b.b", "a.a.a", "a.a.b", "a.b.a", "b.a.a", "b.a.b"]
PATTERN = st.dictionaries(st.sampled_from(PATHS), FIELD, min_size=2, max_size=5).map(compile)


def objects(names, depth=3):
    """Events full of arrays: within one another, beside one another, with scalars between their objects."""
    if not depth:
        return VALUES
    inner = objects(names, depth - 1)
    members = st.dictionaries(names, inner, min_size=1, max_size=3)
    elements = st.lists(members, min_size=1, max_size=3)
    mixed = st.lists(st.one_of(VALUES, members, st.lists(VALUES, max_size=2)), max_size=3)
    return members if depth == 3 else st.one_of(VALUES, members, elements, elements, mixed)


PLAIN = st.sampled_from(["a", "b", "a-"])  # "a-" sorts between "a" and "a.b"
DOTTED = st.sampled_from(["a", "b", "a.a", "a.b", "b.a", "a.a.a"])


def check(compiled, event):
    index = Index()
    expected = set()
    for number, pattern in enumerate(compiled):
        index.add(number, pattern)
        if found_by_trying(pattern, event):
            expected.add(number)
    assert {number for number, pattern in enumerate(compiled) if pattern.matches(event)} == expected
    assert set(index.matching(event)) == expected


@settings(max_examples=200, deadline=None)
@given(st.lists(PATTERN, min_size=1, max_size=8), objects(PLAIN))
def test_arrays_in_and_beside_one_another_are_matched_as_by_trying_every_way(compiled, event):
    check(compiled, event)


@settings(max_examples=100, deadline=None)
@given(st.lists(PATTERN, min_size=1, max_size=8), objects(DOTTED))
def test_names_with_dots_are_matched_as_by_trying_every_way(compiled, event):
    check(compiled, event)


@pytest.mark.parametrize(
    ("pattern", "event", "matches"),
    [
        ({"a": [5], "a.x": [{"exists": False}]}, {"a": [5, [5], {"x": 1}]}, True),
        ({"a": [5], "a.x": [{"exists": False}]}, {"a": [5, {"x": 1}]}, False),
        ({"a": {"x": [ABSENCE], "y": [1]}}, {"a": [{"x": 1}, {"y": 1}]}, False),
        ({"a": {"y": [ABSENCE], "x": [1]}}, {"a": [{"y": 1}, {"x": 1}]}, True),
        ({"a": [5], "a.x": [1], "a.y": [ABSENCE]}, {"a": [5, {"x": 1}, {"y": 1}]}, True),
        (
            {"a": {"x": [1], "y": [{"numeric": [">", 1]}]}, "b": {"x": [1]}},
            {"a": [{"x": 1}, {"y": 2}], "b": [{"x": 1}]},
            False,
        ),
        ({"a": {"x": [1]}, "b": {"x": [1]}}, {"a": [{"x": 2}, {"x": 1}], "b": [{"x": 1}]}, True),
        ({"a": {"x": [1], "b": {"y": [1], "z": [2]}}}, {"a": [{"x": 1, "b": [{"y": 1}, {"z": 2}]}]}, False),
        ({"a": {"x": [1], "b": {"y": [1], "z": [2]}}}, {"a": [{"x": 1, "b": [{"y": 1, "z": 2}]}]}, True),
        ({"a": {"x": [1], "y": [2]}}, {"a": [{"x": 1}], "a.y": 2}, True),
        ({"a": {"b": {"x": [1], "y": [2]}}}, {"a": {"b": [{"x": 1}]}, "a.b": [{"y": 2}]}, True),
        ({"a": {"b": {"x": [1], "y": [2]}}}, {"a": {"b": [{"x": 1}, {"y": 2}]}}, False),
    ],
)
def test_which_elements_go_together(pattern, event, matches):
    flat = compile(pattern)
    assert found_by_trying(flat, event) is matches
    check([flat], event)


def interleaved(length):
    """Five arrays of which each pattern wants two fields, in an order that goes back and forth between them."""
    event = {name: [{"x": number, "y": number} for number in range(length)] for name in "abcde"}
    return event, [
        compile(
            {name: {"x": [{"exists": True}], "y": [{"numeric": [">", -1]}]} for name in "abcd"} | {"e": {"x": [-1]}}
        ),
        compile({name: {"x": [{"exists": True}], "y": [-1, {"exists": False}]} for name in "abcde"}),
        compile({name: {"x": [{"anything-but": 1}], "y": [1, 2]} for name in "abcde"} | {"z": [{"exists": False}]}),
    ]


def test_demands_of_many_arrays_cost_what_the_arrays_are_long_not_what_their_elements_combine_to():
    def costs(length):
        event, compiled = interleaved(length)
        index = Index()
        for number, pattern in enumerate(compiled):
            index.add(number, pattern)
        return calls(index.matching, event), calls(lambda: [pattern.matches(event) for pattern in compiled])

    event, compiled = interleaved(3)
    check(compiled[:1], event)
    small, large = costs(10), costs(100)
    assert large[0] < 12 * small[0]
    assert large[1] < 12 * small[1]
    assert large[0] < 100 * 5 * 3 * 20


def test_what_many_combinations_of_or_have_in_common_is_looked_for_once():
    event = {name: [{f"f{number % 10}": 1} for number in range(1000)] for name in "abc"}
    branches = [{f"f{number}": [1, ABSENCE]} for number in range(10)]
    pattern = compile({name: {"$or": branches} for name in "abc"} | {"z": [-1]})
    assert len(pattern.alternatives) == 1000
    assert calls(pattern.matches, event) < 100_000  # 1,000 times three fields of 100 values


@pytest.mark.parametrize("around", [1, 300])
def test_arrays_around_one_another_cost_no_more_than_their_number(around):
    """``[1, [1, [1, …]]]``: a place in each is as demanded, and the elements of the innermost are asked only once."""

    def cost(length):
        inner = [{"x": number} for number in range(length)]
        for _ in range(around):
            inner = [1, inner]
        index = Index()
        index.add("some", compile({"a": [1], "a.x": [-1], "b": [1]}))
        return calls(index.matching, {"a": inner, "b": [1]})

    assert cost(2000) < 2000 * 6 + around * 20


def formula(clauses):
    """An event and a pattern that match when these clauses of up to 24 variables, ``(variable, truth)``, can all hold.

    Each variable is an array of two elements; names with dots put all of them at one path.
    """
    deep = ["a"] * 24
    event = {}
    for variable in range(24):
        elements = [
            {f"c{number}": 1 for number, clause in enumerate(clauses) if (variable, truth) in clause} or {"n": 0}
            for truth in (False, True)
        ]
        names = [".".join(deep[: variable + 1]), *([".".join(deep[variable + 1 :])] if variable < 23 else [])]
        event.setdefault(names[0], elements if len(names) == 1 else {names[1]: elements})
    return event, compile({".".join(deep): {f"c{number}": [1] for number in range(len(clauses))}})


def test_an_event_whose_dotted_names_make_a_riddle_of_it_is_given_up_and_said_so():
    event, pattern = formula([{(0, True), (1, True)}, {(0, False)}, {(1, False), (2, True)}, {(2, False), (3, False)}])
    assert pattern.matches(event)
    check([pattern], event)
    riddle = [{(one, truth), ((one + 7) % 24, not truth)} for one in range(24) for truth in (True, False)]
    riddle += [{(0, True), (7, True)}, {(0, False), (7, False)}]  # all must be alike, and two must not
    event, pattern = formula(riddle)
    spent = calls(pattern.matches, event)
    assert spent < 2_000_000
    assert not pattern.matches(event)
    assert "names with a dot make the event ambiguous" in pattern.why(event).reason
