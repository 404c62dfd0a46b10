"""Whether demands can all be met without going to two elements of one array ("array consistency").

Demands are met in the order of their paths, as AWS does: one that accepts absence asks whether its field is missing
from the array elements which the demands before it have gone to.

The idea: arrays that stand side by side do not constrain one another, so each is decided alone, by its elements, the
inner ones first. What is asked of an array are the demands that have a value somewhere in it. The first of them cannot
be absent, so it is the one which goes to an element; all that follow are then asked of that element. Only it can be met
by a scalar of the array as well (``a`` of ``a.x``, in ``[1, [2], {"x": 3}]``) and leave the choice of an element to the
second. Hence two questions for each element: are all met here, beginning with the first; are all but the first. Sets
of demands are bits of an integer, lowest first, and the cost is the number of values and of the elements they are in.

None of that holds when names with a dot bring fields of one path from arrays that have nothing to do with each other.
Choosing among these is as hard as satisfying a formula: every way is tried then, up to a limit.
Source: "Arrays in event patterns", EventBridge User Guide; the array-consistency rule of AWS's Event Ruler.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

from penstock.engine.pattern.conditions import ABSENT, Condition
from penstock.engine.pattern.grammar import Alternative
from penstock.engine.pattern.values import OUTSIDE, Field, Fields, Place

WAYS: Final = 20_000  # steps of the search through an ambiguous event before it counts as not matching; ours


def satisfied(alternative: Alternative, fields: Fields) -> bool:
    """Whether there is a value for every demand without going to two elements of one array.

    False also for an ambiguous event of which ``WAYS`` steps did not tell; ``given_up`` knows that.
    """
    if not fields.nested or len(alternative) == 1:
        for path, conditions in alternative.items():
            values = fields.get(path)
            if not values:
                if ABSENT not in conditions:
                    return False
            elif not any(condition.holds(leaf) for leaf, _ in values for condition in conditions):
                return False
        return True
    demands = _demands(alternative, fields)
    if not all(demand.held or demand.may_be_absent for demand in demands):
        return False
    return _Ways(demands).found() if fields.ambiguous else _Elements(demands).meet_all()


def given_up(alternative: Alternative, fields: Fields) -> bool:
    """Whether an alternative counts as not satisfied only because there are too many ways to try."""
    if not fields.ambiguous or len(alternative) == 1:
        return False
    ways = _Ways(_demands(alternative, fields))
    return not ways.found() and ways.left < 0


class _Demand:
    """What a demand finds: where its field stands, and where the field is as demanded."""

    __slots__ = ("anywhere", "held", "may_be_absent")

    def __init__(self, conditions: Sequence[Condition], values: Sequence[Field]) -> None:
        self.may_be_absent = ABSENT in conditions
        self.anywhere = list(dict.fromkeys(place for _, place in values))
        self.held = list(
            dict.fromkeys(place for leaf, place in values if any(condition.holds(leaf) for condition in conditions))
        )


def _demands(alternative: Alternative, fields: Fields) -> list[_Demand]:
    """The demands in the order of their paths; what one finds is found once for all alternatives that have it."""
    found = []
    for path in sorted(alternative):
        asked = path, alternative[path]
        demand = fields.found.get(asked)
        if demand is None:
            demand = fields.found[asked] = _Demand(alternative[path], fields.get(path, ()))
        found.append(demand)
    return found


class _Elements:
    """The array elements of an event that is not ambiguous, and which demands are met in each."""

    def __init__(self, demands: Sequence[_Demand]) -> None:
        self._all = (1 << len(demands)) - 1
        self._may_be_absent = 0
        self._here: defaultdict[Place, int] = defaultdict(int)  # demands that have a value right here
        self._held: defaultdict[Place, int] = defaultdict(int)  # … one that is as demanded
        for number, demand in enumerate(demands):
            bit = 1 << number
            self._may_be_absent |= bit if demand.may_be_absent else 0
            for place in demand.anywhere:
                self._here[place] |= bit
            for place in demand.held:
                self._held[place] |= bit
        self._asked: defaultdict[int, int] = defaultdict(int)  # by array: demands that have a value in it
        self._arrays: defaultdict[Place, dict[int, None]] = defaultdict(dict)  # those right below a place
        self._met: set[int] = set()  # arrays that have an element where all that is asked of them is met
        self._met_but_first: set[int] = set()

    def meet_all(self) -> bool:
        """Whether all demands are met."""
        places = self._inner_first()
        for place in places:
            asked = self._asked[place.array]
            first = asked & -asked
            if place.array not in self._met and self._meet(place, asked, first):
                self._met.add(place.array)
            rest = asked ^ first
            if place.array not in self._met_but_first and rest and self._meet(place, rest, rest & -rest):
                self._met_but_first.add(place.array)
        return self._meet(OUTSIDE, self._all, 0)

    def _inner_first(self) -> list[Place]:
        """Every place that has a value in it, inner ones first; notes what is asked of the arrays."""
        known: set[Place] = set()
        for place in self._here:
            inner: Place | None = place
            while inner is not None and inner is not OUTSIDE and inner not in known:
                known.add(inner)
                inner = inner.parent
        places = sorted(known, key=lambda place: -place.number)
        below: defaultdict[Place, int] = defaultdict(int)
        for place in places:
            asked = self._here.get(place, 0) | below[place]
            self._asked[place.array] |= asked
            assert place.parent is not None
            below[place.parent] |= asked
            self._arrays[place.parent][place.array] = None
        return places

    def _meet(self, place: Place, asked: int, by_value: int) -> bool:
        """Whether the demands asked are met in an element, ``by_value`` not by being absent."""
        here, held = self._here.get(place, 0), self._held.get(place, 0)
        in_arrays = 0
        for array in self._arrays.get(place, ()):
            inside = self._asked[array]
            in_arrays |= inside
            first = inside & -inside
            wanted = inside & asked
            if not wanted:
                continue
            whole, rest = array in self._met, wanted == first or array in self._met_but_first
            if wanted & first and not (whole or (held & first and rest)):
                return False
            if not wanted & first and array not in self._met_but_first:
                return False
        alone = asked & ~in_arrays
        missing = alone & ~here
        return not (alone & here & ~held or missing & ~self._may_be_absent or missing & by_value)


class _Ways:
    """The search through an ambiguous event: a value for each demand in turn, that goes with those chosen before."""

    def __init__(self, demands: Sequence[_Demand]) -> None:
        self._demands = demands
        self.left = WAYS

    def found(self) -> bool:
        """Whether some way meets all demands; False also when there is nothing ``left`` to look with."""
        tried: set[tuple[int, frozenset[Place]]] = set()
        ways: list[Iterator[frozenset[Place]]] = [iter([frozenset[Place]()])]
        while ways and self.left >= 0:
            chosen = next(ways[-1], None)
            met = len(ways) - 1
            if chosen is None:
                ways.pop()
            elif met == len(self._demands):
                return True
            elif (met, chosen) not in tried:
                tried.add((met, chosen))
                ways.append(self._on(self._demands[met], chosen))
        return False

    def _on(self, demand: _Demand, chosen: frozenset[Place]) -> Iterator[frozenset[Place]]:
        """What is chosen when one more demand is met, in every way there is."""
        for place in demand.held:
            if self._together(place, chosen):
                yield chosen if place is OUTSIDE else chosen | {place}
        if demand.may_be_absent and not any(self._together(place, chosen) for place in demand.anywhere):
            yield chosen

    def _together(self, place: Place, chosen: frozenset[Place]) -> bool:
        self.left -= 1 + len(chosen) * (1 + place.depth)
        return not any(_exclude(place, other) for other in chosen)


def _exclude(one: Place | None, other: Place | None) -> bool:
    """Whether two places are in different elements of one array."""
    while one is not other:
        assert one is not None and other is not None
        if one.parent is other.parent:
            return one.array == other.array
        if one.depth >= other.depth:
            one = one.parent
        else:
            other = other.parent
    return False
