"""HTTP bindings: members of a request or answer that travel in the path, the query, headers or the status.

Shared by rest-json and rest-xml; only bodies differ. https://smithy.io/2.0/spec/http-bindings.html
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson

from penstock.engine.model import Member, OperationModel
from penstock.engine.model.check import SerializationError
from penstock.wire.protocols.protocol import Decode, Form, Labels
from penstock.wire.protocols.scalars import RFC822, scalar_from_text, scalar_to_text
from penstock.wire.values import Request

QUERY_FIELDS = 10_000  # fields of one query string or form; AWS's longest requests have a few thousand
_LIST_ITEM = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^,]*))\s*(?:,|$)')

Read = Callable[[Request, Labels, dict[str, Any]], None]


def decoder(operation: OperationModel, read_body: Callable[[Request, dict[str, Any]], None] | None) -> Decode:
    """Compile what reads an operation's requests: ``read_body``, then what travels beside the body."""
    read_bound = request_reader(operation)

    def decode(request: Request, labels: Labels, form: Form) -> dict[str, Any]:
        out: dict[str, Any] = {}
        if read_body is not None:
            read_body(request, out)
        if read_bound is not None:
            read_bound(request, labels, out)
        return out

    return decode


def parse_query(text: str) -> list[tuple[str, str]]:
    """The fields of a query string or form, in order."""
    if not text:
        return []
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=QUERY_FIELDS)
    except ValueError as error:
        raise SerializationError(f"The query string cannot be read: {error}") from None


def request_reader(operation: OperationModel) -> Read | None:
    """A function that puts every member bound to path, query or headers into the request; None when none is."""
    members = operation.input_members
    literals = {name for name, _ in parse_query(operation.request_uri.partition("?")[2])}
    labels = [member for member in members.values() if member.location == "uri"]
    headers = [member for member in members.values() if member.location == "header"]
    prefixes = [member for member in members.values() if member.location == "headers"]
    queries = [member for member in members.values() if member.location == "querystring"]
    if not labels and not headers and not prefixes and not queries:
        return None
    read_query = _query_reader(queries, literals) if queries else None

    def read(request: Request, path_labels: Labels, out: dict[str, Any]) -> None:
        for member in labels:
            text = path_labels.get(member.wire_name)
            if text is not None:
                out[member.name] = scalar_from_text(member, text)
        if read_query is not None:
            read_query(request.query, out)
        found = request.headers
        for member in headers:
            text = found.get(member.wire_name.lower())
            if text is not None:
                out[member.name] = header_value(member, text)
        for member in prefixes:
            _read_prefixed(member, found, out)

    return read


def _read_prefixed(member: Member, headers: Mapping[str, str], out: dict[str, Any]) -> None:
    prefix = member.wire_name.lower()
    values = {name[len(prefix) :]: text for name, text in headers.items() if name.startswith(prefix)}
    if values:
        out[member.name] = values


def _query_reader(members: list[Member], literals: set[str]) -> Callable[[str, dict[str, Any]], None]:
    named = {member.wire_name: member for member in members if member.shape.type != "map"}
    rest = next((member for member in members if member.shape.type == "map"), None)

    def read(query: str, out: dict[str, Any]) -> None:
        others: dict[str, Any] = {}
        for name, text in parse_query(query):
            member = named.get(name)
            if member is None:
                if rest is not None and name not in literals:
                    if rest.shape.value.shape.type == "list":
                        others.setdefault(name, []).append(text)
                    else:
                        others[name] = text
            elif member.shape.type == "list":
                out.setdefault(member.name, []).append(scalar_from_text(member.shape.element, text))
            else:
                out[member.name] = scalar_from_text(member, text)
        if rest is not None and others:
            out[rest.name] = others

    return read


def header_value(member: Member, text: str) -> Any:
    """The value of a member bound to a header."""
    if member.traits.get("jsonvalue"):
        try:
            return orjson.loads(base64.b64decode(text))
        except ValueError:
            raise SerializationError(f"Header {member.wire_name} is not JSON in base64.") from None
    if member.shape.type == "list":
        element = member.shape.element
        return [scalar_from_text(element, item) for item in split_header(text, element)]
    return scalar_from_text(member, text)


def split_header(text: str, element: Member) -> list[str]:
    """The items of a header that holds a list: separated by commas, quoted where they contain one."""
    if element.shape.type == "timestamp" and element.trait("timestampFormat") in (None, RFC822):
        parts = [part.strip() for part in text.split(",")]
        return [", ".join(pair) for pair in zip(parts[::2], parts[1::2], strict=False)]
    items: list[str] = []
    position = 0
    while position < len(text):
        match = _LIST_ITEM.match(text, position)
        if match is None or match.end() == position:
            # A quote that is never closed: take the rest as it is.
            items.append(text[position:].strip())
            break
        items.append(re.sub(r"\\(.)", r"\1", match[1]) if match[1] is not None else match[2].strip())
        position = match.end()
    return items


class AnswerHeaders:
    """What of an operation's answer goes into the status line and the headers."""

    def __init__(self, use: Member | None) -> None:
        members = use.shape.members.values() if use is not None else ()
        self.status = next((member.name for member in members if member.location == "statusCode"), None)
        self._single = [(member.name, member.wire_name, member) for member in members if member.location == "header"]
        self._prefixed = [(member.name, member.wire_name) for member in members if member.location == "headers"]

    def write(self, answer: Mapping[str, Any]) -> list[tuple[str, str]]:
        """The headers of an answer."""
        out: list[tuple[str, str]] = []
        for name, header, member in self._single:
            value = answer.get(name)
            if value is not None:
                out.append((header, header_text(member, value)))
        for name, prefix in self._prefixed:
            for key, value in (answer.get(name) or {}).items():
                out.append((prefix + key, str(value)))
        return out


def header_text(member: Member, value: Any) -> str:
    """A member's value as a header."""
    if member.traits.get("jsonvalue"):
        return base64.b64encode(orjson.dumps(value)).decode("ascii")
    if member.shape.type == "list":
        element = member.shape.element
        texts = [scalar_to_text(element, item, RFC822) for item in value if item is not None]
        if element.shape.type == "string":
            texts = ['"' + text.replace('"', '\\"') + '"' if "," in text or '"' in text else text for text in texts]
        return ",".join(texts)
    return scalar_to_text(member, value, RFC822)
