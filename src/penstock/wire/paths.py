"""Which operation of a REST service a method and a path mean: a tree of path segments, made once per service.

Templates look like ``/{Bucket}/{Key+}?acl``: a label takes one segment, a label with "+" all that follow, literal
query fields must be there. Where several operations share method and path (S3), the one whose required query
fields and headers are there in the greatest number wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from penstock.base.errors import ApiError
from penstock.engine.model import OperationModel, ServiceModel
from penstock.wire.protocols.bindings import parse_query


@dataclass(slots=True)
class _Candidate:
    """An operation at a leaf: what a request must have for it."""

    operation: str
    labels: tuple[str, ...]
    literals: tuple[tuple[str, str | None], ...]
    queries: tuple[str, ...]
    headers: tuple[str, ...]

    def score(self, query: Mapping[str, str], headers: Mapping[str, str]) -> int:
        """How much of it is there, literals counting most; -1 when something is missing."""
        for name, value in self.literals:
            if name not in query or (value is not None and query[name] != value):
                return -1
        for name in self.queries:
            if name not in query:
                return -1
        for name in self.headers:
            if name not in headers:
                return -1
        return 100 * len(self.literals) + 10 * len(self.queries) + len(self.headers)


class _Node:
    __slots__ = ("any", "greedy", "here", "literals")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.any: _Node | None = None
        self.greedy: list[tuple[tuple[str, ...], dict[str, list[_Candidate]]]] = []
        self.here: dict[str, list[_Candidate]] = {}


class PathTable:
    """The paths of one REST service."""

    def __init__(self, service: ServiceModel) -> None:
        self._root = _Node()
        # An operation that is deprecated in favour of another with the same path must not be found first.
        for operation in sorted(service.operations(), key=lambda op: op.deprecated):
            self._add(operation)

    def _add(self, operation: OperationModel) -> None:
        path, _, literal = operation.request_uri.partition("?")
        literals = tuple(
            (name, value if separator else None)
            for part in literal.split("&")
            if part
            for name, separator, value in (part.partition("="),)
        )
        use = operation.input
        members = [use.shape.members[name] for name in use.shape.required] if use is not None else []
        queries = tuple(m.wire_name for m in members if m.location == "querystring" and m.shape.type != "map")
        headers = tuple(m.wire_name.lower() for m in members if m.location == "header")
        segments = path.strip("/").split("/") if path.strip("/") else []
        labels: list[str] = []
        node = self._root
        suffix: tuple[str, ...] | None = None
        for at, segment in enumerate(segments):
            if segment.endswith("+}"):
                labels.append(segment[1:-2])
                suffix = tuple(segments[at + 1 :])
                break
            if segment.startswith("{"):
                labels.append(segment[1:-1])
                node.any = node.any or _Node()
                node = node.any
            else:
                node = node.literals.setdefault(segment, _Node())
        # rest-json services answer on a path whether or not a required query field is there (it is a validation
        # error); only where two operations share a path is it needed to tell them apart. So it ranks, see find.
        candidate = _Candidate(operation.name, tuple(labels), literals, queries, headers)
        methods = node.here
        if suffix is not None:
            known = next((methods for one, methods in node.greedy if one == suffix), None)
            methods = {} if known is None else known
            if known is None:
                node.greedy.append((suffix, methods))
                node.greedy.sort(key=lambda entry: -len(entry[0]))
        methods.setdefault(operation.http_method, []).append(candidate)

    def find(self, method: str, path: str, query: str, headers: Mapping[str, str]) -> tuple[str, dict[str, str]] | None:
        """The operation's name and the labels of the path, decoded; None when there is no such path here."""
        segments = path[1:].split("/") if path != "/" else []
        found = self._walk(self._root, segments, 0, [], method)
        if found is None and segments and not segments[-1]:
            found = self._walk(self._root, segments[:-1], 0, [], method)
        if found is None:
            return None
        candidates, values = found
        candidate = candidates[0]
        if len(candidates) > 1 or candidate.literals:
            fields = dict(parse_query(query))
            best = max(candidates, key=lambda one: one.score(fields, headers))
            if best.score(fields, headers) >= 0:
                candidate = best
            else:
                # None has all it requires: the plainest one will say what is missing.
                plain = [one for one in candidates if not one.literals]
                if not plain:
                    return None
                candidate = min(plain, key=lambda one: len(one.queries) + len(one.headers))
        return candidate.operation, dict(zip(candidate.labels, map(_decoded, values), strict=True))

    def _walk(
        self, node: _Node, segments: list[str], at: int, values: list[str], method: str
    ) -> tuple[list[_Candidate], list[str]] | None:
        if at == len(segments):
            candidates = node.here.get(method)
            return (candidates, values) if candidates else None
        segment = segments[at]
        following = node.literals.get(segment)
        if following is not None:
            found = self._walk(following, segments, at + 1, values, method)
            if found is not None:
                return found
        if node.any is not None and segment:
            found = self._walk(node.any, segments, at + 1, [*values, segment], method)
            if found is not None:
                return found
        for suffix, methods in node.greedy:
            end = len(segments) - len(suffix)
            if method in methods and end > at and tuple(segments[end:]) == suffix:
                rest = "/".join(segments[at:end])
                if rest:
                    return methods[method], [*values, rest]
        return None


def _decoded(text: str) -> str:
    if "%" not in text:
        return text
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise ApiError(
            "Couldn't parse the specified URI: it is not percent-encoded UTF-8.", code="InvalidURI"
        ) from None
