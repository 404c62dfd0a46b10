"""Lists, a page at a time: the token of an answer says behind which key the next page begins.

Every list has an order by a key that no two items share. So a page costs what it shows, and what comes or goes between
two pages neither repeats nor hides anything else. Tokens are opaque, as on AWS: one that was made up, cut or changed
is refused. One of another list is a place in this one's order, and shows nothing that its caller may not list anyway.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from zlib import crc32

from penstock.base.errors import ApiError

T = TypeVar("T")
_SUM_BYTES = 4  # of a token: a checksum of the key that follows, so that a damaged or foreign one is known


@dataclass(frozen=True, slots=True)
class Paging:
    """How a service pages its lists.

    ``token`` and ``size`` name the members of requests, ``answered`` the member of answers that carries the token
    (``token`` unless given). A page has ``default`` items unless the request says how many, and never more than
    ``most``. ``refuse`` makes the service's error for a token that is not ours.
    """

    token: str
    size: str
    default: int
    refuse: Callable[[str], ApiError]
    answered: str | None = None
    most: int | None = None

    def of(
        self, request: Mapping[str, Any], listed: Callable[[str, int], Sequence[T]], key: Callable[[T], str]
    ) -> tuple[Sequence[T], dict[str, str]]:
        """One page and, where there is more, its token as a member of the answer.

        ``listed(after, limit)`` gives at most ``limit`` items, in order, whose key is greater than ``after``.
        """
        return self.cut(request, listed(self.after(request), self.limit(request) + 1), key)

    def after(self, request: Mapping[str, Any]) -> str:
        """The key behind which the page begins: "" for the first page."""
        token = request.get(self.token)
        return key_of(token, self) if token else ""

    def limit(self, request: Mapping[str, Any]) -> int:
        """How many items the page has at most."""
        limit: int = request.get(self.size) or self.default
        return limit if self.most is None else min(limit, self.most)

    def cut(
        self, request: Mapping[str, Any], found: Sequence[T], key: Callable[[T], str]
    ) -> tuple[Sequence[T], dict[str, str]]:
        """The page, of items that were listed with one more than ``limit`` gives, and its token."""
        limit = self.limit(request)
        if len(found) <= limit:
            return found, {}
        return found[:limit], {self.answered or self.token: token_of(key(found[limit - 1]))}


def token_of(key: str) -> str:
    """The token of the page that begins behind this key."""
    data = key.encode()
    return urlsafe_b64encode(crc32(data).to_bytes(_SUM_BYTES, "big") + data).decode()


def key_of(token: str, paging: Paging) -> str:
    """The key that a token was made of; the service's error when it was made by nobody here."""
    try:
        key = urlsafe_b64decode(token.encode())[_SUM_BYTES:].decode()
    except ValueError:
        key = ""
    if not key or token_of(key) != token:
        raise paging.refuse(f"The value of {paging.token} is not valid: pass the one of the page before, unchanged.")
    return key


def among(items: Sequence[T], key: Callable[[T], str]) -> Callable[[str, int], Sequence[T]]:
    """``listed`` of items at hand."""
    return lambda after, limit: [item for item in sorted(items, key=key) if key(item) > after][:limit]
