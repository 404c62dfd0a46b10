"""Regular expressions of filter patterns, matched in linear time.

The dialect is CloudWatch Logs': characters, ``.``, classes, ``^ $ ? * + {m,n} |``, the escapes ``\\d \\s \\w`` and
``\\xhh``, no parentheses. Python's own engine is not used, because a pattern such as ``a*a*a*b`` takes it polynomial
time with the interpreter locked. Here the pattern becomes an automaton whose deterministic states are made as the
text needs them; a text of n characters takes n steps.

Source: "Filter pattern syntax" in the CloudWatch Logs User Guide, section on supported regular expressions.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Final, NamedTuple

STATES: Final = 2000  # the most an expression may need, {m,n} written out
CACHED: Final = 4096  # deterministic states kept per expression

_PLAIN: Final = frozenset(string.ascii_letters + string.digits + ":_#=@/;,- ")
_SETS: Final[dict[str, Callable[[str], bool]]] = {
    "d": lambda c: c in string.digits,
    "s": str.isspace,
    "w": lambda c: c == "_" or (c.isascii() and c.isalnum()),
}
_BEGIN: Final = "begin"
_END: Final = "end"

Test = Callable[[str], bool]


class ExpressionError(ValueError):
    """The text is no expression of this dialect; the message says why."""


class _Atom(NamedTuple):
    test: Test | str  # of one character, or _BEGIN or _END
    least: int
    most: int | None


class _Reader:
    """Takes an expression apart into alternatives of atoms."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def take(self) -> str:
        if self.at >= len(self.text):
            raise ExpressionError(f"the expression %{self.text}% ends too early")
        self.at += 1
        return self.text[self.at - 1]

    def peek(self) -> str:
        return self.text[self.at] if self.at < len(self.text) else ""

    def alternatives(self) -> list[list[_Atom]]:
        found: list[list[_Atom]] = [[]]
        while self.at < len(self.text):
            if self.peek() == "|":
                self.take()
                found.append([])
            else:
                test = self.test()
                least, most = self.repeat()
                if isinstance(test, str) and (least, most) != (1, 1):
                    raise ExpressionError("^ and $ cannot be repeated")
                found[-1].append(_Atom(test, least, most))
        return found

    def test(self) -> Test | str:
        char = self.take()
        if char == "^":
            return _BEGIN
        if char == "$":
            return _END
        if char == ".":
            return lambda c: c != "\n"
        if char == "[":
            return self.class_()
        if char == "\\":
            return self.escape()
        if char not in _PLAIN:
            raise ExpressionError(f"the character {char!r} is not supported: escape it with a backslash")
        return char.__eq__

    def escape(self) -> Test:
        char = self.take()
        if char in _SETS:
            return _SETS[char]
        if char.lower() in _SETS:
            inner = _SETS[char.lower()]
            return lambda c: not inner(c)
        return self.escaped(char).__eq__

    def escaped(self, char: str) -> str:
        if char == "x":
            try:
                return chr(int(self.take() + self.take(), 16))
            except ValueError:
                raise ExpressionError("\\x wants two hexadecimal digits") from None
        if char in string.ascii_letters + string.digits:
            raise ExpressionError(f"the escape \\{char} is not supported")
        return char

    def class_(self) -> Test:
        negated = self.peek() == "^"
        if negated:
            self.take()
        singles: set[str] = set()
        others: list[Test] = []
        while (char := self.take()) != "]" or not (singles or others):
            if char == "\\":
                char = self.take()
                if char.lower() in _SETS:
                    inner = _SETS[char.lower()]
                    others.append(inner if char in _SETS else lambda c, inner=inner: not inner(c))
                    continue
                char = self.escaped(char)
            if self.peek() == "-" and self.text[self.at + 1 : self.at + 2] not in ("]", ""):
                self.take()
                last = self.take()
                if last == "\\":
                    last = self.escaped(self.take())
                if last < char:
                    raise ExpressionError(f"the range {char}-{last} is the wrong way round")
                others.append(lambda c, first=char, last=last: first <= c <= last)
            else:
                singles.add(char)
        return lambda c: (c in singles or any(test(c) for test in others)) != negated

    def repeat(self) -> tuple[int, int | None]:
        mark = self.peek()
        if mark in ("?", "*", "+") and mark:
            self.take()
            return (1 if mark == "+" else 0), (1 if mark == "?" else None)
        if mark != "{":
            return 1, 1
        self.take()
        inside = ""
        while (char := self.take()) != "}":
            inside += char
        least, comma, most = inside.replace(" ", "").partition(",")
        try:
            low = int(least)
            high = low if not comma else int(most) if most else None
        except ValueError:
            raise ExpressionError(f"{{{inside}}} is no count: write {{m}}, {{m,}} or {{m,n}}") from None
        if high is not None and high < low:
            raise ExpressionError(f"{{{inside}}} is the wrong way round")
        return low, high


class _State(NamedTuple):
    """A state of the automaton: where a character that passes leads, and where no character is needed to go."""

    test: Test | str | None
    after: int
    free: tuple[int, ...]


class Expression:
    """A compiled expression; ``search`` tells whether it matches anywhere in a text."""

    def __init__(self, text: str) -> None:
        self._states: list[_State] = []
        goal = self._add(_State(None, 0, ()))
        starts = [self._chain(atoms, goal) for atoms in _Reader(text).alternatives()]
        self._goal = goal
        self._start = self._add(_State(None, 0, tuple(starts)))
        self._table: dict[frozenset[int], dict[str, frozenset[int]]] = {}

    def search(self, text: str) -> bool:
        """Whether the expression matches somewhere in the text."""
        restart = self._closure([self._start], begin=False, end=False)
        now = self._closure([self._start], begin=True, end=not text)
        if self._goal in now:
            return True
        for position, char in enumerate(text):
            row = self._table.get(now)
            if row is None:
                if len(self._table) >= CACHED:
                    self._table.clear()
                row = self._table[now] = {}
            following = row.get(char)
            if following is None:
                following = row[char] = self._step(now, char) | restart
            now = following
            if self._goal in now:
                return True
            if position == len(text) - 1:
                return self._goal in self._closure(list(now), begin=False, end=True)
        return False

    def _add(self, state: _State) -> int:
        self._states.append(state)
        if len(self._states) > STATES:
            raise ExpressionError("the expression is too large: use smaller counts in {m,n}")
        return len(self._states) - 1

    def _chain(self, atoms: list[_Atom], goal: int) -> int:
        """Build from the end: the state from which ``atoms`` lead to ``goal``."""
        following = goal
        for atom in reversed(atoms):
            if atom.most is None:
                loop = self._add(_State(None, 0, ()))
                once = self._add(_State(atom.test, loop, ()))
                self._states[loop] = _State(None, 0, (once, following))
                following = loop
            else:
                target = following
                for _ in range(atom.most - atom.least):
                    once = self._add(_State(atom.test, following, ()))
                    following = self._add(_State(None, 0, (once, target)))
            for _ in range(atom.least):
                following = self._add(_State(atom.test, following, ()))
        return following

    def _step(self, now: frozenset[int], char: str) -> frozenset[int]:
        states = self._states
        reached = [
            states[i].after for i in now if (test := states[i].test) and not isinstance(test, str) and test(char)
        ]
        return self._closure(reached, begin=False, end=False)

    def _closure(self, from_: list[int], *, begin: bool, end: bool) -> frozenset[int]:
        found: set[int] = set()
        while from_:
            index = from_.pop()
            if index in found:
                continue
            found.add(index)
            state = self._states[index]
            from_.extend(state.free)
            if (state.test == _BEGIN and begin) or (state.test == _END and end):
                from_.append(state.after)
        return frozenset(found)
