"""The front: from a request whose body has arrived to its answer, over plain values.

``start`` never waits and makes no task: an operation that is a ``def`` runs to its end inside it, and the answer
goes out from the store's callback once it is durable. Everything that can be wrong with a request is answered in
the protocol it speaks; nothing that a caller sends leads to a 500.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from penstock.base.clock import MachineClock
from penstock.base.errors import ApiError
from penstock.base.names import Names, uuid_of
from penstock.engine.access import Keys, Principal
from penstock.engine.body import FileBody
from penstock.engine.context import Call
from penstock.engine.dispatcher import Dispatch
from penstock.engine.model import ServiceModel
from penstock.engine.model.check import SerializationError
from penstock.wire.auth import refusal
from penstock.wire.chunked import ChunkedBody
from penstock.wire.compression import unpack
from penstock.wire.credentials import credential_of
from penstock.wire.heads import STREAMING
from penstock.wire.hosts import Host, Hosts, origin_host
from penstock.wire.limits import DOCUMENT_BYTES, STREAM_BYTES
from penstock.wire.protocols.protocol import WireProtocol, failure_of
from penstock.wire.repeats import Scope
from penstock.wire.router import NotRouted, Routed, Router, is_form
from penstock.wire.signature import AuthError, ChunkSigner, Verifier
from penstock.wire.values import RawRoute, Request, Response

Answer = Callable[[Response], None]
log = logging.getLogger("penstock.wire")

_PREFLIGHT_AGE_SECONDS = 600  # how long a browser may remember that it may call
_OWNERS_AT_MOST = 4096  # access keys that were not issued here, remembered with their account
_DIGITS_AT_MOST = 20  # of a length; Python refuses to read more than 4,300
_EXPOSED = "x-amzn-RequestId, x-amz-request-id, x-amzn-ErrorType, x-amz-version-id, ETag, Date"


class Front:
    """Answers requests. One per server; every connection, of either HTTP version, hands its requests to ``start``."""

    def __init__(
        self,
        dispatch: Dispatch,
        *,
        services: Mapping[str, str | Path],
        keys: Keys,
        machine: MachineClock,
        names: Names,
        allow_hosts: Sequence[str] = (),
        allow_origins: Sequence[str] = (),
        routes: Sequence[RawRoute] = (),
        verifier: Verifier | None = None,
    ) -> None:
        self.router = Router(services)
        self.hosts = Hosts(allow_hosts)
        self.routes = routes if isinstance(routes, list) else list(routes)
        self._dispatch = dispatch
        self._keys = keys
        self._machine = machine
        self._names = names
        self._origins = {origin.lower().rstrip("/") for origin in allow_origins}
        self._verifier = verifier
        self._tasks: set[asyncio.Task[None]] = set()
        self._owners: dict[str, Principal] = {}

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

        def answer(response: Response) -> None:
            if not future.done():
                future.set_result(response)

        self.start(request, answer)
        return await future

    def start(self, request: Request, answer: Answer) -> None:
        """Start answering a request; ``answer`` is called once, perhaps before this returns."""
        repeat = request.repeat
        if repeat is not None:
            at, scope = repeat.target_at, repeat.scope
            routed = repeat.routes.get(request.values[at] if at is not None else None)
            if scope is not None and routed is not None:
                if repeat.direct or self._raw_route(scope.host, request.path) is None:
                    self._call(request, scope, routed, uuid_of(self._names.id()), answer)
                    return
        host = self.hosts.seen.get(request.host) or self.hosts.read(request.host)
        headers = request.headers
        if not host.allowed:
            answer(_refusal(f"This platform does not answer to the host {host.name!r}: start it with --allow-host"
                            f" {host.name} if that name is meant to reach it."))  # fmt: skip
            return
        raw = self._raw_route(host, request.path)
        browser = "origin" in headers or "sec-fetch-site" in headers
        if browser:
            if raw is None or not raw.any_origin:
                refusal = self._browser(request)
                if refusal is not None:
                    answer(refusal)
                    return
            if "origin" in headers and (raw is None or not raw.any_origin):
                answer = _with_cors(answer, headers["origin"])
        if raw is not None:
            self._start_raw(raw, request, answer)
            return
        request_id = uuid_of(self._names.id())
        scope = Scope(host, credential_of(headers.get("authorization"), request.query))
        try:
            routed = self.router.route(request, host, scope.credential)
        except NotRouted as error:
            self._fail(error.error, error.protocol, error.service, request, request_id, answer)
            return
        if repeat is not None and not browser and not routed.form and not is_form(headers):
            repeat.remember(request.values, scope, routed)
        self._call(request, scope, routed, request_id, answer)

    def _call(self, request: Request, scope: Scope, routed: Routed, request_id: str, answer: Answer) -> None:
        entry, codec, labels, form = routed
        operation, protocol, repeat = codec.operation, codec.protocol, request.repeat
        try:
            if self._verifier is not None and not operation.unsigned:
                self._verifier.verify(request, scope.credential, entry.names.signing_name)
            if request.error is not None:
                raise request.error
            principal = scope.owner if scope.as_of == self._keys.changes else self._principal(scope)
            # A repeated head has no Content-Encoding: such requests are the parser's.
            if repeat is None and "content-encoding" in request.headers and not operation.streaming_input:
                unpack(request)
        except Exception as error:
            self._fail(error, protocol, entry.model, request, request_id, answer)
            return
        try:
            arguments = codec.decode(request, labels, form)
            operation.check(arguments)
        except Exception as error:
            # That an operation is not offered is worth more to know than what its request lacks.
            not_offered = self._dispatch.refusal(entry.service, operation.name)
            self._fail(not_offered or error, protocol, entry.model, request, request_id, answer)
            return
        call = Call(
            entry.service, operation.name, arguments, principal.account, scope.region, principal, request_id,
            request.trace_header if repeat is None or repeat.traced else "", request.host, request,
        )  # fmt: skip
        done = partial(self._done, routed, request, request_id, answer)
        try:
            self._dispatch.start(call, done)
        except Exception as error:
            done(None, error)

    def _done(
        self, routed: Routed, request: Request, request_id: str, answer: Answer, result: dict[str, Any] | None,
        error: BaseException | None,
    ) -> None:  # fmt: skip
        entry, codec, _, _ = routed
        if error is None:
            try:
                response = codec.encode(result or {}, request_id)
            except Exception as failure:
                self._fail(failure, codec.protocol, entry.model, request, request_id, answer)
                return
            response.request_id_header, response.request_id = codec.protocol.request_id_header, request_id
            if type(request.body) is not bytes:
                _discard(request.body)
            answer(response)
        else:
            self._fail(error, codec.protocol, entry.model, request, request_id, answer)

    def _principal(self, scope: Scope) -> Principal:
        key = scope.credential.access_key_id
        keys = self._keys
        held = keys.find(key) if key else None
        if held is None and not keys.revoked(key):
            # Nobody issued it: it is its owner's word, the same every time.
            principal = self._owners.get(key)
            if principal is None:
                principal = keys.principal(key)
                if len(self._owners) < _OWNERS_AT_MOST:
                    self._owners[key] = principal
            scope.owner, scope.as_of = principal, keys.changes
            return principal
        if held is not None and held.expires <= self._machine.now_ms():
            raise ApiError(
                "The security token included in the request is expired: get a new one from STS.",
                code="ExpiredTokenException", status=403,
            )  # fmt: skip
        if held is None:
            raise ApiError(
                "The security token included in the request is invalid: it has been revoked.",
                code="UnrecognizedClientException", status=403,
            )  # fmt: skip
        return held.principal

    def _fail(
        self, error: BaseException, protocol: WireProtocol, service: ServiceModel | None, request: Request,
        request_id: str, answer: Answer,
    ) -> None:  # fmt: skip
        if isinstance(error, AuthError):
            error = refusal(error, protocol.name)
        elif isinstance(error, RecursionError):
            error = SerializationError("The request is nested too deeply: flatten it.")
        failure = failure_of(error, service)
        if failure.code == "InternalFailure" and not isinstance(error, ApiError):
            log.error("%s %s failed (request id %s)", request.method, request.path, request_id, exc_info=error)
        try:
            response = protocol.failure(failure, service, request_id)
        except Exception:
            log.exception("the error %s could not be written (request id %s)", failure.code, request_id)
            failure.fields, failure.model = {}, None
            response = protocol.failure(failure, service, request_id)
        response.request_id_header, response.request_id = protocol.request_id_header, request_id
        if type(request.body) is not bytes:
            _discard(request.body)
        answer(response)

    def body_limit(self, request: Request) -> int:
        """How many bytes the body of a request may have, by its head."""
        host = self.hosts.read(request.host)
        headers = request.headers
        if "x-amz-target" in headers or is_form(headers):
            return DOCUMENT_BYTES
        if self._raw_route(host, request.path) is not None:
            return DOCUMENT_BYTES
        try:
            routed = self.router.route(request, host, credential_of(headers.get("authorization"), request.query))
        except NotRouted:
            return DOCUMENT_BYTES
        return STREAM_BYTES if routed.codec.operation.streaming_input else DOCUMENT_BYTES

    def chunked_body(self, request: Request) -> ChunkedBody | None:
        """What unpacks the request's body if it is aws-chunked; the head alone has arrived."""
        headers = request.headers
        content = headers.get("x-amz-content-sha256", "")
        if not content.startswith(STREAMING) and "aws-chunked" not in headers.get("content-encoding", ""):
            return None
        signer: ChunkSigner | None = None
        if self._verifier is not None and content.startswith("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"):
            # What is wrong with the signature of the head is said when the request is complete.
            with suppress(AuthError):
                credential = credential_of(headers.get("authorization"), request.query)
                signer = self._verifier.chunk_signer(request, credential)
        length = headers.get("x-amz-decoded-content-length", "")
        size = int(length[:_DIGITS_AT_MOST]) if length.isdecimal() else None
        return ChunkedBody(headers.get("x-amz-trailer", ""), size, signer)

    # --- browsers

    def _browser(self, request: Request) -> Response | None:
        """The answer to a browser's request that may not come through, or to its question whether it may."""
        headers = request.headers
        origin = headers.get("origin")
        if origin is not None:
            if not self._origin_allowed(origin):
                return _refusal(
                    f"Web pages of {origin} may not call this platform: start it with --allow-origin {origin}"
                    " if they should."
                )
            if request.method == "OPTIONS" and "access-control-request-method" in headers:
                return Response(204, (
                    ("Access-Control-Allow-Methods", headers["access-control-request-method"]),
                    ("Access-Control-Allow-Headers", headers.get("access-control-request-headers", "*")),
                    ("Access-Control-Max-Age", str(_PREFLIGHT_AGE_SECONDS)),
                    ("Access-Control-Allow-Origin", origin),
                    ("Vary", "Origin"),
                ))  # fmt: skip
            return None
        if headers.get("sec-fetch-site") == "cross-site":
            return _refusal(
                "A web page of another site may not call this platform: call it from your own pages or tools."
            )
        return None

    def _origin_allowed(self, origin: str) -> bool:
        if "*" in self._origins or origin.lower() in self._origins:
            return True
        name = origin_host(origin)
        if not name:
            return False
        host = self.hosts.read(name)
        # AWS's own names are fine as a Host, but anybody can have a page under them.
        return host.allowed and (host.plain or host.name.endswith(".localhost"))

    # --- routes that are no operations

    def _raw_route(self, host: Host, path: str) -> RawRoute | None:
        if path == "/" and host.local:
            return None
        for route in self.routes:
            if route.matches(host.name, path):
                return route
        return None

    def _start_raw(self, route: RawRoute, request: Request, answer: Answer) -> None:
        task = asyncio.get_running_loop().create_task(self._raw(route, request, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _raw(self, route: RawRoute, request: Request, answer: Answer) -> None:
        try:
            response = await route.handler(request)
        except ApiError as error:
            response = Response(
                error.status, (), orjson.dumps({"__type": error.code, "message": error.message}), "application/json"
            )
        except asyncio.CancelledError:
            answer(Response(503, (), b'{"message":"The platform is stopping."}', "application/json"))
            raise
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            response = Response(500, (), b'{"message":"Internal Server Error"}', "application/json")
        if type(request.body) is not bytes:
            _discard(request.body)
        answer(response)

    async def close(self) -> None:
        """End what raw routes still do."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _discard(body: bytes | FileBody) -> None:
    """A body's file belongs to the operation until its answer; what is still there then nobody wants."""
    if isinstance(body, FileBody):
        with suppress(OSError):
            body.path.unlink()


def _refusal(message: str) -> Response:
    return Response(403, (), orjson.dumps({"__type": "ForbiddenException", "message": message}), "application/json")


def _with_cors(answer: Answer, origin: str) -> Answer:
    def with_cors(response: Response) -> None:
        if not any(name == "Access-Control-Allow-Origin" for name, _ in response.headers):
            response.headers = [
                *response.headers,
                ("Access-Control-Allow-Origin", origin),
                ("Access-Control-Expose-Headers", _EXPOSED),
                ("Vary", "Origin"),
            ]
        answer(response)

    return with_cors
