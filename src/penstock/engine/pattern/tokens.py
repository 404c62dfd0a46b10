"""The tokens of a pattern's JSON text, with AWS's positions and sentences.

EventBridge reads patterns with a streaming JSON reader, and its validation messages tell where that reader stood:
``... at [Source: (String)"{...}"; line: 1, column: 53]``. People grep for these sentences, so this reader stands in
the same places: a string is read only when its text is asked for, and after a member's name the beginning of its
value has been read as well. It also keeps what other readers lose: the text of numbers and repeated names.
"""

from __future__ import annotations

import re
from typing import Final

from penstock.engine.pattern.errors import PatternError

START_OBJECT: Final = "{"
END_OBJECT: Final = "}"
START_ARRAY: Final = "["
END_ARRAY: Final = "]"
NAME: Final = "name"
STRING: Final = "string"
NUMBER: Final = "number"
LITERAL: Final = "literal"  # true, false, null
END: Final = "end"

SOURCE_CHARACTERS: Final = 500  # of the pattern shown in a message

_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")
_WORD = re.compile(r"\w+")
_SPACE = " \t\r\n"
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"


class Tokens:
    """Reads one JSON text, token by token. ``text`` is the text of the current name, string, number or literal."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0  # index of the next character to read
        self._open: list[tuple[str, int, int]] = []  # (bracket, index of it, entries so far)
        self._kind = ""
        self._text = ""
        self._unread_string = False  # the current string's opening quote is read, its text is not
        self._value_kind = ""  # of the value that follows the current name, whose beginning is read
        self._value_at = 0
        self._value_text = ""  # of the value, where it is a number or a literal

    @property
    def text(self) -> str:
        """The text of the current token; reads a string to its end."""
        if self._kind == STRING and self._unread_string:
            self._text = self._read_string()
        return self._text

    def next(self) -> str:
        """Go to the next token and return its kind."""
        if self._kind == NAME:
            return self._enter_value(self._value_kind)
        if self._unread_string:
            self._read_string()
        character = self._skip_space()
        if not character:
            self._kind = END
            return END
        if character in "]}":
            return self._close(character)
        if self._open:
            character = self._count_entry(character)
        if self._open and self._open[-1][0] == START_OBJECT:
            self._text = self._read_name(character)
            self._value_kind = self._begin_value(self._skip_colon())
            self._kind = NAME
            return NAME
        return self._enter_value(self._begin_value(character))

    def error(self, message: str) -> PatternError:
        """A PatternError that says where the reader stands."""
        return PatternError(f"{message}\n at {self._place(self._at)}")

    # --- reading

    def _enter_value(self, kind: str) -> str:
        self._kind, self._text = kind, self._value_text
        if kind in (START_OBJECT, START_ARRAY):
            self._open.append((kind, self._value_at, 0))
        return kind

    def _skip_space(self) -> str:
        """The next character that is not space, read; empty at the end of the text."""
        source, at = self._source, self._at
        while at < len(source) and source[at] in _SPACE:
            at += 1
        self._at = at + 1
        if at < len(source):
            return source[at]
        self._at = at
        if self._open:
            bracket, start, _ = self._open[-1]
            kind = "Object" if bracket == START_OBJECT else "Array"
            raise self._bad_end(f": expected close marker for {kind} (start marker at {self._place(start)})")
        return ""

    def _close(self, character: str) -> str:
        opened = self._open.pop() if self._open else None
        expected = {"]": START_ARRAY, "}": START_OBJECT}[character]
        if opened is None or opened[0] != expected:
            if opened is None:
                raise self._bad_character(character, "expected a value")
            bracket, start, _ = opened
            closer, kind = ("}", "Object") if bracket == START_OBJECT else ("]", "Array")
            raise PatternError(
                f"Unexpected close marker '{character}': expected '{closer}' "
                f"(for {kind} starting at {self._place(start)})\n at {self._place(self._at - 1)}"
            )
        self._kind = character
        return character

    def _count_entry(self, character: str) -> str:
        bracket, start, entries = self._open[-1]
        self._open[-1] = (bracket, start, entries + 1)
        if not entries:
            return character
        if character != ",":
            kind = "Object" if bracket == START_OBJECT else "Array"
            raise self._bad_character(character, f"was expecting comma to separate {kind} entries")
        return self._skip_space()

    def _read_name(self, character: str) -> str:
        if character != '"':
            raise self._bad_character(character, "was expecting double-quote to start field name")
        return self._read_string()

    def _skip_colon(self) -> str:
        character = self._skip_space()
        if character != ":":
            raise self._bad_character(character, "was expecting a colon to separate field name and value")
        return self._skip_space()

    def _begin_value(self, character: str) -> str:
        self._value_at = self._at - 1
        if character == '"':
            self._unread_string = True
            return STRING
        if character in "{[":
            return character
        if character == "-" or character.isdigit():
            return self._read_number(character)
        word = _WORD.match(self._source, self._at - 1)
        if word is None:
            raise self._bad_character(character, f"expected a valid value {_VALUES}")
        if word[0] not in ("true", "false", "null"):
            self._at = word.end()
            raise self.error(f"Unrecognized token '{word[0]}': was expecting {_VALUES}")
        self._value_text = word[0]
        self._at = word.end()
        return LITERAL

    def _read_number(self, character: str) -> str:
        number = _NUMBER.match(self._source, self._at - 1)
        if number is None:
            raise self._bad_character(character, "expected digit (0-9) to follow minus sign, for valid numeric value")
        self._at = number.end()
        following = self._source[self._at : self._at + 1]
        if number[0].lstrip("-") == "0" and following.isdigit():
            raise self.error("Invalid numeric value: Leading zeroes not allowed")
        self._value_text = number[0]
        return NUMBER

    def _read_string(self) -> str:
        """The text up to the closing quote, which is read too."""
        self._unread_string = False
        source, start, pieces = self._source, self._at, []
        while True:
            if self._at >= len(source):
                raise self._bad_end(": was expecting closing quote for a string value")
            character = source[self._at]
            self._at += 1
            if character == '"':
                pieces.append(source[start : self._at - 1])
                return "".join(pieces)
            if character == "\\":
                pieces.append(source[start : self._at - 1])
                pieces.append(self._read_escape())
                start = self._at
            elif character < " ":
                raise PatternError(
                    f"Illegal unquoted character ((CTRL-CHAR, code {ord(character)})): has to be escaped using "
                    f"backslash to be included in string value\n at {self._place(self._at)}"
                )

    def _read_escape(self) -> str:
        character = self._source[self._at : self._at + 1]
        self._at += 1
        if character != "u":
            if character not in _ESCAPES or not character:
                raise self.error(f"Unrecognized character escape '{character}' (code {ord(character or ' ')})")
            return _ESCAPES[character]
        unit = self._read_hex()
        if 0xD800 <= unit < 0xDC00 and self._source.startswith("\\u", self._at):
            self._at += 2
            low = self._read_hex()
            if 0xDC00 <= low < 0xE000:
                return chr(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00))
            return chr(unit) + chr(low)
        return chr(unit)

    def _read_hex(self) -> int:
        digits = self._source[self._at : self._at + 4]
        if re.fullmatch("[0-9a-fA-F]{4}", digits) is None:
            raise self._bad_character(digits[:1] or '"', "expected a hex-digit for character escape sequence")
        self._at += 4
        return int(digits, 16)

    # --- messages

    def _place(self, at: int) -> str:
        source = self._source
        line_start = source.rfind("\n", 0, at) + 1
        shown = source[:SOURCE_CHARACTERS]
        cut = len(source) - len(shown)
        more = f"[truncated {cut} chars]" if cut else ""
        line = source.count("\n", 0, at) + 1
        return f'[Source: (String)"{shown}"{more}; line: {line}, column: {at - line_start + 1}]'

    def _bad_character(self, character: str, comment: str) -> PatternError:
        shown = f"'{character}' (code {ord(character)})" if character >= " " else f"(CTRL-CHAR, code {ord(character)})"
        return PatternError(f"Unexpected character ({shown}): {comment}\n at {self._place(self._at - 1)}")

    def _bad_end(self, comment: str) -> PatternError:
        return PatternError(f"Unexpected end-of-input{comment}\n at {self._place(self._at)}")
