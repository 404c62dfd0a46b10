"""Requests that tell which of their members were read.

A ``Node`` is a place in a service's API model: a member of an operation's input, or of a structure inside it. Elements
of lists and values of maps stand at the place of their list or map, so that ``Targets.RetryPolicy`` is the policy of
every target. A map whose keys the model enumerates (the attributes of a queue) has its keys as members.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penstock.engine.model import Member, OperationModel, Shape
from penstock.engine.resource import ResourceType


class Node:
    """A place in a request. ``path`` is its name with those around it: "Environment.Variables"."""

    __slots__ = ("element", "members", "path")

    def __init__(self, path: str, members: Mapping[str, Node] | None = None, element: Node | None = None) -> None:
        self.path = path
        self.members = members
        self.element = element

    def leaves(self) -> Iterator[Node]:
        """The members that have none of their own, in the model's order."""
        inner = self.element or self
        if not inner.members:
            yield self
        for member in (inner.members or {}).values():
            yield from member.leaves()


def input_of(operation: OperationModel) -> Node:
    """The request of an operation."""
    return _place("", operation.input, ()) if operation.input is not None else Node("", {})


def properties(type_: ResourceType) -> Node:
    """The properties of a CloudFormation type, in the forms it says they have."""
    names = sorted(name for name in type_.executed | type_.kept if "." not in name)
    forms = {name: type_.form(name) for name in names}
    return Node("", {name: Node(name) if form is None else place(name, form) for name, form in forms.items()})


def place(path: str, shape: Shape) -> Node:
    """What has this shape at a place."""
    return _place(path, Member("", shape, {}), ())


def _place(path: str, use: Member, around: tuple[Shape, ...]) -> Node:
    shape = use.shape
    if shape in around or shape.event_stream:
        return Node(path)
    around = (*around, shape)
    if shape.type == "structure" and not shape.document:
        return Node(path, {name: _place(_join(path, name), m, around) for name, m in shape.members.items()})
    if shape.type == "map" and shape.key.shape.enum:
        return Node(path, {name: _place(_join(path, name), shape.value, around) for name in shape.key.shape.enum})
    if shape.type in ("list", "map"):
        element = _place(path, shape.element if shape.type == "list" else shape.value, around)
        return Node(path, element=element if element.members or element.element else None)
    return Node(path)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def watch(value: Any, node: Node, sent: set[str], read: set[str]) -> Any:
    """The value, with the paths of all members in ``sent``; the paths of those that are read will be in ``read``."""
    if value is None:
        return value
    if node.path:
        sent.add(node.path)
    if node.members is not None and isinstance(value, Mapping):
        return Watched(value, node.members, sent, read)
    if node.element is not None and isinstance(value, Mapping):
        return {key: watch(item, node.element, sent, read) for key, item in value.items()}
    if node.element is not None and isinstance(value, list):
        return [watch(item, node.element, sent, read) for item in value]
    return value


class Watched(dict[str, Any]):
    """A structure of a request: an ordinary dictionary that notes which members are asked for.

    Whoever takes all of it at once (items, values, a copy, a comparison) has read all that is inside.
    """

    __slots__ = ("_members", "_read")

    def __init__(self, value: Mapping[str, Any], members: Mapping[str, Node], sent: set[str], read: set[str]) -> None:
        super().__init__(
            (name, watch(item, members[name], sent, read) if name in members else item) for name, item in value.items()
        )
        self._members = members
        self._read = read

    def _note(self, name: Any) -> None:
        node = self._members.get(name)
        if node is not None:
            self._read.add(node.path)

    def _note_all(self) -> None:
        for name, item in dict.items(self):
            self._note(name)
            _note_inside(item)

    def __getitem__(self, name: str) -> Any:
        self._note(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self._note(name)
        return super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self._note(name)
        return super().get(name, default)

    def pop(self, name: str, *default: Any) -> Any:
        self._note(name)
        return super().pop(name, *default)

    def setdefault(self, name: str, default: Any = None) -> Any:
        self._note(name)
        return super().setdefault(name, default)

    def __iter__(self) -> Iterator[str]:
        for name in super().__iter__():
            self._note(name)
            yield name

    def keys(self) -> Any:
        for name in super().__iter__():
            self._note(name)
        return super().keys()

    def items(self) -> Any:
        self._note_all()
        return super().items()

    def values(self) -> Any:
        self._note_all()
        return super().values()

    def copy(self) -> dict[str, Any]:
        self._note_all()
        return dict(super().items())

    def __eq__(self, other: object) -> bool:
        self._note_all()
        return super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]

    def __or__(self, other: Any) -> Any:
        self._note_all()
        return dict(super().items()) | other

    def __ror__(self, other: Any) -> Any:
        self._note_all()
        return other | dict(super().items())


def _note_inside(value: Any) -> None:
    if isinstance(value, Watched):
        value._note_all()
    elif isinstance(value, dict):
        for item in value.values():
            _note_inside(item)
    elif isinstance(value, list):
        for item in value:
            _note_inside(item)
