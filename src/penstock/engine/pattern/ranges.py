"""Many numeric ranges, and which of them hold a number: an interval tree.

Every node has a center; it keeps the ranges that hold it, once by bottom and once by top, and has the others below.
Finding costs the depth plus what is found. The tree is built when it is first asked after a change.
"""

from __future__ import annotations

import math
from typing import Generic, TypeVar

from penstock.engine.pattern.conditions import Between

V = TypeVar("V")


def _bottom(condition: Between) -> float:
    return -math.inf if condition.bottom is None else condition.bottom


def _top(condition: Between) -> float:
    return math.inf if condition.top is None else condition.top


class _Node(Generic[V]):
    __slots__ = ("above", "below", "by_bottom", "by_top", "center")

    def __init__(self, entries: list[tuple[Between, V]]) -> None:
        ends = sorted(end for one, _ in entries for end in (_bottom(one), _top(one)) if math.isfinite(end))
        self.center = ends[len(ends) // 2]
        here = [entry for entry in entries if _bottom(entry[0]) <= self.center <= _top(entry[0])]
        below = [entry for entry in entries if _top(entry[0]) < self.center]
        above = [entry for entry in entries if _bottom(entry[0]) > self.center]
        self.by_bottom = sorted(here, key=lambda entry: _bottom(entry[0]))
        self.by_top = sorted(here, key=lambda entry: _top(entry[0]), reverse=True)
        self.below: _Node[V] | None = _Node(below) if below else None
        self.above: _Node[V] | None = _Node(above) if above else None


class Ranges(Generic[V]):
    """A multiset of (range, value)."""

    def __init__(self) -> None:
        self._entries: list[tuple[Between, V]] = []
        self._root: _Node[V] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, condition: Between, value: V) -> None:
        """Put a range in."""
        self._entries.append((condition, value))
        self._root = None

    def remove(self, condition: Between, value: V) -> None:
        """Take a range out that was put in with this value."""
        self._entries = [one for one in self._entries if not (one[0] == condition and one[1] is value)]
        self._root = None

    def holding(self, number: float) -> list[V]:
        """The values of the ranges that hold the number."""
        if not self._entries:
            return []
        if self._root is None:
            self._root = _Node(self._entries)
        found = []
        node: _Node[V] | None = self._root
        while node is not None:
            if number < node.center:
                for condition, value in node.by_bottom:
                    if _bottom(condition) > number:
                        break
                    if condition.holds(number):
                        found.append(value)
                node = node.below
            else:
                for condition, value in node.by_top:
                    if _top(condition) < number:
                        break
                    if condition.holds(number):
                        found.append(value)
                node = node.above
        return found
