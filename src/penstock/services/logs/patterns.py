"""Filter patterns: which log events a FilterLogEvents, a metric filter or a subscription filter takes.

    ERROR "not found" -DEBUG       every term, the excluded ones not
    ?ERROR ?WARN                   any of the terms
    %err(or)?-like expression%     a regular expression
    { $.level = "error" && $.took > 100 }
    [ip, user, ..., status = 4*, bytes]

Terms match anywhere in the message, with case. Optional terms beside others are ignored, as on AWS. Pure: a pattern
is compiled once and asked about messages.

Source: "Filter pattern syntax" in the CloudWatch Logs User Guide.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, Protocol

import orjson

from penstock.services.logs.expressions import Expression, ExpressionError

EXPRESSIONS: Final = 2  # regular expressions in one JSON or space-delimited pattern
_DEPTH: Final = 64  # nested parentheses

_TERM = re.compile(r'\s*([?-]?)(?:"((?:[^"\\]|\\.)*)"|%([^%]*)%|(\S+))')
_WORD = re.compile(r"[\w]+")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>"(?:[^"\\]|\\.)*") | (?P<regex>%[^%]*%)
      | (?P<mark>&&|\|\||!=|<=|>=|=|<|>|\(|\)|,|\.\.\.)
      | (?P<selector>\$(?:\.?\[(?:\d+|\*|'[^']*'|"[^"]*")\]|\.[\w-]+|\.\*)+)
      | (?P<word>[^\s()=<>!&|,"%]+)
    )""",
    re.VERBOSE,
)
_STEP = re.compile(r"\[(\d+)\]|\[(\*)\]|\['([^']*)'\]|\[\"([^\"]*)\"\]|\.([\w-]+)|\.(\*)")
_FIELD = re.compile(r"\[[^\]]*\]|\"[^\"]*\"|\S+")

Test = Callable[[Any], bool]


class PatternError(ValueError):
    """The text is no filter pattern; the message says why."""


class Pattern(Protocol):
    """A compiled pattern."""

    def matches(self, message: str) -> bool:
        """Whether it takes this message."""

    def values(self, message: str) -> dict[str, str]:
        """What a metric filter may use of a message it takes: the values of its selectors or fields."""


def compile_pattern(text: str) -> Pattern:
    """Compile a filter pattern; PatternError when it is none."""
    stripped = text.strip()
    try:
        if stripped.startswith("{"):
            return JsonPattern(stripped)
        if stripped.startswith("["):
            return FieldsPattern(stripped)
        return TermsPattern(stripped)
    except ExpressionError as error:
        raise PatternError(str(error)) from None


class TermsPattern:
    """Terms of plain text."""

    def __init__(self, text: str) -> None:
        included: list[Test] = []
        excluded: list[Test] = []
        optional: list[Test] = []
        at = 0
        while at < len(text):
            match = _TERM.match(text, at)
            if match is None:
                break
            at = match.end()
            sign, quoted, regex, word = match.groups()
            if regex is not None:
                test: Test = Expression(regex).search
            else:
                test = _contains(_unescaped(quoted) if quoted is not None else _checked(word))
            {"": included, "-": excluded, "?": optional}[sign].append(test)
        self._included, self._excluded = included, excluded
        self._optional = [] if included or excluded else optional

    def matches(self, message: str) -> bool:
        """Whether every included term is in the message, no excluded one is, and one of the optional ones."""
        if self._optional:
            return any(test(message) for test in self._optional)
        return all(test(message) for test in self._included) and not any(test(message) for test in self._excluded)

    def values(self, message: str) -> dict[str, str]:
        """Terms extract nothing."""
        return {}


class JsonPattern:
    """A condition on a message that is a JSON object: ``{ $.a = "x" && $.b[0] > 1 }``."""

    def __init__(self, text: str) -> None:
        if not text.endswith("}"):
            raise PatternError("a JSON pattern ends with }")
        parser = _Conditions(text[1:-1])
        self._test = parser.any_of()
        parser.finish()
        self._selectors = parser.selectors

    def matches(self, message: str) -> bool:
        """Whether the message is JSON and satisfies the condition."""
        document = _json(message)
        return document is not None and self._test(document)

    def values(self, message: str) -> dict[str, str]:
        """The text of every selector's value."""
        document = _json(message)
        found: dict[str, str] = {}
        for text, steps in self._selectors.items():
            for value in select(document, steps):
                if (shown := _text(value)) is not None:
                    found[text] = shown
        return found


class FieldsPattern:
    """Conditions on the fields of a message, by place: ``[ip, ..., status = 4*, bytes]``."""

    def __init__(self, text: str) -> None:
        if not text.endswith("]"):
            raise PatternError("a space-delimited pattern ends with ]")
        parser = _Conditions(text[1:-1])
        self._before: list[tuple[str, Test | None]] = []
        self._after: list[tuple[str, Test | None]] = []
        self._rest = False
        while True:
            if parser.is_mark("..."):
                if self._rest:
                    raise PatternError("a space-delimited pattern has one ... at most")
                self._rest = True
            else:
                (self._after if self._rest else self._before).append(parser.field())
            if not parser.is_mark(","):
                break
        parser.finish()

    def _fields(self, message: str) -> list[str] | None:
        fields = [field[1:-1] if field[0] in '["' and len(field) > 1 else field for field in _FIELD.findall(message)]
        wanted = len(self._before) + len(self._after)
        fits = len(fields) >= wanted if self._rest else len(fields) == wanted
        if not fits:
            return None
        return fields[: len(self._before)] + fields[len(fields) - len(self._after) :]

    def matches(self, message: str) -> bool:
        """Whether the message has these fields and each satisfies its condition."""
        fields = self._fields(message)
        if fields is None:
            return False
        tests = self._before + self._after
        return all(test is None or test(field) for field, (_, test) in zip(fields, tests, strict=True))

    def values(self, message: str) -> dict[str, str]:
        """The text of every named field."""
        fields = self._fields(message) or []
        return {f"${name}": field for (name, _), field in zip(self._before + self._after, fields, strict=False)}


Steps = tuple[str | int | None, ...]


def select(document: Any, steps: Steps) -> list[Any]:
    """The values a selector reaches: None as a step stands for every element or member."""
    reached = [document]
    for step in steps:
        following: list[Any] = []
        for value in reached:
            if step is None:
                following.extend(
                    value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()
                )
            elif isinstance(step, int):
                if isinstance(value, list) and step < len(value):
                    following.append(value[step])
            elif isinstance(value, dict) and step in value:
                following.append(value[step])
        reached = following
    return reached


class _Conditions:
    """Reads conditions: || over && over parentheses and comparisons."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        self.at = 0
        self.depth = 0
        self.expressions = 0
        self.selectors: dict[str, Steps] = {}
        at, end = 0, len(text.rstrip())
        while at < end:
            match = _TOKEN.match(text, at)
            if match is None:
                raise PatternError(f"nobody can read this part of the pattern: {text[at:].strip()}")
            self.tokens.append((str(match.lastgroup), match.group(str(match.lastgroup))))
            at = match.end()

    def next(self) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise PatternError("the pattern ends too early: a condition is missing")
        self.at += 1
        return self.tokens[self.at - 1]

    def is_mark(self, mark: str) -> bool:
        if self.at < len(self.tokens) and self.tokens[self.at] == ("mark", mark):
            self.at += 1
            return True
        return False

    def is_word(self, *words: str) -> bool:
        upcoming = [text.upper() for kind, text in self.tokens[self.at : self.at + len(words)] if kind == "word"]
        if upcoming == list(words):
            self.at += len(words)
            return True
        return False

    def finish(self) -> None:
        if self.at < len(self.tokens):
            raise PatternError(f"the pattern should have ended before {self.tokens[self.at][1]}")

    def any_of(self) -> Test:
        tests = [self.all_of()]
        while self.is_mark("||"):
            tests.append(self.all_of())
        return tests[0] if len(tests) == 1 else lambda document: any(test(document) for test in tests)

    def all_of(self) -> Test:
        tests = [self.one()]
        while self.is_mark("&&"):
            tests.append(self.one())
        return tests[0] if len(tests) == 1 else lambda document: all(test(document) for test in tests)

    def one(self) -> Test:
        if self.is_mark("("):
            self.depth += 1
            if self.depth > _DEPTH:
                raise PatternError("the pattern nests too deep")
            inner = self.any_of()
            if not self.is_mark(")"):
                raise PatternError("a ) is missing")
            self.depth -= 1
            return inner
        kind, text = self.next()
        if kind != "selector":
            raise PatternError(f"a condition begins with a selector such as $.level, not with {text}")
        steps = self.selectors[text] = _steps(text)
        if self.is_word("NOT", "EXISTS"):
            return lambda document: not select(document, steps)
        if self.is_word("IS", "NULL"):
            return lambda document: any(value is None for value in select(document, steps))
        if self.is_word("IS", "TRUE"):
            return lambda document: any(value is True for value in select(document, steps))
        if self.is_word("IS", "FALSE"):
            return lambda document: any(value is False for value in select(document, steps))
        test = self.comparison()
        return lambda document: any(test(value) for value in select(document, steps))

    def comparison(self) -> Test:
        """A comparison's test of one value."""
        kind, operator = self.next()
        if kind != "mark" or operator not in ("=", "!=", "<", ">", "<=", ">="):
            raise PatternError(f"a comparison is missing before {operator}")
        kind, text = self.next()
        if kind == "regex":
            self.expressions += 1
            if self.expressions > EXPRESSIONS:
                raise PatternError(f"the pattern has more than {EXPRESSIONS} regular expressions")
        elif kind not in ("string", "word"):
            raise PatternError(f"{text} is no value to compare with: put it in double quotes")
        return _comparison(operator, kind, text)

    def field(self) -> tuple[str, Test | None]:
        """A field of a space-delimited pattern: its name and what is asked of it."""
        kind, name = self.next()
        self.at -= 1
        if kind != "word" and (kind, name) != ("mark", "("):
            raise PatternError(f"a field's name is missing before {name}")
        names: set[str] = set()
        test = self._field_any(names)
        if len(names) != 1:
            raise PatternError(f"conditions on one field use its own name, not {', '.join(sorted(names))}")
        return names.pop(), test

    def _field_any(self, names: set[str]) -> Test | None:
        tests = [self._field_all(names)]
        while self.is_mark("||"):
            tests.append(self._field_all(names))
        kept = [test for test in tests if test is not None]
        return None if len(kept) < len(tests) else lambda text: any(test(text) for test in kept)

    def _field_all(self, names: set[str]) -> Test | None:
        tests = [self._field_one(names)]
        while self.is_mark("&&"):
            tests.append(self._field_one(names))
        kept = [test for test in tests if test is not None]
        return (lambda text: all(test(text) for test in kept)) if kept else None

    def _field_one(self, names: set[str]) -> Test | None:
        if self.is_mark("("):
            self.depth += 1
            if self.depth > _DEPTH:
                raise PatternError("the pattern nests too deep")
            test = self._field_any(names)
            if not self.is_mark(")"):
                raise PatternError("a ) is missing")
            self.depth -= 1
            return test
        kind, name = self.next()
        if kind != "word":
            raise PatternError(f"a field's name is missing before {name}")
        names.add(name)
        if self.at < len(self.tokens) and self.tokens[self.at][1] in ("=", "!=", "<", ">", "<=", ">="):
            return self.comparison()
        return None


def _steps(selector: str) -> Steps:
    steps: list[str | int | None] = []
    for index, each, single, double, name, every in _STEP.findall(selector):
        steps.append(int(index) if index else None if each or every else single or double or name)
    return tuple(steps)


def _comparison(operator: str, kind: str, text: str) -> Test:
    if kind == "regex":
        search = Expression(text[1:-1]).search
        if operator not in ("=", "!="):
            raise PatternError("a regular expression is compared with = or !=")
        return lambda value: (shown := _text(value)) is not None and search(shown) == (operator == "=")
    number = float(text) if kind == "word" and _NUMBER.fullmatch(text) else None
    if operator in ("=", "!="):
        return _equality(_glob(text[1:-1] if kind == "string" else text), number, equal=operator == "=")
    if number is None:
        raise PatternError(f"{operator} compares numbers, and {text} is none")
    order: Callable[[float, float], bool] = {
        "<": float.__lt__, ">": float.__gt__, "<=": float.__le__, ">=": float.__ge__
    }[operator]  # fmt: skip
    return lambda value: (held := _number(value)) is not None and order(held, number)


def _equality(is_like: Callable[[str], bool], number: float | None, *, equal: bool) -> Test:
    def test(value: Any) -> bool:
        if number is not None and (held := _number(value)) is not None:
            return (held == number) == equal
        shown = _text(value)
        return shown is not None and is_like(shown) == equal

    return test


def _glob(text: str) -> Callable[[str], bool]:
    """Equality with a text in which * stands for anything; \\" and \\\\ are escapes."""
    parts = [_unescaped(part) for part in text.split("*")]
    if len(parts) == 1:
        return parts[0].__eq__
    first, *middle, last = parts

    def is_like(value: str) -> bool:
        if len(value) < len(first) + len(last) or not value.startswith(first) or not value.endswith(last):
            return False
        at, end = len(first), len(value) - len(last)
        for part in middle:
            found = value.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True

    return is_like


def _text(value: Any) -> str | None:
    """A scalar as a pattern sees it; None for null, objects and arrays, which no comparison takes."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return orjson.dumps(value).decode()
    return None


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)
    return None


def _json(message: str) -> Any:
    start = message.lstrip()[:1]
    if start not in ("{", "["):
        return None
    try:
        return orjson.loads(message)
    except orjson.JSONDecodeError:
        return None


def _contains(term: str) -> Test:
    return lambda message: term in message


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text) if "\\" in text else text


def _checked(word: str) -> str:
    if not _WORD.fullmatch(word):
        raise PatternError(f"Invalid character(s) in term '{word}': put it in double quotes")
    return word
