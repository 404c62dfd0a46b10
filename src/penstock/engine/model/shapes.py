"""Shapes: the types of the API models, with the traits that say how they travel.

A ``Shape`` is a named type. A ``Member`` is a use of one: a structure's member, a list's element, a map's key or
value, an operation's input or output; it may add traits (``locationName``) or override its shape's.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

INTEGERS = frozenset({"integer", "long", "short", "byte"})
FLOATS = frozenset({"float", "double"})
_INTEGER_BITS = {"byte": 8, "short": 16, "integer": 32, "long": 64}


class Member:
    """A use of a shape. ``name`` is the member's name in requests and answers ("" for an element or a payload)."""

    __slots__ = ("name", "shape", "traits")

    def __init__(self, name: str, shape: Shape, traits: Mapping[str, Any]) -> None:
        self.name = name
        self.shape = shape
        self.traits = traits

    def trait(self, key: str) -> Any:
        """The member's own trait, else its shape's, else None."""
        value = self.traits.get(key)
        return value if value is not None else self.shape.traits.get(key)

    @property
    def wire_name(self) -> str:
        """The name on the wire: ``locationName`` where there is one."""
        return self.traits.get("locationName") or self.shape.traits.get("locationName") or self.name

    @property
    def location(self) -> str | None:
        """Where it travels: "uri", "querystring", "header", "headers", "statusCode", or None for the body."""
        location: str | None = self.traits.get("location")
        return location


class Shape:
    """A named type of a service's model. ``type`` is botocore's: structure, list, map, string, long, blob…"""

    def __init__(self, name: str, raw: Mapping[str, Any], shapes: Mapping[str, Shape]) -> None:
        self.name = name
        self.type: str = raw["type"]
        self.traits = raw
        self._shapes = shapes

    def __repr__(self) -> str:
        return f"<Shape {self.name}: {self.type}>"

    def _use(self, name: str, raw: Mapping[str, Any]) -> Member:
        return Member(name, self._shapes[raw["shape"]], raw)

    @cached_property
    def members(self) -> dict[str, Member]:
        """A structure's members by name, in the model's order."""
        return {name: self._use(name, raw) for name, raw in self.traits.get("members", {}).items()}

    @cached_property
    def element(self) -> Member:
        """A list's element."""
        return self._use("", self.traits["member"])

    @cached_property
    def key(self) -> Member:
        """A map's key."""
        return self._use("", self.traits["key"])

    @cached_property
    def value(self) -> Member:
        """A map's value."""
        return self._use("", self.traits["value"])

    @property
    def required(self) -> list[str]:
        """The members a structure must have."""
        required: list[str] = self.traits.get("required", [])
        return required

    @property
    def enum(self) -> list[str]:
        """A string's allowed values; empty when any is."""
        enum: list[str] = self.traits.get("enum", [])
        return enum

    @property
    def sensitive(self) -> bool:
        """Whether the value must not be repeated in messages and logs."""
        return bool(self.traits.get("sensitive"))

    @property
    def document(self) -> bool:
        """Whether it is any JSON value."""
        return bool(self.traits.get("document"))

    @property
    def event_stream(self) -> bool:
        """Whether it is a stream of events, whose kinds are its members."""
        return bool(self.traits.get("eventstream"))

    @property
    def payload(self) -> str | None:
        """The member that is the whole body, if one is."""
        payload: str | None = self.traits.get("payload")
        return payload

    @property
    def integer_limit(self) -> int:
        """2 to the power of an integer type's bits, less the sign: values must be below it."""
        return 1 << (_INTEGER_BITS[self.type] - 1)


class Shapes(dict[str, Shape]):
    """A service's shapes by name, made when first asked for."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        super().__init__()
        self._raw = raw

    def __missing__(self, name: str) -> Shape:
        shape = self[name] = Shape(name, self._raw[name], self)
        return shape
