"""All patterns of a bus in one structure, so that an event costs nearly the same against ten and ten thousand.

The idea: a tree of demands. Each alternative of each pattern is a path down the tree, its demands put in an order in
which few can hold at once (a single exact value first, ranges and the like last), so that alternatives which begin
alike share nodes. At a node an event's value for a field is looked up among all conditions that the node's children
put on it (``Lookup``); only the children whose condition holds are entered. The array elements gone to are carried
along, as in the slow matcher.

Invariant: ``matching`` gives exactly the keys whose ``Pattern.matches``. ``exists: false`` depends on the order in
which AWS meets demands; the tree's order can only let too much through there, so such alternatives are checked by the
slow matcher at the end. Rejected: Event Ruler's byte automaton (merging states of value lists is most of its code),
and counting satisfied demands per rule (a demand that all rules share costs all rules).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from penstock.engine.pattern.conditions import ABSENT, Condition, Equals, EqualsNumber, InBlock
from penstock.engine.pattern.grammar import Alternative
from penstock.engine.pattern.lookup import Lookup
from penstock.engine.pattern.matcher import Pattern, satisfied
from penstock.engine.pattern.values import MANY, Field, Fields, Membership, Places, flatten, joined

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
        self.ends: list[tuple[K, Alternative | None]] = []  # the alternative where it has to be checked


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
            node.ends.append((key, alternative if _needs_check(alternative) else None))

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
        found: dict[K, None] = {}
        seen: set[tuple[int, Membership]] = set()
        ended: set[int] = set()
        many: dict[str, _Many[K]] = {}
        pending: list[tuple[_Node[K], Membership]] = [(self._root, ())]
        while pending:
            node, membership = pending.pop()
            if node.ends and id(node) not in ended:
                ended.add(id(node))
                for key, alternative in node.ends:
                    if key not in found and (alternative is None or satisfied(alternative, fields)):
                        found[key] = None
            if node.edges:
                _follow(node, membership, fields, pending, seen, many)
        return list(found)


class _Many(Generic[K]):
    """A field that an event has many values of: where they stand, and which of them an edge's conditions hold for."""

    __slots__ = ("_held", "_values", "places")

    def __init__(self, values: list[Field]) -> None:
        self._values = values
        self.places = Places(elements for _, elements in values)
        self._held: dict[int, tuple[Places, dict[Membership, dict[int, _Node[K]]]]] = {}

    def children(self, edge: _Edge[K], membership: Membership) -> Iterator[tuple[Membership, Collection[_Node[K]]]]:
        """The children whose conditions hold for a value that can be gone to, by where it stands."""
        known = self._held.get(id(edge))
        if known is None:
            held: dict[Membership, dict[int, _Node[K]]] = {}
            for leaf, elements in self._values:
                for child in edge.lookup.find(leaf):
                    held.setdefault(elements, {})[id(child)] = child
            known = self._held[id(edge)] = Places(held), held
        places, held = known
        for elements in places.together(membership):
            yield elements, held[elements].values()


def _follow(
    node: _Node[K], membership: Membership, fields: Fields, pending: list[tuple[_Node[K], Membership]],
    seen: set[tuple[int, Membership]], many: dict[str, _Many[K]],
) -> None:  # fmt: skip
    """Enter the children of a node whose conditions an event's fields satisfy."""
    edges = node.edges
    paths = edges.keys() if len(edges) < len(fields) else [path for path in fields if path in edges]
    for path in paths:
        values = fields.get(path, ())
        if len(values) >= MANY:
            for elements, found in _many(many, fields, path).children(edges[path], membership):
                _enter(found, membership, elements, pending, seen)
            continue
        lookup = edges[path].lookup
        for leaf, elements in values:
            children = lookup.find(leaf)
            if children:
                _enter(children, membership, elements, pending, seen)
    for path in node.absent:
        if path in fields and _reachable(many, fields, path, membership):
            continue
        for child in edges[path].absent:
            step = (id(child), membership)
            if step not in seen:
                seen.add(step)
                pending.append((child, membership))


def _enter(
    children: Collection[_Node[K]], membership: Membership, elements: Membership,
    pending: list[tuple[_Node[K], Membership]], seen: set[tuple[int, Membership]],
) -> None:  # fmt: skip
    """Go on at children, if that goes to no second element of an array."""
    together = membership if not elements else joined(membership, elements)
    if together is None:
        return
    for child in children:
        step = (id(child), together)
        if step not in seen:
            seen.add(step)
            pending.append((child, together))


def _many(many: dict[str, _Many[K]], fields: Fields, path: str) -> _Many[K]:
    known = many.get(path)
    if known is None:
        known = many[path] = _Many(fields[path])
    return known


def _reachable(many: dict[str, _Many[K]], fields: Fields, path: str, membership: Membership) -> bool:
    values = fields[path]
    if len(values) < MANY:
        return any(joined(membership, elements) is not None for _, elements in values)
    return next(_many(many, fields, path).places.together(membership), None) is not None


def _needs_check(alternative: Alternative) -> bool:
    return len(alternative) > 1 and any(ABSENT in conditions for conditions in alternative.values())


def _ordered(alternative: Alternative) -> list[tuple[str, tuple[Condition, ...]]]:
    """Demands in the tree's order: those of which few different ones can hold for one value come first."""
    return sorted(alternative.items(), key=lambda demand: (_rank(demand[1]), demand[0]))


def _rank(conditions: tuple[Condition, ...]) -> tuple[int, int]:
    if ABSENT in conditions:
        return (2, len(conditions))
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
