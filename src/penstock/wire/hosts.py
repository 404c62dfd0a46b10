"""What a Host header says: whether it may be used here at all, and which service, region and bucket it names.

Only names that lead to this machine, or that are AWS's own, are accepted: a web page cannot make its visitor's
browser send any of them for a name of its own (DNS rebinding), so it cannot drive a developer's platform.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address

_FORM = re.compile(r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[a-z0-9_.-]+|[0-9a-f:]+))(?::\d*)?")  # RFC 3986, 3.2.2
_REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d")
_AWS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
_KNOWN_AT_MOST = 1024  # hosts remembered; more than that are looked at each time


@dataclass(frozen=True, slots=True)
class Host:
    """A Host header taken apart. ``name`` has no port; ``labels`` are those before localhost's or AWS's suffix."""

    name: str
    allowed: bool
    region: str = ""
    labels: tuple[str, ...] = ()
    local: bool = False  # this machine's loopback and nothing else
    prefixed: bool = False  # with an operation's prefix before its name

    @property
    def plain(self) -> bool:
        """Whether it names this machine and nothing else."""
        return not self.labels and not self.prefixed


class Hosts:
    """Reads Host headers, remembering those it has seen. ``allow`` are names accepted besides the usual ones.

    "*" allows every host, ".example.com" and "*.example.com" every name below it.
    """

    def __init__(self, allow: Sequence[str] = ()) -> None:
        self._allow = {name.lower().removeprefix("*") if name != "*" else "*" for name in allow}
        self.seen: dict[str, Host] = {}

    def read(self, header: str) -> Host:
        """What a Host header says."""
        host = self.seen.get(header)
        if host is None:
            host = self._parse(header)
            if len(self.seen) < _KNOWN_AT_MOST:
                self.seen[header] = host
        return host

    def _parse(self, header: str) -> Host:
        name = header.strip().lower()
        if name == "":  # HTTP/1.0
            return Host(name, True, local=True)
        form = _FORM.fullmatch(name)
        if form is None:
            return Host(name, False)
        bracketed, name = form["address"] is not None, (form["address"] or form["name"]).rstrip(".")
        if (name == "localhost" and not bracketed) or _is_loopback(name):
            return Host(name, True, local=True)
        for suffix in (".localhost", *_AWS):
            if name.endswith(suffix):
                labels = name[: -len(suffix)].split(".")
                region = next((label for label in reversed(labels) if _REGION.fullmatch(label)), "")
                return Host(name, True, region, tuple(label for label in labels if label != region))
        # SDKs put an operation's host prefix before the endpoint's name: "sync-localhost", "data-127.0.0.1".
        prefix, _, rest = name.partition("-")
        if prefix and (rest == "localhost" or _is_loopback(rest)):
            return Host(name, True, local=True, prefixed=True)
        return Host(name, self._is_allowed(name))

    def _is_allowed(self, name: str) -> bool:
        if "*" in self._allow or name in self._allow:
            return True
        return any(allowed.startswith(".") and name.endswith(allowed) for allowed in self._allow)


def _is_loopback(name: str) -> bool:
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def origin_host(origin: str) -> str:
    """The host (with port) of an Origin header; "" for "null" and what is not an origin."""
    scheme, separator, rest = origin.partition("://")
    return rest if separator and scheme in ("http", "https") else ""
