"""Pages of lists: everything is listed by name, so that a token is the last name given."""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from penstock.services.events.errors import ValidationException
from penstock.services.events.rules import PAGE

T = TypeVar("T")


def page_of(
    request: Mapping[str, Any], some: Callable[[str, int], Sequence[T]], name_of: Callable[[T], str]
) -> tuple[Sequence[T], dict[str, str]]:
    """One page and, where there is more, ``{"NextToken": …}``. ``some(after, limit)`` lists what has greater names."""
    limit = request.get("Limit") or PAGE
    found = some(_after(request.get("NextToken")), limit + 1)
    if len(found) <= limit:
        return found, {}
    return found[:limit], {"NextToken": b64encode(name_of(found[limit - 1]).encode()).decode()}


def _after(token: str | None) -> str:
    if not token:
        return ""
    try:
        return b64decode(token, validate=True).decode()
    except (Base64Error, ValueError):
        raise ValidationException("Parameter nextToken is not valid: use the NextToken of the page before.") from None
