"""A small HTTP client for one server: Penstock's own API, and the AWS operations that commands use.

Only the standard library: a command answers before an SDK would have been imported.
"""

from __future__ import annotations

import hashlib
import http.client
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from penstock.base.clock import MachineClock
from penstock.cli.problems import Problem, Unreachable
from penstock.wire import signature

TIMEOUT_S: Final = 330  # machine seconds for an answer: longer than advance may take
ANY_SECRET: Final = "penstock"  # what signs where signatures are not verified
_SIGNED: Final = ("host", "x-amz-date")


class Client:
    """Talks to the server at ``url`` as the owner of an account. Problem and Unreachable say what went wrong.

    ``keys`` are the access keys of the settings: without one for the account, the first signs.
    """

    def __init__(self, url: str, *, account: str, region: str, keys: Mapping[str, str] | None = None) -> None:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        if parts.scheme != "http" or not parts.hostname:
            raise Problem(f"{url} is no address of a Penstock server: it looks like http://127.0.0.1:4566")
        self.url = f"http://{parts.netloc}"
        self.account = account
        self.region = region
        self.keys = keys or {}
        self.key_id = account if account in self.keys else next(iter(self.keys), account)
        self.secret = self.keys.get(self.key_id, ANY_SECRET)
        self._host, self._port = parts.hostname, parts.port or 80
        self._clock = MachineClock()

    def within(self, account: str, region: str) -> Client:
        """The same server, as the owner of another account and in another region."""
        return Client(self.url, account=account, region=region, keys=self.keys)

    # --- Penstock's own API

    def own(self, method: str, path: str, body: Mapping[str, Any] | None = None, **query: Any) -> dict[str, Any]:
        """An operation under /_penstock; query members that are None are left out."""
        given = {name: _text(value) for name, value in query.items() if value is not None}
        target = f"/_penstock{path}" + (f"?{urlencode(given)}" if given else "")
        content = json.dumps(body or {}).encode() if method == "POST" else b""
        return _decoded(self.request(method, target, "penstock", content, {"content-type": "application/json"})[1])

    def progress(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """An operation under /_penstock that answers with lines of JSON while it goes on."""
        content = json.dumps(body).encode() if body is not None else b""
        connection, answer = self._open(
            method, f"/_penstock{path}", "penstock", content, {"content-type": "application/json"}, timeout=None
        )
        try:
            if answer.status >= 400:
                raise _problem(answer, answer.read())
            for line in answer:
                if line.strip():
                    yield json.loads(line)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"The server at {self.url} went away while this was going on ({error}).") from error
        finally:
            connection.close()

    # --- AWS operations

    def json(self, service: str, target: str, request: Mapping[str, Any], version: str = "1.0") -> dict[str, Any]:
        """An operation of a service that speaks AWS's JSON protocol; ``target`` is its X-Amz-Target."""
        headers = {"content-type": f"application/x-amz-json-{version}", "x-amz-target": target}
        return _decoded(self.request("POST", "/", service, json.dumps(request).encode(), headers)[1])

    def invoke(self, function: str, payload: bytes, *, kind: str, tail: bool) -> tuple[http.client.HTTPMessage, bytes]:
        """Lambda's Invoke: the answer's headers and its payload."""
        headers = {"x-amz-invocation-type": kind} | ({"x-amz-log-type": "Tail"} if tail else {})
        path = f"/2015-03-31/functions/{quote(function, safe='')}/invocations"
        return self.request("POST", path, "lambda", payload, headers)

    # --- HTTP

    def request(
        self, method: str, target: str, service: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[http.client.HTTPMessage, bytes]:
        """One request; Problem with the server's own words when it answers with an error."""
        connection, answer = self._open(method, target, service, body, headers, timeout=TIMEOUT_S)
        try:
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"The server at {self.url} went away before it answered ({error}).") from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise _problem(answer, content)
        return answer.headers, content

    def _open(
        self, method: str, target: str, service: str, body: bytes, headers: Mapping[str, str], timeout: float | None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout)
        try:
            connection.request(method, target, body, {**headers, **self._signature(method, target, service, body)})
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Unreachable(
                f"No Penstock server answers at {self.url} ({error}). Start one with `penstock up`, "
                "or name another with --url."
            ) from error

    def _signature(self, method: str, target: str, service: str, body: bytes) -> dict[str, str]:
        """The headers that sign a request: Signature Version 4."""
        time = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
        path, _, query = target.partition("?")
        headers = {"host": self.url.removeprefix("http://"), "x-amz-date": time}
        canonical = signature.canonical_request(
            method, signature.canonical_path(path, service), signature.canonical_query(query), headers, _SIGNED,
            hashlib.sha256(body).hexdigest(),
        )  # fmt: skip
        scope = f"{time[:8]}/{self.region}/{service}/aws4_request"
        key = signature.signing_key(self.secret, time[:8], self.region, service)
        signed = signature.sign(key, signature.string_to_sign(time, scope, canonical))
        names = ";".join(_SIGNED)
        return {**headers, "authorization": f"{signature.ALGORITHM} Credential={self.key_id}/{scope}, "
                f"SignedHeaders={names}, Signature={signed}"}  # fmt: skip


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _decoded(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content or b"{}")
    except ValueError as error:
        raise Problem("The answer is not Penstock's: something else listens on this port. Look at --url.") from error
    return value if isinstance(value, dict) else {"value": value}


def _problem(answer: http.client.HTTPResponse, content: bytes) -> Problem:
    try:
        said = json.loads(content)
    except ValueError:
        return Problem(f"HTTP {answer.status} {answer.reason}: the answer is not Penstock's. Look at --url.")
    code = answer.headers.get("x-amzn-errortype") or said.get("__type", "").rpartition("#")[2] or said.get("code", "")
    message = said.get("message") or said.get("Message") or answer.reason
    return Problem(message, code=code.partition(":")[0], status=answer.status)
