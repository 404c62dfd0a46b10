"""Heads that come again: a client's requests begin alike, and only a few values differ between them.

A head that was read plainly several times on a connection becomes a pattern, in which the values that clients change
(a signature, a date, the length of the body) are left open. What fits the pattern is read in one match, and whatever
follows from the rest of it (who signed the request, where it goes) is worked out once. What does not fit is read as
ever.
"""

from __future__ import annotations

import re
from typing import Final

from penstock.base.names import DEFAULT_REGION
from penstock.engine.access import Principal
from penstock.wire.credentials import Credential
from penstock.wire.heads import STREAMING, Heads
from penstock.wire.hosts import Host
from penstock.wire.limits import HEAD_BYTES, MEMORY_BYTES
from penstock.wire.router import Routed
from penstock.wire.values import Request

_OPEN: Final = frozenset(
    {
        "amz-sdk-invocation-id", "amz-sdk-request", "content-length", "x-amz-content-sha256", "x-amz-date",
        "x-amz-target", "x-amzn-trace-id",
    }
)  # fmt: skip
_VALUE: Final = rb"([\x20-\x7e]*)"
_HASH: Final = b"((?! *%b)[\\x20-\\x7e]*)" % STREAMING.encode()
_LENGTH: Final = rb"([0-9]{1,7})"
_SIGNATURE: Final = rb"([0-9A-Fa-f]*)"
_FORMS: Final = {"content-length": _LENGTH, "x-amz-content-sha256": _HASH}
_REPEATS_AT_MOST: Final = 256  # heads remembered for all connections; when there are more, all are forgotten
_TARGETS_AT_MOST: Final = 64  # operations remembered for one of them
_LEARN_AFTER: Final = 8  # requests of a connection read plainly before its head is made a pattern, which takes 0.5 ms
_LEARNED_BYTES: Final = 4096  # of a head that is: one of 64 KB took 400 ms and kept a megabyte


class Scope:
    """What a head says of the host it was sent to and of who signed it; ``region`` is where its request works.

    ``owner`` calls with a key that nobody issued, as was found when ``Keys.changes`` was ``as_of``.
    """

    __slots__ = ("as_of", "credential", "host", "owner", "region")

    def __init__(self, host: Host, credential: Credential) -> None:
        self.host = host
        self.credential = credential
        self.region = credential.region or host.region or DEFAULT_REGION
        self.owner: Principal
        self.as_of = -1  # never


class RepeatedHead:
    """A head but for its open values.

    ``match`` finds it at the beginning of bytes, with the open values as its groups; ``length_at`` and ``target_at``
    are the places of the body's length and of X-Amz-Target among them. ``scope`` and ``routes``, by target, are what
    the front has worked out of it; ``direct`` says that no raw route can take such a request.
    """

    __slots__ = (
        "_fixed", "_open", "direct", "host", "length_at", "line", "match", "routes", "scope", "target_at", "traced",
    )  # fmt: skip

    def __init__(self, pattern: bytes, opened: list[tuple[str, str]], request: Request) -> None:
        names = [name for name, _ in opened]
        self.match = re.compile(pattern).match
        self.line = request.method, request.path, request.query
        self.host = request.host
        self.length_at = names.index("content-length") if "content-length" in names else None
        self.traced = "x-amzn-trace-id" in names
        self.scope: Scope | None = None
        self.routes: dict[bytes | None, Routed] = {}
        self.direct = False
        self.target_at = names.index("x-amz-target") if "x-amz-target" in names else None
        self._open = opened
        self._fixed = {name: value for name, value in request.headers.items() if name not in names}

    def headers(self, values: tuple[bytes, ...]) -> dict[str, str]:
        """The headers of the request with these open values."""
        opened = {name: begun + value.decode().strip() for (name, begun), value in zip(self._open, values, strict=True)}
        return self._fixed | opened

    def remember(self, values: tuple[bytes, ...], scope: Scope, routed: Routed) -> None:
        """Where a request with these open values went: so does every other one with the same target."""
        self.scope = scope
        self.direct = scope.host.local and self.line[1] == "/"
        if len(self.routes) < _TARGETS_AT_MOST:
            self.routes[values[self.target_at] if self.target_at is not None else None] = routed


class Repeats:
    """The repeated heads of all connections of a server."""

    def __init__(self, heads: Heads) -> None:
        self.heads = heads
        self._known: dict[bytes, RepeatedHead] = {}

    def of(self, head: bytes, request: Request) -> RepeatedHead:
        """The pattern of a head that was read plainly, without the empty line at its end."""
        first, *lines = head.split(b"\r\n")
        parts, opened = [re.escape(first)], []
        for line in lines:
            name, _, value = line.partition(b":")
            key = name.decode().lower()
            begun, signature, _ = value.partition(b"Signature=")
            if key in _OPEN:
                opened.append((key, ""))
                parts.append(re.escape(name) + b": ?" + _FORMS.get(key, _VALUE))
            elif key == "authorization" and signature:
                opened.append((key, (begun + signature).decode().strip()))
                parts.append(re.escape(name + b":" + begun + signature) + _SIGNATURE)
            else:
                parts.append(re.escape(line))
        pattern = rb"\r\n".join(parts) + rb"\r\n\r\n"
        known = self._known.get(pattern)
        if known is None:
            if len(self._known) >= _REPEATS_AT_MOST:
                self._known.clear()
            known = self._known[pattern] = RepeatedHead(pattern, opened, request)
        return known


class SmallRequests:
    """Reads the small requests of one connection."""

    __slots__ = ("_heads", "_learn_after", "_peer", "_plainly", "_repeat", "_repeats")

    def __init__(self, repeats: Repeats, peer: str) -> None:
        self._repeats = repeats
        self._heads = repeats.heads
        self._peer = peer
        self._repeat: RepeatedHead | None = None
        self._plainly = 0  # requests since there is no pattern
        self._learn_after = _LEARN_AFTER

    def read(self, data: bytes) -> tuple[Request, int] | None:
        """The request that these bytes begin with and its size, when it is plain, small and whole; else None."""
        repeat = self._repeat
        if repeat is not None:
            match = repeat.match(data)
            if match is not None:
                values = match.groups()
                begin = match.end()
                end = begin + int(values[repeat.length_at]) if repeat.length_at is not None else begin
                if len(data) < end or begin > HEAD_BYTES or end - begin > MEMORY_BYTES:
                    return None
                method, path, query = repeat.line
                return Request(method, path, query, None, data[begin:end], repeat.host, self._peer, repeat, values), end
            # A client whose heads keep changing gets another pattern more and more seldom.
            self._repeat, self._plainly, self._learn_after = None, 0, 2 * self._learn_after
        found = self._heads.whole_request(data, self._peer)
        if found is not None:
            self._plainly += 1
            if self._plainly == self._learn_after and (end := data.index(b"\r\n\r\n")) <= _LEARNED_BYTES:
                self._repeat = self._repeats.of(data[:end], found[0])
        return found
