"""Paths into JSON values, and templates filled with what they find: EventBridge's InputPath and InputTransformer.

A path is the part of JSONPath that EventBridge reads: ``$``, ``.name``, ``['name']``, ``[0]``, ``[*]`` and ``.*``.
A template is text with placeholders ``<name>``. Where a placeholder stands decides how a value is written: as JSON
where a JSON value may stand, as bare text inside a string, where nothing is escaped. In a template of strings, objects
and arrays lose their quotes; in a template of JSON they keep them, and what is no JSON any more is not delivered.
A value that was not found is an empty string.
Source: "Amazon EventBridge input transformation", EventBridge User Guide, examples and common issues. That quotes stay
in templates of JSON, and that such an event reaches nobody, is in recordings of AWS (localstack/localstack,
tests/aws/services/events/test_events_inputs.py, of October 2025).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from penstock.base.errors import PenstockError

_STEP = re.compile(r"\.(?P<name>[\w\-/@:#+]+)|\.(?P<any>\*)|\['(?P<quoted>[^']+)'\]|\[(?P<index>\d+)\]|\[(?P<all>\*)\]")
LONGEST_CHARACTERS: Final = 1 << 20  # of a filled template: no target takes more bytes
_PLACEHOLDER = re.compile(r"<([^<>]*)>")


class _Missing:
    """The answer of a path that leads nowhere."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()
_EVERY: Final = _Missing()  # the step that goes to every member or element


class PathError(PenstockError):
    """A path or a template that EventBridge would not understand."""


class NotJson(PenstockError):
    """A template of JSON was filled with values with which it is no JSON."""


class TooLong(PenstockError):
    """A template was filled with values with which it is longer than any target takes."""


class Path:
    """A parsed path. ``find`` gives the value it leads to; with a wildcard in it, the list of all values."""

    __slots__ = ("_steps", "text")

    def __init__(self, text: str) -> None:
        """PathError when the path uses more of JSONPath than EventBridge does."""
        self.text = text
        self._steps: list[str | int | _Missing] = []
        if not text.startswith("$"):
            raise PathError(f"the path {text!r} has to begin with $")
        at = 1 if text != "$." else 2
        while at < len(text):
            step = _STEP.match(text, at)
            if step is None:
                raise PathError(
                    f"the path {text!r} cannot be read from {text[at:]!r} on: use $, .name, ['name'], [0], [*] and .*"
                )
            found = step.groupdict()
            if found["any"] or found["all"]:
                self._steps.append(_EVERY)
            elif found["index"] is not None:
                self._steps.append(int(found["index"]))
            else:
                self._steps.append(found["name"] or found["quoted"])
            at = step.end()

    def find(self, value: Any) -> Any:
        """What the path leads to in a JSON value, or MISSING."""
        found = [value]
        several = False
        for step in self._steps:
            if step is _EVERY:
                several = True
                found = [inner for one in found for inner in _members(one)]
            else:
                found = [inner for one in found if (inner := _step(one, step)) is not MISSING]
        if several:
            return found
        return found[0] if found else MISSING


def _members(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _step(value: Any, step: Any) -> Any:
    if isinstance(step, int):
        return value[step] if isinstance(value, list) and step < len(value) else MISSING
    return value.get(step, MISSING) if isinstance(value, dict) else MISSING


class Template:
    """A parsed template. ``names`` are its placeholders, each once, in order; ``of_json`` says that it is an object or
    an array, and not strings line by line."""

    __slots__ = ("_pieces", "names", "of_json", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.of_json = text.lstrip()[:1] in ("{", "[")
        self._pieces: list[str | tuple[str, bool]] = []  # text, or (placeholder, whether it stands inside a string)
        inside, at = False, 0
        for placeholder in _PLACEHOLDER.finditer(text):
            literal = text[at : placeholder.start()]
            inside = _ends_inside(literal, inside)
            self._pieces += [literal, (placeholder[1], inside)]
            at = placeholder.end()
        self._pieces.append(text[at:])
        self.names = list(dict.fromkeys(piece[0] for piece in self._pieces if isinstance(piece, tuple)))

    def check(self) -> None:
        """PathError, with the column, when the template is not JSON wherever values could stand."""
        sample = self.render(lambda name: 0)
        decoder, at = json.JSONDecoder(strict=False), 0
        while at < len(sample) and sample[at:].strip():
            at += len(sample[at:]) - len(sample[at:].lstrip())
            try:
                _, at = decoder.raw_decode(sample, at)
            except ValueError as error:
                column = getattr(error, "colno", 1)
                line = getattr(error, "lineno", 1)
                raise PathError(f'[Source: (String)"{sample}"; line: {line}, column: {column}]') from None

    def render(self, value_of: Callable[[str], Any]) -> str:
        """The template with every placeholder replaced; ``value_of(name)`` may answer MISSING. TooLong."""
        written: list[str] = []
        left = LONGEST_CHARACTERS
        for piece in self._pieces:
            text = piece if isinstance(piece, str) else self._written(value_of(piece[0]), inside_string=piece[1])
            left -= len(text)
            if left < 0:
                raise TooLong(
                    f"The input that the template makes is longer than {LONGEST_CHARACTERS} characters, which no "
                    "target takes: name smaller parts of the event, or name them less often"
                )
            written.append(text)
        return "".join(written)

    def _written(self, value: Any, *, inside_string: bool) -> str:
        if value is MISSING:
            return "" if inside_string else '""'
        if not inside_string:
            return write_json(value)
        if isinstance(value, str):
            return value
        return write_json(value) if self.of_json else write_json(value).replace('"', "")


def _ends_inside(text: str, inside: bool) -> bool:
    """Whether a JSON text that begins inside a string (or outside) ends inside one."""
    escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = inside
        elif character == '"':
            inside = not inside
    return inside


def write_json(value: Any) -> str:
    """A value as compact JSON text; integers of any size."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class Transformer:
    """Paths that name values, and the template they fill."""

    __slots__ = ("_paths", "_template")

    def __init__(self, paths: Mapping[str, str], template: str) -> None:
        """PathError when a path or the template cannot be read."""
        self._paths = {name: Path(path) for name, path in paths.items()}
        self._template = Template(template)

    def transform(self, event: Any, reserved: Mapping[str, Any]) -> str:
        """The template filled from an event and from what is known by reserved names.

        NotJson when it is a template of JSON and what comes out is none; TooLong.
        """

        # Each path is gone once, however often the template names it: a long array may have to be looked through.
        values = {name: self._paths[name].find(event) for name in self._template.names if name in self._paths}
        made = self._template.render(lambda name: values[name] if name in values else reserved.get(name, MISSING))
        if self._template.of_json:
            try:
                json.loads(made)
            except (ValueError, RecursionError) as error:
                raise NotJson(f"The input that the template makes is not valid JSON: {error}: {made[:200]}") from None
        return made
