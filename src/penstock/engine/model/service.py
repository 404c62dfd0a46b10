"""Services and operations as the API models describe them."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from penstock.base.errors import ApiError
from penstock.engine.model.check import Check, compile_check, raise_problems
from penstock.engine.model.shapes import Member, Shape, Shapes


@dataclass(frozen=True, slots=True)
class ErrorModel:
    """An error of a service. ``code`` is the shape's name; ``wire_code`` what query and XML answers say instead.

    ``status`` is None where the model does not say.
    """

    code: str
    wire_code: str
    status: int | None
    sender: bool
    shape: Shape

    @property
    def use(self) -> Member:
        """The shape as the content of an answer."""
        return Member("", self.shape, {})


def no_such_operation(operation: str) -> ApiError:
    """What AWS answers to an operation that a service does not have."""
    return ApiError(
        f"Operation {operation} is unknown: check its name against the service's API reference.",
        code="UnknownOperationException",
        status=404,
    )


class OperationModel:
    """One operation: its shapes, how it travels over HTTP, and the check of its requests."""

    def __init__(self, service: ServiceModel, name: str, raw: Mapping[str, Any]) -> None:
        self.service = service
        self.name = name
        http = raw.get("http", {})
        self.http_method: str = http.get("method", "POST")
        self.request_uri: str = http.get("requestUri", "/")
        self.status: int = http.get("responseCode", 200)
        self.input = self._use(raw.get("input"))
        self.output = self._use(raw.get("output"))
        self.result_wrapper: str | None = raw.get("output", {}).get("resultWrapper")
        self.errors: tuple[str, ...] = tuple(error["shape"] for error in raw.get("errors", ()))
        self.deprecated = bool(raw.get("deprecated"))
        self.read_only = bool(raw.get("readonly"))
        self.idempotent = bool(raw.get("idempotent"))
        self.host_prefix: str | None = raw.get("endpoint", {}).get("hostPrefix")
        self.unsigned: bool = raw.get("authtype") == "none" or raw.get("auth") == ["smithy.api#noAuth"]
        self.checksum: Mapping[str, Any] = raw.get("httpChecksum", {})

    def __repr__(self) -> str:
        return f"<OperationModel {self.service.name} {self.name}>"

    def _use(self, raw: Mapping[str, Any] | None) -> Member | None:
        return None if raw is None else Member("", self.service.shapes[raw["shape"]], raw)

    @property
    def input_members(self) -> dict[str, Member]:
        """The members a request may have, by name."""
        return self.input.shape.members if self.input is not None else {}

    @property
    def output_members(self) -> dict[str, Member]:
        """The members an answer may have, by name."""
        return self.output.shape.members if self.output is not None else {}

    @cached_property
    def streaming_input(self) -> str | None:
        """The member that is the request's body as it came (bytes or a FileBody), or None."""
        return _streaming(self.input)

    @cached_property
    def event_input(self) -> str | None:
        """The member of a request that is a stream of events, or None."""
        return _event_stream(self.input_members)

    @cached_property
    def event_output(self) -> str | None:
        """The member of an answer that is a stream of events, or None."""
        return _event_stream(self.output_members)

    @cached_property
    def _check(self) -> Check | None:
        return None if self.input is None else compile_check(self.input, self.service.dialect)

    def check(self, request: dict[str, Any]) -> None:
        """Raise what AWS answers to a request which breaks the model: ValidationException in AWS's words, mostly.

        A value of the wrong type is a SerializationException. Members which the model does not know are ignored,
        as AWS does.
        """
        check = self._check
        if check is not None:
            problems: list[tuple[str, str]] = []
            check(request, "", problems)
            if problems:
                raise_problems(problems, self.service.dialect)


class ServiceModel:
    """One service's API model. Operations and shapes are made when first asked for."""

    def __init__(self, name: str, raw: Mapping[str, Any]) -> None:
        self.name = name
        self.metadata: Mapping[str, Any] = raw["metadata"]
        self.shapes = Shapes(raw.get("shapes", {}))
        self._operations_raw: Mapping[str, Any] = raw["operations"]
        self._shapes_raw: Mapping[str, Any] = raw.get("shapes", {})
        self._operations: dict[str, OperationModel] = {}

    def __repr__(self) -> str:
        return f"<ServiceModel {self.name}>"

    @property
    def operation_names(self) -> list[str]:
        """AWS's names of all operations."""
        return list(self._operations_raw)

    @property
    def strict(self) -> bool:
        """Whether members that the model does not know are refused: no model of AWS says so, Penstock's own does."""
        return self.metadata.get("unknownMembers") == "refused"

    @property
    def protocols(self) -> tuple[str, ...]:
        """The protocols the model names, its first choice first: json, rest-json, query, smithy-rpc-v2-cbor…"""
        first: str = self.metadata["protocol"]
        return tuple(dict.fromkeys((first, *self.metadata.get("protocols", ()))))

    @property
    def query_compatible(self) -> bool:
        """Whether it once spoke the query protocol and still uses its error codes (awsQueryCompatible)."""
        return "awsQueryCompatible" in self.metadata

    @property
    def signing_name(self) -> str:
        """The service's name in a signature's credential scope."""
        name: str = self.metadata.get("signingName") or self.metadata["endpointPrefix"]
        return name

    @property
    def dialect(self) -> str:
        """Whose sentences ``check`` speaks: "query-compatible", "logs" (a code of its own) or a protocol's name."""
        if self.signing_name == "logs":
            return "logs"
        return "query-compatible" if self.query_compatible else str(self.metadata["protocol"])

    def operation(self, name: str) -> OperationModel:
        """The operation of this name; UnknownOperationException when the service has none."""
        operation = self._operations.get(name)
        if operation is None:
            raw = self._operations_raw.get(name)
            if raw is None:
                raise no_such_operation(name)
            operation = self._operations[name] = OperationModel(self, name, raw)
        return operation

    def operations(self) -> Iterator[OperationModel]:
        """Every operation."""
        return (self.operation(name) for name in self._operations_raw)

    def with_shapes(self, names: Mapping[str, Mapping[str, Any]]) -> ServiceModel:
        """The same service with other traits on some shapes: {shape: {trait: value, "member": {trait: value}}}."""
        shapes = dict(self._shapes_raw)
        for name, traits in names.items():
            shape = dict(shapes[name])
            for trait, value in traits.items():
                shape[trait] = {**shape[trait], **value} if isinstance(value, Mapping) else value
            shapes[name] = shape
        return ServiceModel(
            self.name, {"metadata": self.metadata, "operations": self._operations_raw, "shapes": shapes}
        )

    @cached_property
    def _errors(self) -> dict[str, ErrorModel]:
        errors: dict[str, ErrorModel] = {}
        for name, raw in self._shapes_raw.items():
            if raw.get("exception") or raw.get("fault"):
                error = raw.get("error", {})
                status = error.get("httpStatusCode")
                sender = error.get("senderFault", not raw.get("fault") and (status is None or status < 500))
                model = ErrorModel(name, error.get("code", name), status, sender, self.shapes[name])
                errors[name] = model
        for model in list(errors.values()):
            errors.setdefault(model.wire_code, model)
        return errors

    def error(self, code: str) -> ErrorModel | None:
        """The error of this name, or with this code on the wire; None when the model has none."""
        return self._errors.get(code)


def _streaming(use: Member | None) -> str | None:
    if use is None or use.shape.payload is None:
        return None
    member = use.shape.members[use.shape.payload]
    return member.name if member.shape.type == "blob" and member.trait("streaming") else None


def _event_stream(members: Mapping[str, Member]) -> str | None:
    return next((name for name, member in members.items() if member.shape.event_stream), None)


def _without_documentation(value: Any) -> Any:
    """The prose is more than half of a model and nobody here reads it."""
    if isinstance(value, dict):
        # A shape or a member may be named "documentation": only the prose is a string.
        return {
            key: _without_documentation(item)
            for key, item in value.items()
            if not (key == "documentation" and isinstance(item, str))
        }
    if isinstance(value, list):
        return [_without_documentation(item) for item in value]
    return value


@cache
def _data() -> Path:
    spec = find_spec("botocore")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("botocore is not installed, and it holds the API models: pip install botocore")
    return Path(spec.submodule_search_locations[0]) / "data"


@cache
def known_models() -> frozenset[str]:
    """The names of all models in botocore's data."""
    return frozenset(folder.name for folder in _data().iterdir() if folder.is_dir())


def _file_of(name: str) -> Path:
    versions = sorted(
        (file.parent.name, file) for file in (_data() / name).glob("*/service-2.json*") if file.parent.is_dir()
    )
    if not versions:
        raise LookupError(f"botocore has no API model named {name!r}: its data folder lists those it has")
    return versions[-1][1]


@cache
def load(model: str | Path) -> ServiceModel:
    """The API model of this name in botocore's data, or in this ``service-2.json`` file of a service's own."""
    file = model if isinstance(model, Path) else _file_of(model)
    content = file.read_bytes()
    if file.suffix == ".gz":
        content = gzip.decompress(content)
    name = model.parent.name if isinstance(model, Path) else model
    return ServiceModel(name, _without_documentation(orjson.loads(content)))
