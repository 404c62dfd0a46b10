"""The leaves of an event, flattened: where each stands, and in which elements of which arrays.

AWS's matcher sees an event as a list of fields: the path of names joined with dots (arrays leave no trace in it, and
a name with a dot in it looks like two names) and one scalar. Fields remember the array elements they stand in, because
a pattern matches only if all its fields can be found without going to two elements of one array. A scalar that is an
element itself stands where its array does: AWS asks consistency of the fields of objects only.
Source: "Arrays in event patterns", EventBridge User Guide; the array-consistency rule of AWS's Event Ruler.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal, InvalidOperation
from functools import cached_property, lru_cache
from typing import Any, Final, NamedTuple

import orjson


class LongNumber(NamedTuple):
    """A number that no 64-bit float is: it equals only its own text."""

    text: str


Leaf = str | float | bool | None | LongNumber


class Place:
    """Where a value stands: in one element of the innermost array around it that has objects or arrays for elements.

    ``path`` is the array's; ``number`` counts the places of an event in their order, so that those inside this one are
    all the numbers up to ``end``. Elements of one array have the same ``array``.
    """

    __slots__ = ("array", "depth", "end", "number", "parent", "path")

    def __init__(self, parent: Place | None, array: int, path: str, number: int) -> None:
        self.parent = parent
        self.array = array
        self.path = path
        self.number = number
        self.end = number + 1
        self.depth: int = parent.depth + 1 if parent is not None else 0


OUTSIDE: Final = Place(None, -1, "", 0)  # in no element of any such array
Field = tuple[Leaf, Place]


class Fields(dict[str, list[Field]]):
    """The fields of an event by path.

    ``nested``: some stand in elements of arrays. ``ambiguous``: names with a dot are among the event's, so that fields
    of one path can come from arrays that have nothing to do with each other; without such, of all elements of arrays
    that could be gone to for one path, any two are in one another or exclude each other.
    """

    nested = False
    ambiguous = False

    @cached_property
    def found(self) -> dict[object, Any]:
        """A place for what is found in these fields and may be asked again."""
        return {}

    def outside(self) -> Fields:
        """The same fields, as if none stood in an array."""
        bare = Fields()
        bare.update({path: [(leaf, OUTSIDE) for leaf, _ in values] for path, values in self.items()})
        return bare


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
    """The fields of an event by path; with ``wanted``, only those below paths that it names (at every depth).

    The fields of one path come in the order of their places, unless the event is ambiguous.
    """
    fields = Fields()
    dotted = False
    arrays = 0
    places: list[Place] = []
    pending: list[tuple[Any, str, Place, int]] = [(event, "", OUTSIDE, -1)]
    while pending:
        value, path, place, array = pending.pop()
        if array >= 0:
            place = Place(place, array, path, len(places) + 1)
            places.append(place)
        if isinstance(value, Mapping):
            prefix = path + "." if value is not event else ""
            for name, member in value.items():
                inner = prefix + name
                if wanted is not None and inner not in wanted:
                    continue
                if "." in name:
                    dotted = True
                if isinstance(member, (dict, list)):
                    pending.append((member, inner, place, -1))
                else:
                    fields.setdefault(inner, []).append((leaf_of(member), place))
            continue
        arrays += 1
        for element in value:
            if isinstance(element, (dict, list)):
                pending.append((element, path, place, arrays))
            else:
                fields.setdefault(path, []).append((leaf_of(element), place))
    if places:
        fields.nested, fields.ambiguous = True, dotted
        for place in reversed(places):
            if place.parent is not None and place.parent is not OUTSIDE:
                place.parent.end = max(place.parent.end, place.end)
    return fields


@lru_cache(maxsize=4096)
def prefixes_of(path: str) -> tuple[str, ...]:
    """A path and every path above it."""
    names = path.split(".")
    return tuple(".".join(names[: depth + 1]) for depth in range(len(names)))
