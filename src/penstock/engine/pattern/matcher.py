"""One pattern: whether it matches an event, and why or why not. The index over all rules of a bus agrees with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from penstock.engine.pattern.conditions import ABSENT, Condition
from penstock.engine.pattern.consistency import WAYS, given_up, satisfied
from penstock.engine.pattern.grammar import Alternative, parse
from penstock.engine.pattern.values import (
    Field,
    Fields,
    Leaf,
    LongNumber,
    flatten,
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
        reason = _reason(matched, alternatives)
        if not matched and any(given_up(alternative, fields) for alternative in self.alternatives):
            reason = (
                f"names with a dot make the event ambiguous: {WAYS:,} steps through its arrays found no way to meet "
                "all that the pattern wants, and no more are made; put no arrays in members that such names lead to"
            )
        return Explanation(matched, reason, alternatives)


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
