"""Which targets have deliveries that are due, kept so that asking costs what is due and not what waits.

A target is looked at when its moment has come. Then, if there is room for only so many, it stands in line: whoever is
let in and has more to do goes to the end of the line.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Final

SPENT_AT_LEAST: Final = 64  # moments that hold no longer before those are thrown away


class Agenda:
    """Targets by when their earliest waiting delivery is ``due`` (platform ms)."""

    def __init__(self) -> None:
        self.due: dict[str, int] = {}
        self._look: dict[str, int] = {}  # target → when it is looked at; not those in line or being looked at
        self._moments: list[tuple[int, str]] = []  # a heap of the same, and of moments that hold no longer
        self._line: OrderedDict[str, None] = OrderedDict()

    def put(self, target: str, due: int, not_before: int = 0) -> None:
        """A target's earliest delivery is due then; it is looked at then too, or later (``not_before``)."""
        self.due[target] = due
        self.look(target, max(due, not_before))

    def look(self, target: str, moment: int) -> None:
        """Look at a target that has something waiting at this moment, unless it stands in line."""
        if target not in self._line and self._look.get(target) != moment:
            self._look[target] = moment
            heapq.heappush(self._moments, (moment, target))
            # A target that is busy now, and has something else to do much later, notes that moment each time anew.
            if len(self._moments) > 2 * len(self._look) + SPENT_AT_LEAST:
                self._moments = [(moment, target) for target, moment in self._look.items()]
                heapq.heapify(self._moments)

    def drop(self, target: str) -> None:
        """Nothing waits for this target."""
        self.due.pop(target, None)
        self._look.pop(target, None)
        self._line.pop(target, None)

    def replace(self, due: Mapping[str, int]) -> None:
        """What waits is this and nothing else."""
        self.due, self._look, self._moments = {}, {}, []
        self._line.clear()
        for target, moment in due.items():
            self.put(target, moment)

    def take(self, now: int) -> Iterator[str]:
        """The targets whose moment has come, in its order; each only once."""
        while self._moments and self._moments[0][0] <= now:
            moment, target = heapq.heappop(self._moments)
            if self._look.get(target) == moment:
                del self._look[target]
                yield target

    def stand(self, target: str) -> None:
        """A target that was taken waits at the end of the line."""
        self._line[target] = None

    def first(self) -> str | None:
        """The first in line, who leaves it; None when nobody stands there."""
        return self._line.popitem(last=False)[0] if self._line else None

    def next(self) -> int | None:
        """When the next target is looked at, those in line aside."""
        while self._moments and self._look.get(self._moments[0][1]) != self._moments[0][0]:
            heapq.heappop(self._moments)
        return self._moments[0][0] if self._moments else None
