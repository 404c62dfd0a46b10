"""Which of many conditions on one field hold for a value, without asking each.

Every kind of condition has its own table: exact values in dictionaries, prefixes and suffixes in one dictionary per
length, CIDR blocks in one per mask, numeric ranges in an interval tree, wildcards under the rarest three characters
that a match must contain. What no table fits (anything-but holds for nearly everything) is asked one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Generic, TypeVar

from penstock.engine.pattern.addresses import address_of
from penstock.engine.pattern.conditions import (
    Absent,
    Between,
    Condition,
    Equals,
    EqualsNumber,
    Exists,
    IgnoreCase,
    InBlock,
    Prefix,
    Suffix,
    Wildcard,
)
from penstock.engine.pattern.ranges import Ranges
from penstock.engine.pattern.values import Leaf

V = TypeVar("V")

GRAM: Final = 3  # characters of a wildcard's literal text it is filed under

Table = dict[str, list[V]]
Checked = tuple[Condition, V]  # a candidate that still has to be asked


class Lookup(Generic[V]):
    """Conditions on one field, each with a value; ``find`` gives the values of those that hold."""

    def __init__(self) -> None:
        self._exact: dict[object, list[V]] = {}
        self._prefixes: dict[int, Table[V]] = {}
        self._suffixes: dict[int, Table[V]] = {}
        self._folded: Table[Checked[V]] = {}
        self._folded_prefixes: dict[int, Table[Checked[V]]] = {}
        self._folded_suffixes: dict[int, Table[Checked[V]]] = {}
        self._blocks: dict[tuple[int, int], dict[int, list[V]]] = {}
        self._ranges: Ranges[V] = Ranges()
        self._grams: Table[Checked[V]] = {}
        self._asked: list[Checked[V]] = []
        self._always: list[V] = []
        self._only_exact = True

    def add(self, condition: Condition, value: V) -> None:
        """File a condition."""
        match condition:
            case Absent():
                return
            case Equals() | EqualsNumber():
                self._exact.setdefault(_exact_key(condition.value), []).append(value)
                return
            case Between():
                self._ranges.add(condition, value)
            case Exists():
                self._always.append(value)
            case _:
                table, key, checked = self._place(condition)
                entry = (condition, value) if checked else value
                if table is None:
                    self._asked.append((condition, value))
                else:
                    table.setdefault(key, []).append(entry)
        self._only_exact = False

    def remove(self, condition: Condition, value: V) -> None:
        """Take back what ``add`` filed."""
        match condition:
            case Absent():
                return
            case Equals() | EqualsNumber():
                _drop(self._exact, _exact_key(condition.value), value)
            case Between():
                self._ranges.remove(condition, value)
            case Exists():
                self._always = [one for one in self._always if one is not value]
            case Wildcard():
                for gram in _grams_of(condition):
                    _drop(self._grams, gram, value)
                self._asked = [one for one in self._asked if not (one[0] == condition and one[1] is value)]
            case _:
                table, key, _ = self._place(condition)
                if table is None:
                    self._asked = [one for one in self._asked if not (one[0] == condition and one[1] is value)]
                else:
                    _drop(table, key, value)

    def find(self, leaf: Leaf) -> Sequence[V]:
        """The values of the conditions that hold; one may come more than once."""
        exact: Sequence[V] = self._exact.get(leaf if isinstance(leaf, str) else (type(leaf), leaf), _NONE)
        if self._only_exact:
            return exact
        found = list(exact)
        found += self._always
        if isinstance(leaf, str):
            self._find_string(leaf, found)
        elif type(leaf) is float and self._ranges:
            found += self._ranges.holding(leaf)
        found += [value for condition, value in self._asked if condition.holds(leaf)]
        return found

    def _find_string(self, leaf: str, found: list[V]) -> None:
        for length, table in self._prefixes.items():
            found += table.get(leaf[:length], _NONE)
        for length, table in self._suffixes.items():
            found += table.get(leaf[-length:] if length else "", _NONE)
        candidates: list[Checked[V]] = []
        if self._folded or self._folded_prefixes or self._folded_suffixes:
            folded = leaf.casefold()
            candidates += self._folded.get(folded, _NONE)
            for length, checked in self._folded_prefixes.items():
                candidates += checked.get(folded[:length], _NONE)
            for length, checked in self._folded_suffixes.items():
                candidates += checked.get(folded[-length:] if length else "", _NONE)
        if self._grams:
            for gram in {leaf[at : at + GRAM] for at in range(len(leaf) - GRAM + 1)}:
                candidates += self._grams.get(gram, _NONE)
        found += [value for condition, value in candidates if condition.holds(leaf)]
        if self._blocks and (address := address_of(leaf)) is not None:
            width, number = address
            for (block_width, bits), networks in self._blocks.items():
                if block_width == width:
                    found += networks.get(number >> (width - bits), _NONE)

    def _place(self, condition: Condition) -> tuple[dict | None, object, bool]:  # type: ignore[type-arg]
        """The table a condition belongs in (None: it is asked one by one), its key, and whether finding it there
        still needs the condition to be asked."""
        match condition:
            case Prefix():
                return self._prefixes.setdefault(len(condition.text), {}), condition.text, False
            case Suffix():
                return self._suffixes.setdefault(len(condition.text), {}), condition.text, False
            case InBlock():
                block = condition.block
                return self._blocks.setdefault((block.width, block.bits), {}), block.network, False
            case IgnoreCase() if (folded := _folded(condition)) is not None:
                if not condition.where:
                    return self._folded, folded, True
                tables = self._folded_prefixes if condition.where == "prefix" else self._folded_suffixes
                return tables.setdefault(len(folded), {}), folded, True
            case Wildcard() if grams := _grams_of(condition):
                return self._grams, min(grams, key=lambda gram: len(self._grams.get(gram, _NONE))), True
            case _:
                return None, None, True


_NONE: Final[tuple[Any, ...]] = ()


def _exact_key(value: object) -> object:
    """Keeps true apart from 1, which Python's dictionaries take for the same."""
    return value if isinstance(value, str) else (type(value), value)


def _folded(condition: IgnoreCase) -> str | None:
    """What every string that satisfies it looks like when case is folded, or None when they look different."""
    folds = [(lower.casefold(), upper.casefold()) for lower, upper in condition.forms]
    return "".join(lower for lower, _ in folds) if all(lower == upper for lower, upper in folds) else None


def _grams_of(condition: Wildcard) -> list[str]:
    """Every text of GRAM characters that a matching string must contain."""
    return [chunk[at : at + GRAM] for chunk in condition.chunks for at in range(len(chunk) - GRAM + 1)]


def _drop(table: dict, key: object, value: object) -> None:  # type: ignore[type-arg]
    entries = table.get(key)
    if entries is None:
        return
    entries[:] = [one for one in entries if not (one is value or (isinstance(one, tuple) and one[1] is value))]
    if not entries:
        del table[key]
