"""Which operation of which service a request is for, and in which protocol it speaks.

In order: what X-Amz-Target names; a Smithy RPC path; the Action of a form or query string; for the REST protocols
the service that signed the request or that the host names, and its path. Models are read only when a request gets
as far as an operation of their service.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from penstock.base.errors import ApiError, Unsupported
from penstock.engine.model import ServiceModel, load, no_such_operation
from penstock.wire.compression import unpack
from penstock.wire.credentials import Credential
from penstock.wire.hosts import Host
from penstock.wire.index import Names, every_service, names_of
from penstock.wire.paths import PathTable
from penstock.wire.protocols import JSON_1_0, JSON_1_1, PROTOCOLS, QUERY, REST_JSON
from penstock.wire.protocols.bindings import parse_query
from penstock.wire.protocols.protocol import Codec, WireProtocol, body_of
from penstock.wire.protocols.query_names import NAMES
from penstock.wire.values import Request

SELF_PATH = "/_penstock/"
_SELF = "self"
_S3 = "s3"  # its endpoint's prefix: the one service that a host may name a resource of
_FORM = "application/x-www-form-urlencoded"
_TARGETS_AT_MOST = 4096  # (target, content type) pairs remembered
_REST = ("rest-json", "rest-xml")


class Entry:
    """One service that is served: its names, and once somebody asked for it, its model and compiled operations."""

    def __init__(self, service: str, model: str | Path) -> None:
        self.service = service
        self.names: Names = names_of(model)
        self._table: PathTable | None = None
        self._codecs: dict[tuple[str, str], Codec] = {}

    @property
    def model(self) -> ServiceModel:
        """The service's API model."""
        return load(self.names.model)

    @property
    def table(self) -> PathTable:
        """The service's REST paths."""
        if self._table is None:
            self._table = PathTable(self.model)
        return self._table

    @property
    def rest(self) -> WireProtocol | None:
        """Its REST protocol, if it speaks one."""
        return next((PROTOCOLS[name] for name in self.names.protocols if name in _REST and name in PROTOCOLS), None)

    @property
    def speaks_query(self) -> bool:
        """Whether it answers the query protocol: by its model, or because it did before it moved to JSON."""
        return "query" in self.names.protocols or self.names.model in NAMES

    def codec(self, protocol: WireProtocol, operation: str) -> Codec:
        """One of its operations in one protocol."""
        key = (protocol.name, operation)
        codec = self._codecs.get(key)
        if codec is None:
            codec = self._codecs[key] = protocol.codec(self.model.operation(operation))
        return codec


class Routed(NamedTuple):
    """Where a request goes."""

    entry: Entry
    codec: Codec
    labels: Mapping[str, str]
    form: Mapping[str, str]


class NotRouted(Exception):
    """No operation takes the request; ``protocol`` is the one to say so in."""

    def __init__(self, error: ApiError, protocol: WireProtocol, service: ServiceModel | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.protocol = protocol
        self.service = service


_NOTHING: Mapping[str, str] = {}


class Router:
    """Finds the operation of a request among the services served."""

    def __init__(self, services: Mapping[str, str | Path]) -> None:
        self.entries = [Entry(service, model) for service, model in services.items()]
        self._self = next((entry for entry in self.entries if entry.service == _SELF), None)
        self._by_target = {entry.names.target_prefix: entry for entry in self.entries if entry.names.target_prefix}
        self._by_signing: dict[str, list[Entry]] = {}
        self._by_endpoint: dict[str, list[Entry]] = {}
        for entry in self.entries:
            self._by_signing.setdefault(entry.names.signing_name, []).append(entry)
            self._by_endpoint.setdefault(entry.names.endpoint_prefix, []).append(entry)
        self._targets: dict[tuple[str, str], Routed] = {}

    def route(self, request: Request, host: Host, credential: Credential) -> Routed:
        """Where a request goes; NotRouted when nowhere."""
        headers = request.headers
        target = headers.get("x-amz-target")
        content_type = headers.get("content-type", "")
        if target is not None:
            known = self._targets.get((target, content_type))
            return known if known is not None else self._route_target(target, content_type)
        if request.path.startswith(SELF_PATH) and self._self is not None:
            return self._route_path(request, [self._self])
        if request.path.startswith("/service/") and "smithy-protocol" in headers:
            return self._route_rpc(request.path, headers["smithy-protocol"])
        form_typed = is_form(headers)
        if form_typed or "Action=" in request.query:
            form = dict(parse_query(request.query))
            if form_typed:
                form.update(_form_of(request))
            if "Action" in form or (form_typed and request.path == "/"):
                return self._route_action(request, form, host, credential)
        return self._route_rest(request, host, credential)

    # --- by target

    def _route_target(self, target: str, content_type: str) -> Routed:
        protocol: WireProtocol = JSON_1_1 if "json-1.1" in content_type else JSON_1_0
        prefix, _, operation = target.rpartition(".")
        entry = self._by_target.get(prefix)
        if entry is None:
            self._refuse_known(
                [names for names in every_service() if prefix and names.target_prefix == prefix], protocol
            )
            raise NotRouted(no_such_operation(target), protocol)
        if "cbor" in content_type:
            protocol = PROTOCOLS.get("cbor-1.1", protocol)
        routed = self._to(entry, protocol, operation)
        if len(self._targets) < _TARGETS_AT_MOST:
            self._targets[target, content_type] = routed
        return routed

    def _route_rpc(self, path: str, name: str) -> Routed:
        protocol = PROTOCOLS.get(f"smithy-{name}")
        parts = path.split("/")
        if protocol is None or len(parts) != 5 or parts[3] != "operation":
            raise NotRouted(no_such_operation(path), JSON_1_0)
        entry = self._by_target.get(parts[2].rpartition(".")[2]) or self._by_target.get(parts[2])
        if entry is None:
            self._refuse_known([names for names in every_service() if names.target_prefix == parts[2]], protocol)
            raise NotRouted(no_such_operation(path), protocol)
        return self._to(entry, protocol, parts[4])

    def _to(
        self, entry: Entry, protocol: WireProtocol, operation: str, labels: Mapping[str, str] = _NOTHING,
        form: Mapping[str, str] = _NOTHING,
    ) -> Routed:  # fmt: skip
        try:
            return Routed(entry, entry.codec(protocol, operation), labels, form)
        except ApiError as error:
            raise NotRouted(error, protocol, entry.model) from None

    # --- by action

    def _route_action(self, request: Request, form: dict[str, str], host: Host, credential: Credential) -> Routed:
        action, version = form.get("Action", ""), form.get("Version", "")
        if not action:
            raise NotRouted(
                ApiError("The request must contain the parameter Action.", code="MissingAction"), QUERY, None
            )
        named = [entry for entry in self._named(host, credential) if entry.speaks_query]
        candidates = named or [
            entry
            for entry in self.entries
            if entry.speaks_query and (not version or entry.names.version == version)
        ]  # fmt: skip
        for entry in candidates:
            if action in entry.model.operation_names:
                members = entry.model.operation(action).input_members
                if request.path != "/" and "QueueUrl" in members and "QueueUrl" not in form:
                    # SQS: a request to the queue's own URL need not repeat it.
                    form["QueueUrl"] = f"http://{request.host}{request.path}"
                return self._to(entry, QUERY, action, form=form)
        if not candidates:
            self._refuse_known(
                [
                    names
                    for names in every_service()
                    if {"query", "ec2"} & set(names.protocols)
                    and (names.signing_name == credential.service if credential.service else names.version == version)
                ],
                QUERY,
            )
        raise NotRouted(
            ApiError(f"The action {action} is not valid for this endpoint.", code="InvalidAction"),
            QUERY,
            candidates[0].model if len(candidates) == 1 else None,
        )

    # --- by path

    def _route_rest(self, request: Request, host: Host, credential: Credential) -> Routed:
        named = self._named(host, credential)
        candidates = [entry for entry in named if entry.rest is not None]
        if not candidates and credential.service:
            known = [names for names in every_service() if names.signing_name == credential.service]
            is_xml = any("rest-xml" in names.protocols for names in known)
            self._refuse_known(known, PROTOCOLS["rest-xml"] if is_xml else REST_JSON)
        if named and not candidates:
            protocol: WireProtocol = QUERY if named[0].speaks_query else JSON_1_0
            raise NotRouted(
                ApiError(
                    f"{named[0].service} has no REST paths: name the operation in X-Amz-Target or Action.",
                    code="UnknownOperationException", status=404,
                ), protocol, named[0].model,
            )  # fmt: skip
        if not candidates:
            # Nobody signed it and the host names nothing: whoever has the path.
            candidates = [entry for entry in self.entries if entry.rest is not None and entry is not self._self]
        # S3 takes any path: it comes last.
        candidates.sort(key=lambda entry: entry.names.endpoint_prefix == _S3)
        return self._route_path(request, candidates, self._bucket(host))

    def _route_path(self, request: Request, candidates: Iterable[Entry], bucket: str = "") -> Routed:
        path = request.path
        last: Entry | None = None
        for entry in candidates:
            protocol = entry.rest
            assert protocol is not None
            last = entry
            full = f"/{bucket}{path}" if bucket and entry.names.endpoint_prefix == _S3 else path
            try:
                found = entry.table.find(request.method, full, request.query, request.headers)
            except ApiError as error:
                raise NotRouted(error, protocol, entry.model) from None
            if found is not None:
                return self._to(entry, protocol, found[0], found[1])
        advice = "check the path against the service's API reference, or sign the request so that it names its service."
        if path == "/":
            advice = f"this is Penstock, for AWS's SDKs and tools; {SELF_PATH}health tells how it is."
        unknown = ApiError(
            f"No operation is served under {request.method} {path[:200]}: {advice}",
            code="UnknownOperationException", status=404,
        )  # fmt: skip
        if last is not None and last.names.endpoint_prefix == _S3:
            unknown = ApiError(
                "The specified method is not allowed against this resource.", code="MethodNotAllowed", status=405
            )
        if last is None or last.rest is None:
            raise NotRouted(unknown, REST_JSON)
        raise NotRouted(unknown, last.rest, last.model)

    # --- names

    def _named(self, host: Host, credential: Credential) -> list[Entry]:
        """The services that the signature or the host names."""
        signed = self._by_signing.get(credential.service, []) if credential.service else []
        if len(signed) == 1 or not host.labels:
            return signed
        hosted = self._hosted(host)[0]
        both = [entry for entry in signed if entry in hosted]
        return both or signed or ([] if credential.service else hosted)

    def _hosted(self, host: Host) -> tuple[list[Entry], tuple[str, ...]]:
        """The services that a host names, and the labels before the service's own."""
        labels = tuple(label for label in host.labels if label != "dualstack")
        for count in (2, 1):
            name = ".".join(labels[-count:])
            for candidate in (name, name.partition("-")[2], "sqs" if name == "queue" else ""):
                if candidate and candidate in self._by_endpoint:
                    return self._by_endpoint[candidate], labels[:-count]
        return [], labels

    def _bucket(self, host: Host) -> str:
        """The bucket a host names if the request is S3's: bucket.s3.localhost, bucket.localhost."""
        if not host.labels:
            return ""
        hosted, before = self._hosted(host)
        if hosted and hosted[0].names.endpoint_prefix != _S3:
            return ""
        return ".".join(before if hosted else host.labels)

    def _refuse_known(self, known: list[Names], protocol: WireProtocol) -> None:
        """Say so when the service exists on AWS and is not served here."""
        served = {entry.names.model for entry in self.entries}
        missing = [names for names in known if names.model not in served]
        if missing and len(missing) == len(known):
            raise NotRouted(
                Unsupported(
                    f"Penstock does not have the service {missing[0].model} yet: docs/coverage lists those it has."
                ),
                protocol,
            )


def is_form(headers: Mapping[str, str]) -> bool:
    """Whether the body may name the operation: two requests with the same head may then go to different ones."""
    return headers.get("content-type", "").startswith(_FORM)


def _form_of(request: Request) -> dict[str, str]:
    try:
        unpack(request)
        return dict(parse_query(body_of(request).decode()))
    except UnicodeDecodeError:
        raise NotRouted(ApiError("The form is not UTF-8.", code="MalformedQueryString"), QUERY) from None
    except ApiError as error:
        raise NotRouted(error, QUERY) from None
