"""The conditions a pattern puts on one field, each with its plain meaning.

A condition is a value: equal conditions are one condition. ``holds`` is the slow, obvious truth which the index is
tested against; ``str`` is the condition as one writes it in a pattern.
Source: "Comparison operators for use in event patterns", EventBridge User Guide.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from penstock.engine.pattern.addresses import Block, holds
from penstock.engine.pattern.values import Leaf, LongNumber


def _written(value: Any) -> str:
    if isinstance(value, LongNumber):
        return value.text
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e16:
        return str(int(value))
    return json.dumps(value, ensure_ascii=False)


class Condition:
    """What a field's value has to be. ``Absent`` aside, it asks one value at a time."""

    def holds(self, leaf: Leaf) -> bool:
        """Whether a value of the field satisfies it."""
        raise NotImplementedError


@dataclass(frozen=True)
class Equals(Condition):
    """The value itself: a string, true, false, null, or a number that only its text tells apart."""

    value: str | bool | LongNumber | None

    def holds(self, leaf: Leaf) -> bool:
        return type(leaf) is type(self.value) and leaf == self.value

    def __str__(self) -> str:
        return _written(self.value)


@dataclass(frozen=True)
class EqualsNumber(Condition):
    """A number, however it is written."""

    value: float

    def holds(self, leaf: Leaf) -> bool:
        return type(leaf) is float and leaf == self.value

    def __str__(self) -> str:
        return _written(self.value)


@dataclass(frozen=True)
class Prefix(Condition):
    """A string that begins so."""

    text: str

    def holds(self, leaf: Leaf) -> bool:
        return isinstance(leaf, str) and leaf.startswith(self.text)

    def __str__(self) -> str:
        return f'{{"prefix": {_written(self.text)}}}'


@dataclass(frozen=True)
class Suffix(Condition):
    """A string that ends so."""

    text: str

    def holds(self, leaf: Leaf) -> bool:
        return isinstance(leaf, str) and leaf.endswith(self.text)

    def __str__(self) -> str:
        return f'{{"suffix": {_written(self.text)}}}'


@dataclass(frozen=True)
class IgnoreCase(Condition):
    """A string that equals, begins or ends so (``where``: "", "prefix", "suffix"), whatever the case of its letters.

    AWS compares character by character: each has to be the pattern's character in its lower-case or its upper-case
    form, so "ß" stands for "ß" and "SS".
    """

    text: str
    where: str = ""

    @cached_property
    def forms(self) -> list[tuple[str, str]]:
        """(lower, upper) of every character."""
        return [(character.lower(), character.upper()) for character in self.text]

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        body = "".join(f"(?:{re.escape(lower)}|{re.escape(upper)})" for lower, upper in self.forms)
        before, after = (".*" if self.where == "suffix" else ""), (".*" if self.where == "prefix" else "")
        return re.compile(before + body + after, re.DOTALL)

    def holds(self, leaf: Leaf) -> bool:
        return isinstance(leaf, str) and self._expression.fullmatch(leaf) is not None

    def __str__(self) -> str:
        inner = f'{{"equals-ignore-case": {_written(self.text)}}}'
        return f'{{"{self.where}": {inner}}}' if self.where else inner


@dataclass(frozen=True)
class Wildcard(Condition):
    """A string of this form, where ``*`` stands for any characters; ``\\*`` and ``\\\\`` for themselves."""

    text: str

    @cached_property
    def chunks(self) -> list[str]:
        """The literal texts between the wildcards; the first and the last may be empty."""
        chunks: list[str] = []
        current: list[str] = []
        characters = iter(self.text)
        for character in characters:
            if character == "*":
                chunks.append("".join(current))
                current = []
            else:
                current.append(next(characters, "") if character == "\\" else character)
        return [*chunks, "".join(current)]

    def holds(self, leaf: Leaf) -> bool:
        """Finds the chunks from left to right, each as early as possible; no backtracking is needed for that."""
        if not isinstance(leaf, str):
            return False
        first, *rest = self.chunks
        if not rest:
            return leaf == first
        last = rest.pop()
        if len(leaf) < len(first) + len(last) or not leaf.startswith(first) or not leaf.endswith(last):
            return False
        at, end = len(first), len(leaf) - len(last)
        for chunk in rest:
            found = leaf.find(chunk, at, end)
            if found < 0:
                return False
            at = found + len(chunk)
        return True

    def __str__(self) -> str:
        return f'{{"wildcard": {_written(self.text)}}}'


@dataclass(frozen=True)
class Between(Condition):
    """A number in a range; a bound that is None does not bound."""

    bottom: float | None
    bottom_open: bool
    top: float | None
    top_open: bool

    def holds(self, leaf: Leaf) -> bool:
        if type(leaf) is not float:
            return False
        if self.bottom is not None and (leaf <= self.bottom if self.bottom_open else leaf < self.bottom):
            return False
        return self.top is None or (leaf < self.top if self.top_open else leaf <= self.top)

    def __str__(self) -> str:
        terms = []
        if self.bottom is not None:
            terms.append(f'"{">" if self.bottom_open else ">="}", {_written(self.bottom)}')
        if self.top is not None:
            terms.append(f'"{"<" if self.top_open else "<="}", {_written(self.top)}')
        return f'{{"numeric": [{", ".join(terms)}]}}'


@dataclass(frozen=True)
class InBlock(Condition):
    """A string that is an IP address of a range. ``text`` is the CIDR or address as the pattern writes it."""

    block: Block
    text: str

    def holds(self, leaf: Leaf) -> bool:
        return isinstance(leaf, str) and holds(self.block, leaf)

    def __str__(self) -> str:
        return f'{{"cidr": {_written(self.text)}}}' if "/" in self.text else _written(self.text)


@dataclass(frozen=True)
class AnythingBut(Condition):
    """Any value for which none of these holds. ``form`` is the operator inside anything-but, or empty."""

    these: frozenset[Condition]
    form: str = ""

    def holds(self, leaf: Leaf) -> bool:
        return not any(condition.holds(leaf) for condition in self.these)

    def __str__(self) -> str:
        values = sorted(_written(getattr(one, "text", getattr(one, "value", None))) for one in self.these)
        inner = values[0] if len(values) == 1 else f"[{', '.join(values)}]"
        if self.form:
            inner = f'{{"{self.form}": {inner}}}'
        return f'{{"anything-but": {inner}}}'


@dataclass(frozen=True)
class Exists(Condition):
    """Any value."""

    def holds(self, leaf: Leaf) -> bool:
        return True

    def __str__(self) -> str:
        return '{"exists": true}'


@dataclass(frozen=True)
class Absent(Condition):
    """No value at all: no scalar stands at this path."""

    def holds(self, leaf: Leaf) -> bool:
        return False

    def __str__(self) -> str:
        return '{"exists": false}'


ABSENT = Absent()
