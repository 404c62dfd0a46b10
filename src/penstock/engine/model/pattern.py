"""Patterns of the API models: Java's regular expressions, translated to Python's.

AWS's services match the whole value (``Matcher.matches``). What Python lacks is rewritten: POSIX and Unicode
classes (``\\p{Alnum}``, ``\\p{L}``), surrogate pairs written out (``\\uD800\\uDC00-\\uDBFF\\uDFFF``: every character
beyond U+FFFF), class intersections (``[a-z&&[^x]]``) are not. A pattern that cannot be translated is not checked:
``compile_pattern`` returns None for it, and a test lists them.
"""

from __future__ import annotations

import re
import sys
import unicodedata
import warnings
from collections.abc import Callable
from functools import cache

_POSIX = {
    "Alnum": "a-zA-Z0-9",
    "Alpha": "a-zA-Z",
    "Digit": "0-9",
    "Lower": "a-z",
    "Upper": "A-Z",
    "Punct": r"!-/:-@\[-`{-~",
    "Graph": "!-~",
    "Print": " -~",
    "Blank": r" \t",
    "Cntrl": r"\x00-\x1f\x7f",
    "XDigit": "0-9a-fA-F",
    "Space": r" \t\n\x0b\f\r",
    "ASCII": r"\x00-\x7f",
    "IsAlphabetic": None,
    "IsDigit": None,
    "IsLetter": None,
}
_CATEGORIES = {"IsAlphabetic": ("L", "Nl"), "IsLetter": ("L",), "IsDigit": ("Nd",), "IsLatin": ("L",)}
_PROPERTY = re.compile(r"\\([pP])(?:\{\^?([A-Za-z_]+)\}|([A-Z]))")
_PAIRS = re.compile(r"\\u[dD]800\\u[dD][cC]00-\\u[dD][bB][fF][fF]\\u[dD][fF][fF][fF]")
_CODE_POINT = re.compile(r"\\x\{([0-9a-fA-F]+)\}")
# Patterns with which some texts take time without end, and others that take the same texts, and those at once.
_PRINTABLE = r"\t*[\x20-\x7E][\t\x20-\x7E]*"
SAME = {
    r"^[ \t]*[\x20-\x7E]+([ \t]+[\x20-\x7E]+)*[ \t]*$": _PRINTABLE,
    r"[ \t]*[\x20-\x7E]+([ \t]+[\x20-\x7E]+)*[ \t]*|(\$(\.[\w/_-]+(\[(\d+|\*)\])*)*)": _PRINTABLE,
    r"^[ \t]*[^\x00-\x1F:\x7F]+([ \t]+[^\x00-\x1F:\x7F]+)*[ \t]*$": r"\t*[^\x00-\x1F:\x7F][^\x00-\x08\n-\x1F:\x7F]*",
}

Match = Callable[[str], object]


@cache
def _category(*wanted: str, without: bool = False) -> str:
    """The inside of a character class with every character of these Unicode categories, or of all others."""
    ranges: list[str] = []
    start: int | None = None
    for point in range(sys.maxunicode + 2):
        inside = point <= sys.maxunicode and (unicodedata.category(chr(point)).startswith(wanted) is not without)
        if inside and start is None:
            start = point
        elif not inside and start is not None:
            first, last = f"\\U{start:08x}", f"\\U{point - 1:08x}"
            ranges.append(first if first == last else f"{first}-{last}")
            start = None
    return "".join(ranges)


def _members_of(name: str) -> str:
    posix = _POSIX.get(name)
    return posix if posix is not None else _category(*_CATEGORIES.get(name, (name,)))


def _complement(name: str) -> str:
    if name in _POSIX and _POSIX[name] is not None:
        raise re.error(f"a negated {name} inside a class")
    return _category(*_CATEGORIES.get(name, (name,)), without=True)


def _translate(source: str) -> str:
    source = _PAIRS.sub(r"\\U00010000-\\U0010FFFF", source)
    source = _CODE_POINT.sub(lambda match: f"\\U{int(match[1], 16):08x}", source)
    out: list[str] = []
    position, depth = 0, 0
    while position < len(source):
        match = _PROPERTY.match(source, position)
        if match:
            inside = _members_of(match[2] or match[3])
            negative = match[1] == "P"
            if depth and negative:
                out.append(_complement(match[2] or match[3]))
            else:
                out.append(inside if depth else f"[{'^' if negative else ''}{inside}]")
            position = match.end()
            continue
        character = source[position]
        if character == "\\" and position + 1 < len(source):
            following = source[position + 1]
            out.append({"h": r"[ \t\xA0\u1680\u180e\u2000-\u200a\u202f\u205f\u3000]", "z": r"\Z", "/": "/"}.get(
                following, character + following))  # fmt: skip
            position += 2
            if depth and following in "wWsSdD" and source[position : position + 1] == "-":
                out.append("\\-")  # after a class Java reads a hyphen, not a range
                position += 1
            continue
        if character == "[":
            if depth:
                out.append("\\[")
                position += 1
                continue
            depth = 1
        elif character == "]" and depth:
            depth = 0
        out.append(character)
        position += 1
    return "".join(out)


@cache
def compile_pattern(source: str) -> Match | None:
    """A function that returns None for a value which does not match; None when Python cannot express the pattern."""
    if "&&" in source:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for text in (SAME.get(source, source), None):
            try:
                return re.compile(_translate(source) if text is None else text, re.ASCII).fullmatch
            except (re.error, OverflowError, ValueError):
                continue
    return None
