"""Pure rules: times as this API tells them, ids as callers know them, and where an id leads in the journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, overload

import orjson

from penstock.base.names import id_of
from penstock.services.self.errors import NotFound

LATEST_SECONDS: Final = 221_845_392_000  # the year 9000: dates end with 9999, and much is due years later


@overload
def seconds(ms: int) -> float: ...
@overload
def seconds(ms: None) -> None: ...
def seconds(ms: int | None) -> float | None:
    """Milliseconds since 1970 as an API model's timestamp: seconds since 1970."""
    return None if ms is None else ms / 1000


def milliseconds(value: float) -> int:
    """An API model's timestamp or duration, in milliseconds."""
    return round(value * 1000)


def journal_id(public: str) -> int:
    """The journal's id behind a message id, event id, request id or hop id; a bare number is taken as it is."""
    id_ = int(public) if public.isascii() and public.isdigit() and len(public) < 19 else id_of(public)
    if id_ is None:
        raise NotFound(
            f"{public} is no id of this platform: give a message id, event id or request id, "
            "or find one with `penstock events`"
        )
    return id_


def as_text(values: Mapping[str, Any]) -> dict[str, str]:
    """Values as a model's map of strings: text as it is, all else as JSON."""
    return {name: value if isinstance(value, str) else orjson.dumps(value).decode() for name, value in values.items()}
