"""Filter criteria of event source mappings: patterns over a record whose payload may be text or JSON.

Lambda compares formats first: a pattern on the payload is *JSON* when it is an object (``{"body": {...}}``) and
*plain* when it is a list (``{"body": ["..."]}``). A payload of the other format than the pattern's never matches; a
pattern that says nothing of the payload is matched on the rest of the record alone. A payload counts as JSON when it
is an object or an array, since only these can have what a JSON pattern asks for.
Source: "Using event filtering with an Amazon SQS event source", Lambda Developer Guide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from penstock.engine.pattern.matcher import Pattern, compile
from penstock.engine.pattern.values import parse_event


def compile_filters(
    criteria: Mapping[str, Any] | None, *, payload: str = "body"
) -> Callable[[Mapping[str, Any]], bool]:
    """A predicate over records from ``{"Filters": [{"Pattern": "..."}, ...]}``: whether any filter lets a record pass.

    ``payload`` names the record's member that holds the message. No criteria, or an empty list, let everything pass.
    PatternError when a pattern is not valid.
    """
    sources: Sequence[Mapping[str, Any]] = (criteria or {}).get("Filters") or ()
    filters = [_Filter(compile(one.get("Pattern") or "{}"), payload) for one in sources]
    if not filters:
        return lambda record: True
    if len(filters) == 1:
        return filters[0].passes
    return lambda record: any(one.passes(record) for one in filters)


def explain_filters(criteria: Mapping[str, Any], *, payload: str = "body") -> Callable[[Mapping[str, Any]], str]:
    """Why these filters, each of them, turn a record down: a sentence for a record that ``compile_filters`` refuses."""
    filters = [_Filter(compile(one.get("Pattern") or "{}"), payload) for one in criteria.get("Filters") or ()]
    if len(filters) == 1:
        return filters[0].why
    return lambda record: "; ".join(f"filter {number}: {one.why(record)}" for number, one in enumerate(filters, 1))


class _Filter:
    def __init__(self, pattern: Pattern, payload: str) -> None:
        self._pattern = pattern
        self._payload = payload
        self._plain = payload in pattern.wanted and any(payload in one for one in pattern.alternatives)
        self._json = any(path.startswith(payload + ".") for path in pattern.wanted)

    def passes(self, record: Mapping[str, Any]) -> bool:
        read = self._read(record)
        return read is not None and self._pattern.matches(read)

    def why(self, record: Mapping[str, Any]) -> str:
        """Why a record passes or does not."""
        read = self._read(record)
        if read is not None:
            return self._pattern.why(read).reason
        wanted, found = ("JSON", "text") if self._json else ("text", "JSON")
        return f"the {self._payload} is {found}; the pattern is for a {self._payload} of {wanted}"

    def _read(self, record: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The record with its payload in the format of the pattern; None when it is of the other."""
        if not (self._plain or self._json):
            return record
        value = _json_or_text(record.get(self._payload))
        if isinstance(value, (dict, list)) != self._json:
            return None
        return {**record, self._payload: value}


def _json_or_text(value: Any) -> Any:
    """The payload parsed, if it is the JSON text of an object or an array; else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return parse_event(value)
        except ValueError:
            return value
    return value
