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


class _Filter:
    def __init__(self, pattern: Pattern, payload: str) -> None:
        self._pattern = pattern
        self._payload = payload
        self._plain = payload in pattern.wanted and any(payload in one for one in pattern.alternatives)
        self._json = any(path.startswith(payload + ".") for path in pattern.wanted)

    def passes(self, record: Mapping[str, Any]) -> bool:
        if not (self._plain or self._json):
            return self._pattern.matches(record)
        value = _json_or_text(record.get(self._payload))
        if isinstance(value, (dict, list)) != self._json:
            return False
        return self._pattern.matches({**record, self._payload: value})


def _json_or_text(value: Any) -> Any:
    """The payload parsed, if it is the JSON text of an object or an array; else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return parse_event(value)
        except ValueError:
            return value
    return value
