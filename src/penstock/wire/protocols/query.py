"""The query protocol: a form with Action and Version, an XML answer.

https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
SQS answers it as well, although its model speaks JSON only: see ``query_names``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from penstock.engine.model import Member, OperationModel, ServiceModel, Shape
from penstock.wire.protocols.compiled import Compiled
from penstock.wire.protocols.protocol import Codec, Failure, Form, Labels, error_members, wire_members
from penstock.wire.protocols.query_names import NAMES, NAMESPACES
from penstock.wire.protocols.scalars import scalar_from_text
from penstock.wire.protocols.xml_values import XmlWriters, escape, is_flat
from penstock.wire.values import Request, Response

Tree = dict[str, Any]
Read = Callable[[Any], Any]
# What these services call the errors of the frameworks behind JSON: "Common Errors" of the IAM and SQS API References.
_CODES: Mapping[str, str] = {
    "SerializationException": "MalformedInput",
    "UnknownOperationException": "InvalidAction",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "ExpiredTokenException": "ExpiredToken",
}
# Sentences of SQS that are others here, as AWS was recorded (localstack/localstack, test_sqs.snapshot.json).
_MESSAGES: Mapping[str, str] = {
    "AWS.SimpleQueueService.NonExistentQueue": "The specified queue does not exist for this wsdl version.",
}
_LEAF = ""  # where a name is both a value and a prefix of others, its value stands under this key


@cache
def query_model(service: ServiceModel) -> ServiceModel:
    """The model with the names of the query protocol, where botocore's has lost them."""
    names = NAMES.get(service.name)
    return service if names is None else service.with_shapes(names)


def tree_of(form: Form) -> Tree:
    """The fields of a form as a tree: "Tag.1.Key" → {"Tag": {"1": {"Key": …}}}."""
    root: Tree = {}
    for name, value in form.items():
        node = root
        *path, last = name.split(".")
        for part in path:
            following = node.get(part)
            if not isinstance(following, dict):
                following = node[part] = {} if following is None else {_LEAF: following}
            node = following
        if isinstance(node.get(last), dict):
            node[last][_LEAF] = value
        else:
            node[last] = value
    return root


def _numbered(node: Any) -> list[Any]:
    """The children numbered from 1, in order."""
    if not isinstance(node, dict):
        return []
    numbers = sorted(int(key) for key in node if key.isascii() and key.isdigit() and len(key) < 10)
    return [node[str(number)] for number in numbers if str(number) in node]


class QueryReaders:
    """Makes the readers of one operation's requests."""

    def __init__(self) -> None:
        self._compounds = Compiled[Read]()

    def of(self, use: Member) -> Read:
        """The reader of a member's node; None comes back where the form has no value."""
        shape = use.shape
        if shape.type not in ("structure", "list", "map"):

            def scalar(node: Any) -> Any:
                text = node.get(_LEAF) if isinstance(node, dict) else node
                return None if text is None else scalar_from_text(use, text)

            return scalar
        flat = is_flat(use)
        return self._compounds.of((shape.name, flat), lambda: self._compound(shape, flat))

    def _compound(self, shape: Shape, flat: bool) -> Read:
        if shape.type == "structure":
            return self.structure(list(shape.members.values()))
        return self._list(shape, flat) if shape.type == "list" else self._map(shape, flat)

    def structure(self, members: list[Member]) -> Read:
        """A reader of a node with these members."""
        readers = [(member.name, _form_name(member), self.of(member)) for member in members]

        def read(node: Any) -> dict[str, Any] | None:
            if not isinstance(node, dict):
                return None
            out = {}
            for name, wire, reader in readers:
                child = node.get(wire)
                if child is not None:
                    value = reader(child)
                    if value is not None:
                        out[name] = value
            return out

        return read

    def _list(self, shape: Shape, flat: bool) -> Read:
        reader = self.of(shape.element)
        inner = shape.element.wire_name or "member"

        def read(node: Any) -> list[Any]:
            if isinstance(node, dict) and not flat and inner in node:
                node = node[inner]
            return [value for child in _numbered(node) if (value := reader(child)) is not None]

        return read

    def _map(self, shape: Shape, flat: bool) -> Read:
        read_key, read_value = self.of(shape.key), self.of(shape.value)
        key_name, value_name = shape.key.wire_name or "key", shape.value.wire_name or "value"

        def read(node: Any) -> dict[str, Any]:
            if isinstance(node, dict) and not flat and "entry" in node:
                node = node["entry"]
            out = {}
            for entry in _numbered(node):
                if isinstance(entry, dict) and entry.get(key_name) is not None:
                    value = read_value(entry[value_name]) if entry.get(value_name) is not None else None
                    if value is not None:
                        out[read_key(entry[key_name])] = value
            return out

        return read


def _form_name(use: Member) -> str:
    if use.shape.type == "list" and is_flat(use):
        return use.shape.element.wire_name or use.wire_name
    return use.wire_name


class Query:
    """The query protocol."""

    name = "query"
    content_type = "text/xml"
    request_id_header = "x-amzn-RequestId"

    def codec(self, operation: OperationModel) -> Codec:
        """Compile an operation."""
        model = query_model(operation.service)
        named = model.operation(operation.name)
        reader = QueryReaders().of(named.input) if named.input is not None else None
        write = XmlWriters(f"{model.name} {named.name}").content(wire_members(named.output), named.name)
        wrapper = named.result_wrapper or f"{named.name}Result"
        if named.output is None:
            wrapper = ""
        start = f'<?xml version="1.0"?>\n<{named.name}Response xmlns="{namespace_of(model)}">'

        def decode(request: Request, labels: Labels, form: Form) -> dict[str, Any]:
            return (reader(tree_of(form)) or {}) if reader is not None else {}

        def encode(answer: dict[str, Any], request_id: str) -> Response:
            out = [start]
            if wrapper:
                out.append(f"<{wrapper}>")
                write(out, answer)
                out.append(f"</{wrapper}>")
            out.append(f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>")
            out.append(f"</{named.name}Response>")
            return Response(200, (), "".join(out).encode(), "text/xml")

        return Codec(operation, self, decode, encode)

    def failure(self, failure: Failure, service: ServiceModel | None, request_id: str) -> Response:
        """An ErrorResponse document."""
        namespace = f' xmlns="{namespace_of(query_model(service))}"' if service is not None else ""
        code = failure.code_in(_CODES)
        out = [
            f'<?xml version="1.0"?>\n<ErrorResponse{namespace}><Error>',
            f"<Type>{'Sender' if failure.sender else 'Receiver'}</Type>",
            f"<Code>{escape(code)}</Code><Message>{escape(_MESSAGES.get(code, failure.message))}</Message>",
        ]
        write_error_fields(out, failure)
        out.append(f"</Error><RequestId>{request_id}</RequestId></ErrorResponse>")
        return Response(failure.status, (), "".join(out).encode(), "text/xml")


def write_error_fields(out: list[str], failure: Failure) -> None:
    """The further members of an error's shape."""
    if failure.model is None:
        return
    taken = {"message", "Message", "Type", "Code"}
    members = [member for member in failure.model.shape.members.values() if member.name not in taken]
    known = {member.name for member in members}
    fields = {name: value for name, value in error_members(failure).items() if name in known}
    XmlWriters(failure.code).content(members, failure.code)(out, fields)


def namespace_of(service: ServiceModel) -> str:
    """The namespace of a service's XML."""
    namespace: Any = service.metadata.get("xmlNamespace") or NAMESPACES.get(service.name)
    if isinstance(namespace, Mapping):
        namespace = namespace["uri"]
    if namespace:
        return str(namespace)
    return f"http://{service.metadata['endpointPrefix']}.amazonaws.com/doc/{service.metadata['apiVersion']}/"
