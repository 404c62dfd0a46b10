"""From a pattern's text to what it demands, with AWS's validation.

A pattern is a list of alternatives (one, unless it uses ``$or``); an alternative is a set of demands that must all be
met: a field's path, and the conditions of which one must hold.
Source: "Event patterns", EventBridge User Guide; the sentences are those PutRule and TestEventPattern answer with.
"""

from __future__ import annotations

from typing import Final, NoReturn

from penstock.engine.pattern import tokens as t
from penstock.engine.pattern.addresses import Block, address_of, block_of
from penstock.engine.pattern.conditions import (
    ABSENT,
    AnythingBut,
    Between,
    Condition,
    Equals,
    EqualsNumber,
    Exists,
    IgnoreCase,
    InBlock,
    Prefix,
    Suffix,
    Wildcard,
)
from penstock.engine.pattern.errors import PatternError
from penstock.engine.pattern.tokens import Tokens
from penstock.engine.pattern.values import LongNumber, number_of

Alternative = dict[str, tuple[Condition, ...]]

ALTERNATIVES: Final = 1000  # combinations that all $or of a pattern make; "Using $or", EventBridge User Guide

NESTING: Final = 200  # levels of a pattern: ours

# Names that may not be fields inside $or: they would be conditions put in the wrong place.
_RESERVED: Final = frozenset(
    {
        "exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric", "cidr",
        "=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case", "date-after", "date-on-or-after",
        "date-before", "date-on-or-before", "in-date-range", "ip-address-in-range", "ip-address-not-in-range",
    }
)  # fmt: skip
_LITERALS: Final = {"true": True, "false": False, "null": None}


def parse(source: str) -> list[Alternative]:
    """The alternatives of a pattern; PatternError in AWS's words when it is not valid."""
    reader = Tokens(source)
    if reader.next() != t.START_OBJECT:
        raise reader.error("Filter is not an object")
    alternatives: list[Alternative] = []
    _object(alternatives, "", reader, inside_or=False, level=1)
    return alternatives


def _object(alternatives: list[Alternative], prefix: str, reader: Tokens, *, inside_or: bool, level: int) -> None:
    """Add the fields of an object to every alternative there is so far; $or multiplies the alternatives."""
    if level > NESTING:
        raise reader.error(
            f"The pattern is nested too deeply: {NESTING} levels at most; join names of levels with dots"
        )
    empty = True
    while reader.next() != t.END_OBJECT:
        empty = False
        name = reader.text
        if name == "$or":
            _or(alternatives, prefix, reader, level)
            continue
        if inside_or and name in _RESERVED:
            raise reader.error(f"{name} is Ruler reserved fieldName which cannot be used inside $or.")
        kind = reader.next()
        if kind == t.START_OBJECT:
            _object(alternatives, f"{prefix}{name}.", reader, inside_or=inside_or, level=level + 1)
        elif kind == t.START_ARRAY:
            conditions = _field(reader)
            if not alternatives:
                alternatives.append({})
            for alternative in alternatives:
                alternative[prefix + name] = conditions
        else:
            raise reader.error(f'"{name}" must be an object or an array')
    if empty:
        raise reader.error("Empty objects are not allowed")


def _or(alternatives: list[Alternative], prefix: str, reader: Tokens, level: int) -> None:
    before = [dict(alternative) for alternative in alternatives] or [{}]
    alternatives.clear()
    if reader.next() != t.START_ARRAY:
        raise reader.error("It must be an Array followed with $or.")
    branches = 0
    while (kind := reader.next()) != t.END_ARRAY:
        branches += 1
        if kind != t.START_OBJECT:
            raise reader.error("Only JSON object is allowed in array of $or relationship.")
        branch = [dict(alternative) for alternative in before]
        _object(branch, prefix, reader, inside_or=True, level=level + 1)
        alternatives += branch
        if len(alternatives) > ALTERNATIVES:
            raise reader.error(
                f"Rule is too complex - the $or combinations exceed {ALTERNATIVES}; use fewer or smaller $or arrays"
            )
    if branches < 2:
        raise reader.error("There must have at least 2 Objects in $or relationship.")


def _field(reader: Tokens) -> tuple[Condition, ...]:
    conditions: list[Condition] = []
    while (kind := reader.next()) != t.END_ARRAY:
        if kind == t.START_OBJECT:
            conditions.append(_operator(reader))
        elif kind == t.STRING:
            conditions.append(_string(reader.text))
        elif kind == t.NUMBER:
            number = number_of(reader.text)
            conditions.append(Equals(number) if isinstance(number, LongNumber) else EqualsNumber(number))
        elif kind == t.LITERAL:
            conditions.append(Equals(_LITERALS[reader.text]))
        else:
            raise reader.error("Match value must be String, number, true, false, or null")
    if not conditions:
        raise reader.error("Empty arrays are not allowed")
    return tuple(conditions)


def _string(text: str) -> Condition:
    """A string in a pattern; one that is an IP address matches the address however it is written."""
    address = address_of(text) if text[:1].isalnum() or text[:1] == ":" else None
    return Equals(text) if address is None else InBlock(Block(address[0], address[0], address[1]), text)


def _operator(reader: Tokens) -> Condition:
    if reader.next() != t.NAME:
        raise reader.error("Match expression name not found")
    name = reader.text
    if name == "exactly":
        return _last(reader, Equals(_text(reader, "exact match pattern must be a string")))
    if name in ("prefix", "suffix"):
        return _affix(reader, name)
    if name == "numeric":
        return _numeric(reader)
    if name == "anything-but":
        return _anything_but(reader)
    if name == "exists":
        if reader.next() != t.LITERAL or reader.text == "null":
            raise reader.error("exists match pattern must be either true or false.")
        return _last(reader, Exists() if reader.text == "true" else ABSENT)
    if name == "cidr":
        text = _text(reader, "prefix match pattern must be a string")
        return _last(reader, InBlock(block_of(text), text))
    if name == "equals-ignore-case":
        return _last(reader, IgnoreCase(_text(reader, "equals-ignore-case match pattern must be a string")))
    if name == "wildcard":
        return _last(reader, _wildcard(reader, _text(reader, "wildcard match pattern must be a string")))
    raise reader.error(f"Unrecognized match type {name}")


def _text(reader: Tokens, complaint: str) -> str:
    if reader.next() != t.STRING:
        raise reader.error(complaint)
    return reader.text


def _last(
    reader: Tokens, condition: Condition, complaint: str = "Only one key allowed in match expression"
) -> Condition:
    if reader.next() != t.END_OBJECT:
        raise reader.error(complaint)
    return condition


def _affix(reader: Tokens, name: str) -> Condition:
    kind = reader.next()
    if kind == t.STRING:
        text = reader.text
        return _last(reader, Prefix(text) if name == "prefix" else Suffix(text))
    if kind != t.START_OBJECT:
        raise reader.error(f"{name} match pattern must be a string")
    if reader.next() != t.NAME:
        raise reader.error(f"{name.capitalize()} expression name not found")
    if reader.text != "equals-ignore-case":
        raise reader.error(f"Unsupported {name} pattern: {reader.text}")
    condition = IgnoreCase(_text(reader, "equals-ignore-case match pattern must be a string"), name)
    return _last(reader, _last(reader, condition))


def _wildcard(reader: Tokens, text: str) -> Wildcard:
    """AWS parses the value with its quotes around it and counts bytes, so positions begin at 1."""
    at = 0
    while at < len(text):
        position = len(text[:at].encode(errors="surrogatepass")) + 1
        if text[at] == "*" and text[at + 1 : at + 2] == "*":
            raise reader.error(f"Consecutive wildcard characters at pos {position}")
        if text[at] == "\\":
            if text[at + 1 : at + 2] not in ("*", "\\"):
                raise reader.error(f"Invalid escape character at pos {position}")
            at += 1
        at += 1
    return Wildcard(text)


# --- numeric

_TOO_MANY: Final = "Too many elements in numeric expression"


def _numeric(reader: Tokens) -> Condition:
    if reader.next() != t.START_ARRAY:
        raise reader.error("Value of numeric must be an array.")
    if reader.next() != t.STRING:
        raise reader.error(f"Invalid member in numeric match: {reader.text}")
    operator = reader.text
    kind = reader.next()
    if operator not in ("=", "<", "<=", ">", ">="):
        raise reader.error(f"Unrecognized numeric range operator: {operator}")
    if kind != t.NUMBER:
        raise reader.error(f"Value of {'equals' if operator == '=' else operator} must be numeric")
    first = reader.text
    kind = reader.next()
    if operator in (">", ">="):
        condition = _range(reader, first, kind, bottom_open=operator == ">")
    elif kind != t.END_ARRAY:
        raise reader.error(_TOO_MANY)
    elif operator == "=":
        condition = EqualsNumber(_comparable(reader, first))
    else:
        condition = Between(None, False, _comparable(reader, first), operator == "<")
    return _last(reader, condition, _TOO_MANY)


def _range(reader: Tokens, bottom: str, kind: str, *, bottom_open: bool) -> Condition:
    if kind == t.END_ARRAY:
        return Between(_comparable(reader, bottom), bottom_open, None, False)
    if kind != t.STRING:
        raise reader.error(f"Bad value in numeric range: {reader.text}")
    operator = reader.text
    if operator not in ("<", "<="):
        # AWS reads ["<", 1, ">", 0] as one bound too many, and [">", 1, ">", 0] as a bad operator.
        raise reader.error(f"Bad numeric range operator: {operator}")
    if reader.next() != t.NUMBER:
        raise reader.error(f"Value of {operator} must be numeric")
    top = reader.text
    if reader.next() != t.END_ARRAY:
        raise reader.error("Too many terms in numeric range expression")
    low, high = _comparable(reader, bottom), _comparable(reader, top)
    if low >= high:
        raise reader.error("Bottom must be less than top")
    return Between(low, bottom_open, high, operator == "<")


def _comparable(reader: Tokens, text: str) -> float:
    number = number_of(text)
    if isinstance(number, LongNumber):
        raise reader.error(f"Cannot compare number : {text}")
    return number


# --- anything-but

_FORMS: Final = {
    "equals-ignore-case": "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.",
    "prefix": "prefix/suffix match pattern must be a string",
    "suffix": "prefix/suffix match pattern must be a string",
    "wildcard": "wildcard match pattern must be a string",
}


def _anything_but(reader: Tokens) -> Condition:
    form = ""
    kind = reader.next()
    if kind == t.START_OBJECT:
        if reader.next() != t.NAME:
            raise reader.error("Anything-But expression name not found")
        form = reader.text
        if form not in _FORMS:
            raise reader.error(f"Unsupported anything-but pattern: {form}")
        kind = reader.next()
    if kind not in (t.START_ARRAY, t.STRING, t.NUMBER):
        raise reader.error("Value of anything-but must be an array or single string/number value.")
    if kind == t.START_ARRAY:
        these = _in_list(reader, form)
    elif form:
        these = [_formed(reader, kind, form)]
    elif kind == t.STRING:
        these = [Equals(reader.text)]
    else:
        these = [EqualsNumber(_comparable(reader, reader.text))]
    condition = _last(reader, AnythingBut(frozenset(these), form), _TOO_MANY)
    return _last(reader, condition, _TOO_MANY) if form else condition


def _in_list(reader: Tokens, form: str) -> list[Condition]:
    """The values of a list. AWS repeats the position of what goes wrong while it reads the list."""
    these: list[Condition] = []
    numbers = 0
    try:
        while (kind := reader.next()) != t.END_ARRAY:
            if form:
                these.append(_formed(reader, kind, form, check=False))
            elif kind == t.STRING:
                these.append(Equals(reader.text))
            elif kind == t.NUMBER:
                numbers += 1
                these.append(EqualsNumber(_comparable(reader, reader.text)))
            else:
                raise reader.error("Inside anything but list, start|null|boolean is not supported.")
    except PatternError as error:
        _again(reader, error)
    if not form and (not these or 0 < numbers < len(these)):
        raise reader.error(
            "Inside anything but list, either all values are number or string, mixed type is not supported"
        )
    if form == "wildcard":
        these = [_wildcard(reader, one.text) for one in these if isinstance(one, Wildcard)]
    return these


def _again(reader: Tokens, error: PatternError) -> NoReturn:
    raise reader.error(str(error)) from error


def _formed(reader: Tokens, kind: str, form: str, *, check: bool = True) -> Condition:
    if kind != t.STRING:
        raise reader.error(_FORMS[form])
    text = reader.text
    if form == "equals-ignore-case":
        return IgnoreCase(text)
    if form == "wildcard":
        return _wildcard(reader, text) if check else Wildcard(text)
    if not text:
        raise reader.error("Null prefix/suffix not allowed")
    return Prefix(text) if form == "prefix" else Suffix(text)
