"""One pattern: whether it matches an event, and why or why not.

This is the slow, obvious matcher: it tries every way of choosing a field for every demand. The index over all rules
of a bus must always agree with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from penstock.engine.pattern.conditions import ABSENT, Condition
from penstock.engine.pattern.grammar import Alternative, parse
from penstock.engine.pattern.values import (
    MANY,
    Field,
    Fields,
    Leaf,
    LongNumber,
    Membership,
    Places,
    flatten,
    joined,
    parse_event,
    prefixes_of,
)

SHOWN_VALUES = 5  # values of a field that an explanation shows
SHOWN_CHARACTERS = 100  # of each of them


@dataclass(frozen=True, slots=True)
class Demand:
    """What one alternative asked of one field, and what it found. ``found`` are the first few of ``count`` values."""

    path: str
    conditions: tuple[str, ...]
    met: bool
    found: tuple[Any, ...]
    count: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a pattern matched an event or not: per alternative its demands, and a sentence that sums it up."""

    matched: bool
    reason: str
    alternatives: tuple[tuple[Demand, ...], ...]


class Pattern:
    """A compiled pattern."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.alternatives: list[Alternative] = parse(source)
        self.wanted = frozenset(
            prefix for alternative in self.alternatives for path in alternative for prefix in prefixes_of(path)
        )

    def matches(self, event: Mapping[str, Any] | bytes | str) -> bool:
        """Whether an event (parsed, or its JSON text) matches."""
        return self.matches_fields(flatten(_parsed(event), self.wanted))

    def matches_fields(self, fields: Fields) -> bool:
        """Whether an event matches, given its fields."""
        return any(satisfied(alternative, fields) for alternative in self.alternatives)

    def why(self, event: Mapping[str, Any] | bytes | str) -> Explanation:
        """Why an event matches or does not."""
        fields = flatten(_parsed(event), self.wanted)
        alternatives = tuple(
            tuple(_demand(path, alternative[path], fields.get(path, [])) for path in sorted(alternative))
            for alternative in self.alternatives
        )
        matched = self.matches_fields(fields)
        return Explanation(matched, _reason(matched, alternatives), alternatives)


def compile(pattern: str | bytes | Mapping[str, Any]) -> Pattern:
    """A pattern from its JSON text (or the object itself); PatternError with AWS's sentence when it is not valid."""
    if isinstance(pattern, bytes):
        pattern = pattern.decode()
    return Pattern(pattern if isinstance(pattern, str) else orjson.dumps(pattern).decode())


def _parsed(event: Mapping[str, Any] | bytes | str) -> Mapping[str, Any]:
    value = parse_event(event) if isinstance(event, (bytes, str)) else event
    if not isinstance(value, Mapping):
        raise ValueError("Event must be a JSON object")
    return value


def satisfied(alternative: Alternative, fields: Fields) -> bool:
    """Whether there is a value for every demand without going to two elements of one array.

    Demands are met in the order of their paths, as AWS does: ``exists: false`` asks whether the field is missing
    from the array elements that the demands before it have gone to.
    """
    demands = sorted(alternative.items())
    places: dict[int, tuple[Places, Places]] = {}  # where a demand's field stands, and where it is as demanded
    tried: set[tuple[int, Membership]] = set()

    def meet(index: int, membership: Membership) -> bool:
        if index == len(demands):
            return True
        if (index, membership) in tried:
            return False
        tried.add((index, membership))
        path, conditions = demands[index]
        values = fields.get(path, ())
        anywhere: Iterable[Membership] = (elements for _, elements in values)
        held: Iterable[Membership] = (
            elements for leaf, elements in values if any(condition.holds(leaf) for condition in conditions)
        )
        if len(values) >= MANY:
            if index not in places:
                places[index] = Places(anywhere), Places(held)
            anywhere, held = (known.together(membership) for known in places[index])
        for elements in held:
            together = joined(membership, elements)
            if together is not None and meet(index + 1, together):
                return True
        if ABSENT not in conditions or any(joined(membership, elements) is not None for elements in anywhere):
            return False
        return meet(index + 1, membership)

    return meet(0, ())


def _demand(path: str, conditions: Sequence[Condition], values: Sequence[Field]) -> Demand:
    leaves = [leaf for leaf, _ in values]
    met = any(condition.holds(leaf) for leaf in leaves for condition in conditions) or (
        ABSENT in conditions and not leaves
    )
    shown = tuple(_shown(leaf) for leaf in leaves[:SHOWN_VALUES])
    return Demand(path, tuple(str(condition) for condition in conditions), met, shown, len(leaves))


def _shown(leaf: Leaf) -> Any:
    if isinstance(leaf, LongNumber):
        return leaf.text
    if isinstance(leaf, str) and len(leaf) > SHOWN_CHARACTERS:
        return f"{leaf[:SHOWN_CHARACTERS]}…"
    return int(leaf) if isinstance(leaf, float) and leaf.is_integer() and abs(leaf) < 1e16 else leaf


def _reason(matched: bool, alternatives: tuple[tuple[Demand, ...], ...]) -> str:
    if matched:
        return "every field matches"
    closest = min(alternatives, key=lambda demands: sum(not demand.met for demand in demands))
    missed = next((demand for demand in closest if not demand.met), None)
    if missed is None:
        return "every field matches, but only in different elements of one array"
    wanted = missed.conditions[0] if len(missed.conditions) == 1 else f"one of [{', '.join(missed.conditions)}]"
    if not missed.count:
        return f"{missed.path} is missing; the pattern wants {wanted}"
    shown = ", ".join(orjson.dumps(value).decode() for value in missed.found)
    more = f" and {missed.count - len(missed.found)} more" if missed.count > len(missed.found) else ""
    return f"{missed.path} is {shown}{more}; the pattern wants {wanted}"
