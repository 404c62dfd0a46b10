"""The leaves of an event, flattened: where each stands, and in which elements of which arrays.

AWS's matcher sees an event as a list of fields: the path of names joined with dots (arrays leave no trace in it, and
a name with a dot in it looks like two names) and one scalar. Fields remember the array elements they stand in, because
a pattern matches only if all its fields can be found without going to two elements of one array.
Source: "Arrays in event patterns", EventBridge User Guide; the array-consistency rule of AWS's Event Ruler.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import orjson


class LongNumber(NamedTuple):
    """A number that no 64-bit float is: it equals only its own text."""

    text: str


Leaf = str | float | bool | None | LongNumber
Membership = tuple[tuple[int, int], ...]  # (array, element) pairs, by array
Field = tuple[Leaf, Membership]
Fields = dict[str, list[Field]]

MANY = 16  # values of a field from which on those that go together with others are found by their places
_EXACT_INTEGERS = 1 << 53
# Numbers that a 64-bit float might not hold are long or have a large exponent; a text without such is parsed fast.
_MAYBE_LONG = re.compile(rb"[0-9](?:[0-9.]{15}|[0-9.]*[eE][+-]?[0-9]{3})")


def number_of(text: str) -> float | LongNumber:
    """A JSON number as patterns compare it: a float where it is exactly one (as decimals go), else its text."""
    try:
        value = float(text)
        if Decimal(repr(value)) == Decimal(text):
            return value
    except (InvalidOperation, OverflowError, ValueError):
        pass
    return LongNumber(text)


def parse_event(text: bytes | str) -> Any:
    """An event's JSON text as values; numbers no float can hold are LongNumbers. ValueError when it is not JSON."""
    raw = text.encode() if isinstance(text, str) else text
    value = orjson.loads(raw)
    if _MAYBE_LONG.search(raw) is None:
        return value
    try:
        return json.loads(raw, parse_int=number_of, parse_float=number_of, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def leaf_of(value: Any) -> Leaf:
    """A scalar of a parsed event as patterns compare it."""
    if isinstance(value, (str, bool, LongNumber)) or value is None:
        return value
    if isinstance(value, int):
        return float(value) if -_EXACT_INTEGERS <= value <= _EXACT_INTEGERS else number_of(str(value))
    return float(value)


def flatten(event: Mapping[str, Any], wanted: AbstractSet[str] | None = None) -> Fields:
    """The fields of an event by path; with ``wanted``, only those below paths that it names (at every depth)."""
    fields: Fields = {}
    arrays = 0
    pending: list[tuple[Any, str, Membership]] = [(event, "", ())]
    while pending:
        value, path, membership = pending.pop()
        if isinstance(value, Mapping):
            prefix = path and path + "."
            for name, member in value.items():
                inner = prefix + name
                if wanted is not None and inner not in wanted:
                    continue
                if isinstance(member, (dict, list)):
                    pending.append((member, inner, membership))
                else:
                    fields.setdefault(inner, []).append((leaf_of(member), membership))
            continue
        array, arrays = arrays, arrays + 1
        for index, element in enumerate(value):
            if isinstance(element, (dict, list)):
                pending.append((element, path, (*membership, (array, index))))
            else:
                fields.setdefault(path, []).append((leaf_of(element), membership))
    return fields


def prefixes_of(path: str) -> list[str]:
    """A path and every path above it."""
    names = path.split(".")
    return [".".join(names[: depth + 1]) for depth in range(len(names))]


def joined(first: Membership, second: Membership) -> Membership | None:
    """Both memberships together, or None when they name two elements of one array."""
    if not second or first == second:
        return first
    if not first:
        return second
    elements = dict(first)
    for array, index in second:
        if elements.setdefault(array, index) != index:
            return None
    return tuple(sorted(elements.items()))


class Places:
    """Memberships, so filed that those which go together with another one are found without asking each.

    A tree by (array, element) pairs: below an array that the other one names, only its element is looked at.
    """

    __slots__ = ("_below", "_here")

    def __init__(self, memberships: Iterable[Membership] = ()) -> None:
        self._here: Membership | None = None
        self._below: dict[int, dict[int, Places]] = {}
        for membership in memberships:
            place = self
            for array, element in membership:
                place = place._below.setdefault(array, {}).setdefault(element, Places())
            place._here = membership

    def together(self, membership: Membership) -> Iterator[Membership]:
        """Those that can be joined with this one, each once."""
        chosen = dict(membership)
        pending = [self]
        while pending:
            place = pending.pop()
            if place._here is not None:
                yield place._here
            for array, elements in place._below.items():
                element = chosen.get(array)
                if element is None:
                    pending.extend(elements.values())
                elif element in elements:
                    pending.append(elements[element])
