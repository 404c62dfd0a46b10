"""JSON values to a request's and from an answer's, compiled once per shape.

A reader renames members, turns base64 into bytes and timestamps into epoch seconds, and drops nulls and members
that the model does not know. It leaves a value of the wrong type alone: the check that follows says what is wrong
with it. A writer does the reverse. None in place of a function means: nothing to do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from penstock.engine.model.shapes import FLOATS, INTEGERS, Member, Shape
from penstock.wire.protocols.compiled import Compiled
from penstock.wire.protocols.scalars import (
    UNIX,
    blob_from,
    blob_text,
    float_json,
    timestamp_from,
    timestamp_json,
)

Convert = Callable[[Any], Any]
log = logging.getLogger("penstock.wire")


def _integer_from(value: Any) -> Any:
    return int(value) if type(value) is float and value.is_integer() else value


def _float_from(value: Any) -> Any:
    return float(value) if value in ("NaN", "Infinity", "-Infinity") else value


def _blob_from(value: Any) -> Any:
    return blob_from(value) if type(value) is str else value


def _timestamp_from(value: Any) -> Any:
    return timestamp_from(value) if isinstance(value, str | int | float) and type(value) is not bool else value


class Readers:
    """Makes the readers of one operation."""

    def __init__(self) -> None:
        self._compounds = Compiled[Convert | None]()

    def of(self, use: Member) -> Convert | None:
        """The reader of a member's values."""
        shape = use.shape
        kind = shape.type
        if shape.document or kind in ("string", "character", "boolean"):
            return None
        if kind in INTEGERS:
            return _integer_from
        if kind in FLOATS:
            return _float_from
        if kind == "blob":
            return _blob_from
        if kind == "timestamp":
            return _timestamp_from
        return self._compounds.of(shape.name, lambda: self._compound(shape))

    def _compound(self, shape: Shape) -> Convert | None:
        if shape.type == "structure":
            return structure_reader(
                {member.wire_name: (member.name, self.of(member)) for member in shape.members.values()}
            )
        return _list_reader(self.of(shape.element)) if shape.type == "list" else _map_reader(self.of(shape.value))


def structure_reader(members: dict[str, tuple[str, Convert | None]]) -> Convert:
    """A reader of an object; ``members`` by their names on the wire."""
    get = members.get
    plain = frozenset(name for name, member in members.items() if member == (name, None))

    def read(value: Any) -> Any:
        if type(value) is not dict or (value.keys() <= plain and None not in value.values()):
            return value
        out = {}
        for key, item in value.items():
            member = get(key)
            if member is not None and item is not None:
                convert = member[1]
                out[member[0]] = item if convert is None else convert(item)
        return out

    return read


def _list_reader(convert: Convert | None) -> Convert | None:
    if convert is None:
        return None

    def read(value: Any) -> Any:
        if type(value) is not list:
            return value
        return [None if item is None else convert(item) for item in value]

    return read


def _map_reader(convert: Convert | None) -> Convert | None:
    def read(value: Any) -> Any:
        if type(value) is not dict:
            return value
        if convert is None:
            return {key: item for key, item in value.items() if item is not None}
        return {key: convert(item) for key, item in value.items() if item is not None}

    return read


class Writers:
    """Makes the writers of one operation's answers."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._compounds = Compiled[Convert | None]()

    def of(self, use: Member) -> Convert | None:
        """The writer of a member's values; None when they are JSON already."""
        shape = use.shape
        kind = shape.type
        if kind == "timestamp":
            form = use.trait("timestampFormat") or UNIX
            return lambda value: timestamp_json(value, form)
        if kind == "blob":
            return blob_text
        if kind in FLOATS:
            return float_json
        if shape.document or kind not in ("structure", "list", "map"):
            return None
        return self._compounds.of(shape.name, lambda: self._compound(shape))

    def _compound(self, shape: Shape) -> Convert | None:
        if shape.type == "structure":
            return self.structure(shape.name, list(shape.members.values()))
        if shape.type == "list":
            element = self.of(shape.element)
            return None if element is None else _list_writer(element)
        value = self.of(shape.value)
        return None if value is None else _map_writer(value)

    def structure(self, name: str, members: list[Member]) -> Convert:
        """A writer of an object of these members."""
        known = {member.name: (member.wire_name, self.of(member)) for member in members}
        plain = frozenset(name for name, member in known.items() if member == (name, None))
        get = known.get
        place = f"{self.place}: {name}"

        def write(value: Any) -> Any:
            if value.keys() <= plain and None not in value.values():
                return value
            out = {}
            for key, item in value.items():
                if item is None:
                    continue
                member = get(key)
                if member is None:
                    log.warning("%s has no member %r: the answer goes out without it", place, key)
                    continue
                convert = member[1]
                out[member[0]] = item if convert is None else convert(item)
            return out

        return write


def _list_writer(convert: Convert) -> Convert:
    return lambda value: [None if item is None else convert(item) for item in value]


def _map_writer(convert: Convert) -> Convert:
    return lambda value: {key: None if item is None else convert(item) for key, item in value.items()}
