"""All patterns of a bus in one structure, so that an event costs nearly the same against ten and ten thousand.

The idea: a tree of demands. Each alternative of each pattern is a path down the tree, its demands put in an order in
which few can hold at once (a single exact value first, ranges and the like last), so that alternatives which begin
alike share nodes. At a node an event's value for a field is looked up among all conditions that the node's children
put on it (``Lookup``); only the children whose condition holds are entered.

The place gone to, an element of an array, is carried along. One is enough: demands below one name follow one another,
so what comes next is either in the arrays gone to or below another name, where it stands in others which do not
constrain it; then the elements left behind do not matter any more. A node is entered once for each place, not for each
combination of elements.

Invariant: ``matching`` gives exactly the keys whose ``Pattern.matches``. ``exists: false`` depends on the order in
which AWS meets demands, and ambiguous events have places that do not exclude each other as above: there the tree only
lets too much through, so such alternatives are checked at the end. Rejected: Event Ruler's byte automaton (merging
states of value lists is most of its code), and counting satisfied demands per rule (a demand that all rules share
costs all rules).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from penstock.engine.pattern.conditions import ABSENT, Condition, Equals, EqualsNumber, InBlock
from penstock.engine.pattern.consistency import satisfied
from penstock.engine.pattern.grammar import Alternative
from penstock.engine.pattern.lookup import Lookup
from penstock.engine.pattern.matcher import Pattern
from penstock.engine.pattern.values import OUTSIDE, Field, Fields, Place, flatten, prefixes_of

K = TypeVar("K", bound=Hashable)


class _Edge(Generic[K]):
    """What a node asks of one field: a child for every set of conditions."""

    __slots__ = ("absent", "children", "lookup")

    def __init__(self) -> None:
        self.children: dict[tuple[Condition, ...], _Node[K]] = {}
        self.lookup: Lookup[_Node[K]] = Lookup()
        self.absent: list[_Node[K]] = []  # children that accept the field's absence


class _Node(Generic[K]):
    """The alternatives that have the same demands so far: those that end here, and what the others ask next."""

    __slots__ = ("absent", "edges", "ends")

    def __init__(self) -> None:
        self.edges: dict[str, _Edge[K]] = {}
        self.absent: set[str] = set()  # paths of edges some child of which accepts absence
        self.ends: list[tuple[K, Alternative, bool]] = []  # with whether one of its demands accepts absence


class Index(Generic[K]):
    """Patterns by key (a rule's name, for instance)."""

    def __init__(self) -> None:
        self._root: _Node[K] = _Node()
        self._patterns: dict[K, Pattern] = {}
        self._wanted: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._patterns)

    def add(self, key: K, pattern: Pattern) -> None:
        """Put a pattern in, in place of the one that had this key."""
        self.remove(key)
        self._patterns[key] = pattern
        self._wanted.update(pattern.wanted)
        for alternative in pattern.alternatives:
            node = self._root
            for path, conditions in _ordered(alternative):
                node = _child(node, path, conditions)
            node.ends.append((key, alternative, any(ABSENT in conditions for conditions in alternative.values())))

    def remove(self, key: K) -> None:
        """Take a pattern out, if it is there."""
        pattern = self._patterns.pop(key, None)
        if pattern is None:
            return
        for path in pattern.wanted:
            self._wanted[path] -= 1
            if not self._wanted[path]:
                del self._wanted[path]
        for alternative in pattern.alternatives:
            _take_out(self._root, _ordered(alternative), key)

    def matching(self, event: Mapping[str, Any]) -> list[K]:
        """The keys of the patterns that match a parsed event, each once, in no particular order."""
        fields = flatten(event, self._wanted.keys())
        walk = _Walk(fields, self._root)
        found: dict[K, None] = {}
        ended: set[int] = set()
        while walk.pending:
            node, place = walk.pending.pop()
            if node.ends and id(node) not in ended:
                ended.add(id(node))
                for key, alternative, may_be_absent in node.ends:
                    check = fields.ambiguous or (may_be_absent and fields.nested)
                    if key not in found and (not check or satisfied(alternative, fields)):
                        found[key] = None
            if node.edges:
                walk.follow(node, place)
        return list(found)


class _Walk(Generic[K]):
    """One event's way down the tree: the nodes still to be gone on from, each with the place gone to."""

    __slots__ = ("_above_arrays", "_fields", "_followed", "_nested", "_numbers", "_seen", "pending")

    def __init__(self, fields: Fields, root: _Node[K]) -> None:
        self.pending = [(root, OUTSIDE)]
        self._seen: set[tuple[int, int]] = set()  # (child, place's number)
        self._fields = fields.outside() if fields.ambiguous else fields
        self._nested = fields.nested
        if fields.nested:
            self._followed: set[tuple[int, int]] = set()  # (edge, place's number)
            self._above_arrays: dict[tuple[int, str], Place] = {}
            self._numbers: dict[str, list[int]] = {}  # by path: the numbers of its values' places

    def follow(self, node: _Node[K], place: Place) -> None:
        """Enter the children of a node whose conditions an event's fields satisfy."""
        edges, fields = node.edges, self._fields
        for path in edges.keys() if len(edges) < len(fields) else [path for path in fields if path in edges]:
            edge, above = edges[path], OUTSIDE
            values: Sequence[Field] = fields.get(path, ())
            if place is not OUTSIDE:
                above = self._above(place, path)
                if self._is_followed(edge, above):
                    continue
                values = values if above is OUTSIDE else self._around(path, above)
            find = edge.lookup.find
            for leaf, there in reversed(values):
                children = find(leaf)
                if children:
                    self._enter(children, there if there.number > above.number else above)
        for path in node.absent:
            if path not in fields or self._nested:
                self._enter(edges[path].absent, place)

    def _enter(self, children: Iterable[_Node[K]], place: Place) -> None:
        for child in children:
            step = (id(child), place.number)
            if step not in self._seen:
                self._seen.add(step)
                self.pending.append((child, place))

    def _above(self, place: Place, path: str) -> Place:
        """The innermost place, this one or around it, of an array that a path leads into."""
        passed: list[int] = []
        while place is not OUTSIDE and path != place.path and not path.startswith(place.path + "."):
            known = self._above_arrays.get((place.array, path))
            if known is not None:
                place = known
                break
            passed.append(place.array)
            place = place.parent or OUTSIDE
        for array in passed:
            self._above_arrays[array, path] = place
        return place

    def _is_followed(self, edge: _Edge[K], place: Place) -> bool:
        """Whether an edge was followed from a place or from one around it, from where all this one leads to was found;
        it counts as followed from now on."""
        outer: Place | None = place
        while outer is not None:
            if (id(edge), outer.number) in self._followed:
                return True
            outer = outer.parent
        self._followed.add((id(edge), place.number))
        return False

    def _around(self, path: str, place: Place) -> Sequence[Field]:
        """The values of a field that can be gone to from a place: those in it, and the scalars of its own array and of
        the arrays around that which have the same path."""
        values = self._fields.get(path, [])
        numbers = self._numbers.get(path)
        if numbers is None:
            numbers = self._numbers[path] = [there.number for _, there in values]
        found = values[bisect_left(numbers, place.number) : bisect_left(numbers, place.end)]
        outer = place
        while outer.parent is not None and outer.path == path:
            outer = outer.parent
            found = values[bisect_left(numbers, outer.number) : bisect_right(numbers, outer.number)] + found
        return found


def _ordered(alternative: Alternative) -> list[tuple[str, tuple[Condition, ...]]]:
    """Demands in the tree's order: those of which few different ones can hold for one value come first, and all below
    one name together. Those that accept absence come last: what is gone to before them does not tell whether they hold.
    """
    ranks: dict[str, tuple[int, int]] = {}
    for path, conditions in alternative.items():
        rank = _rank(conditions)
        for prefix in prefixes_of(path):
            ranks[prefix] = max(rank, ranks.get(prefix, rank))

    def place_of(demand: tuple[str, tuple[Condition, ...]]) -> tuple[bool, list[tuple[tuple[int, int], str]]]:
        path, conditions = demand
        return ABSENT in conditions, [(ranks[prefix], prefix) for prefix in prefixes_of(path)]

    return sorted(alternative.items(), key=place_of)


def _rank(conditions: tuple[Condition, ...]) -> tuple[int, int]:
    exact = all(isinstance(condition, (Equals, EqualsNumber, InBlock)) for condition in conditions)
    return (0 if exact else 1, len(conditions))


def _child(node: _Node[K], path: str, conditions: tuple[Condition, ...]) -> _Node[K]:
    edge = node.edges.get(path)
    if edge is None:
        edge = node.edges[path] = _Edge()
    child = edge.children.get(conditions)
    if child is None:
        child = edge.children[conditions] = _Node()
        for condition in dict.fromkeys(conditions):
            edge.lookup.add(condition, child)
        if ABSENT in conditions:
            edge.absent.append(child)
            node.absent.add(path)
    return child


def _take_out(node: _Node[K], demands: list[tuple[str, tuple[Condition, ...]]], key: K) -> bool:
    """Remove a key's end below a node; True when the node has nothing left."""
    if not demands:
        node.ends = [end for end in node.ends if end[0] != key]
    else:
        (path, conditions), *rest = demands
        edge = node.edges.get(path)
        child = edge.children.get(conditions) if edge is not None else None
        if edge is not None and child is not None and _take_out(child, rest, key):
            del edge.children[conditions]
            for condition in dict.fromkeys(conditions):
                edge.lookup.remove(condition, child)
            edge.absent = [one for one in edge.absent if one is not child]
            if not edge.absent:
                node.absent.discard(path)
            if not edge.children:
                del node.edges[path]
    return not node.ends and not node.edges
