"""Signature Version 4: what a request should be signed with, and whether it is.

Pure: values in, values or an ``AuthError`` out. Headers, presigned query strings, and bodies in signed chunks.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal
from urllib.parse import quote, unquote, unquote_to_bytes

from penstock.base.clock import MachineClock
from penstock.engine.access import Keys
from penstock.engine.body import FileBody
from penstock.wire.credentials import Credential
from penstock.wire.heads import STREAMING
from penstock.wire.signature_s3 import fields_of, signatures_of
from penstock.wire.values import Request

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY_HASH = hashlib.sha256(b"").hexdigest()
SKEW_MS = 15 * 60_000  # a signature's time may be this far off: "Troubleshooting Signature Version 4" in the IAM guide
AHEAD_MS = 5 * 60_000  # and this far ahead
PRESIGNED_SECONDS = 604_800  # a presigned URL's longest life: "Authenticating Requests: Using Query Parameters" of S3

_DIGITS_AT_MOST = 12  # of a number of seconds; Python refuses to read more than 4,300
_ISO = "%Y%m%dT%H%M%SZ"
_UNHASHED = (UNSIGNED, STREAMING)  # how X-Amz-Content-Sha256 begins when it is not the body's hash
_UNRESERVED = "-_.~"
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key"
    " and signing method. Consult the service documentation for details."
)
_SPACES = re.compile(" +")

Kind = Literal["missing", "incomplete", "unknown", "token", "expired", "skewed", "scope", "mismatch", "payload", "late"]


class AuthError(Exception):
    """Why a signature is refused; each protocol has its own code for it (see ``auth``)."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature taken apart. ``presigned``: it came in the query string; ``seconds`` is then its life."""

    credential: Credential
    headers: tuple[str, ...]
    signature: str
    time: str
    presigned: bool = False
    seconds: int = 0

    @property
    def scope(self) -> str:
        """The credential's scope: date/region/service/aws4_request."""
        credential = self.credential
        return f"{credential.date}/{credential.region}/{credential.service}/aws4_request"


@lru_cache(maxsize=1024)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key of one day, region and service."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def sign(key: bytes, text: str) -> str:
    """A signature, in hexadecimal."""
    return hmac.digest(key, text.encode(), "sha256").hex()


def canonical_path(path: str, service: str) -> str:
    """A path as it is signed: S3's as it is, others' without dot segments and percent-encoded once more."""
    if service == "s3":
        return quote(unquote_to_bytes(path), safe=f"/{_UNRESERVED}") or "/"
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if segments:
                segments.pop()
        elif segment not in ("", "."):
            segments.append(segment)
    normal = "/" + "/".join(segments) + ("/" if segments and path.endswith("/") else "")
    return quote(normal, safe=f"/{_UNRESERVED}")


def canonical_query(query: str, *, without: str = "") -> str:
    """A query string as it is signed: every field encoded alike, in order of name and value."""
    fields = []
    for field in query.split("&"):
        if field:
            name, _, value = field.partition("=")
            name = unquote(name.replace("+", " "), errors="surrogateescape")
            if name != without:
                value = unquote(value.replace("+", " "), errors="surrogateescape")
                fields.append((_encoded(name), _encoded(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(fields))


def _encoded(text: str) -> str:
    return quote(text.encode("utf-8", "surrogateescape"), safe=_UNRESERVED)


def canonical_request(
    method: str, path: str, query: str, headers: Mapping[str, str], signed: Sequence[str], payload_hash: str
) -> str:
    """The canonical form of a request; ``path`` and ``query`` are canonical already."""
    lines = "".join(f"{name}:{_SPACES.sub(' ', headers.get(name, '').strip())}\n" for name in signed)
    return f"{method}\n{path}\n{query}\n{lines}\n{';'.join(signed)}\n{payload_hash}"


def string_to_sign(time: str, scope: str, canonical: str) -> str:
    """What is signed."""
    return f"{ALGORITHM}\n{time}\n{scope}\n{hashlib.sha256(canonical.encode('utf-8', 'surrogateescape')).hexdigest()}"


def parse(request: Request, credential: Credential) -> Signed:
    """The signature that a request carries."""
    authorization = request.headers.get("authorization")
    if authorization:
        return _parse_header(authorization, credential, request.headers)
    fields = fields_of(request.query)
    if "X-Amz-Signature" in fields or "X-Amz-Algorithm" in fields:
        return _parse_query(fields, credential)
    raise AuthError("missing", "Request is missing Authentication Token")


def _parse_header(authorization: str, credential: Credential, headers: Mapping[str, str]) -> Signed:
    scheme, _, rest = authorization.partition(" ")
    if scheme != ALGORITHM:
        raise AuthError(
            "incomplete",
            f"Unsupported signature algorithm {scheme[:40]!r}: sign with {ALGORITHM} (Signature Version 4).",
        )
    parameters = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    missing = [name for name in ("Credential", "Signature", "SignedHeaders") if not parameters.get(name)]
    time = headers.get("x-amz-date") or _from_date(headers.get("date", ""))
    if missing or not time:
        sentences = [f"Authorization header requires '{name}' parameter." for name in missing]
        if not time:
            sentences.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
        raise AuthError("incomplete", " ".join(sentences))
    _check_credential(credential)
    return Signed(credential, tuple(parameters["SignedHeaders"].lower().split(";")), parameters["Signature"], time)


def _parse_query(fields: Mapping[str, str], credential: Credential) -> Signed:
    needed = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-Date", "X-Amz-SignedHeaders")
    missing = [name for name in needed if not fields.get(name)]
    if missing:
        raise AuthError("incomplete", f"AWS query-string parameters must include {', '.join(missing)}.")
    if fields["X-Amz-Algorithm"] != ALGORITHM:
        raise AuthError("incomplete", f"X-Amz-Algorithm only supports {ALGORITHM}")
    expires = fields.get("X-Amz-Expires", "")
    if not expires.isdecimal() or len(expires) > _DIGITS_AT_MOST or not 0 < int(expires) <= PRESIGNED_SECONDS:
        raise AuthError("incomplete", f"X-Amz-Expires must be between 1 and {PRESIGNED_SECONDS} seconds")
    _check_credential(credential)
    headers = tuple(fields["X-Amz-SignedHeaders"].lower().split(";"))
    return Signed(credential, headers, fields["X-Amz-Signature"], fields["X-Amz-Date"], True, int(expires))


def _check_credential(credential: Credential) -> None:
    if not credential.service or not credential.region:
        raise AuthError(
            "incomplete",
            "Credential must have exactly 5 slash-delimited elements, as in key/20260101/us-east-1/sqs/aws4_request.",
        )


def _from_date(text: str) -> str:
    try:
        return _iso(_ms_of(text, "%a, %d %b %Y %H:%M:%S GMT"))
    except ValueError:
        return text if re.fullmatch(r"\d{8}T\d{6}Z", text) else ""


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime(_ISO)


def _ms_of(text: str, form: str) -> int:
    return int(datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()) * 1000


def signature_of(request: Request, signed: Signed, secret: str) -> str:
    """The signature that the request should carry."""
    credential = signed.credential
    payload = request.headers.get("x-amz-content-sha256")
    if payload is None or signed.presigned:
        payload = payload or (UNSIGNED if credential.service == "s3" and signed.presigned else body_hash(request))
    headers = request.as_signed()
    canonical = canonical_request(
        request.method,
        canonical_path(request.path, credential.service),
        canonical_query(request.query, without="X-Amz-Signature" if signed.presigned else ""),
        headers,
        signed.headers,
        payload,
    )
    key = signing_key(secret, credential.date, credential.region, credential.service)
    return sign(key, string_to_sign(signed.time, signed.scope, canonical))


def body_hash(request: Request) -> str:
    """The hash of a request's body."""
    body = request.body
    if isinstance(body, FileBody):
        return request.content_sha256
    return hashlib.sha256(body).hexdigest()


class ChunkSigner:
    """Verifies the chunks of one aws-chunked body; each signature covers the one before it."""

    def __init__(self, signed: Signed, secret: str) -> None:
        credential = signed.credential
        self._key = signing_key(secret, credential.date, credential.region, credential.service)
        self._time = signed.time
        self._scope = signed.scope
        self._previous = signed.signature

    def _verify(self, kind: str, digest: str, signature: str) -> bool:
        text = f"{ALGORITHM}-{kind}\n{self._time}\n{self._scope}\n{self._previous}\n{digest}"
        expected = sign(self._key, text)
        self._previous = expected
        return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))

    def chunk(self, content_hash: str, signature: str) -> bool:
        """Whether this is the signature of the next chunk, whose content has this hash."""
        return self._verify("PAYLOAD", f"{EMPTY_HASH}\n{content_hash}", signature)

    def trailer(self, text: bytes, signature: str) -> bool:
        """Whether this is the signature of the trailers; ``text`` is "name:value\\n" of each."""
        return self._verify("TRAILER", hashlib.sha256(text).hexdigest(), signature)


class Verifier:
    """Checks signatures. ``secrets`` are access keys from settings, beside those that ``keys`` has issued."""

    def __init__(self, keys: Keys, machine: MachineClock, secrets: Mapping[str, str] | None = None) -> None:
        self._keys = keys
        self._machine = machine
        self._secrets = dict(secrets or {})

    def verify(self, request: Request, credential: Credential, service: str = "") -> None:
        """Raise AuthError when the request is not signed with a key known here, for now, as it arrived.

        ``service`` is the name to sign with for the operation that it reached; "" takes any.
        """
        if credential.service == "s3" and not credential.date and service in ("s3", ""):
            self._verify_version_2(request, credential)
            return
        signed = parse(request, credential)
        if service not in ("", credential.service):
            raise AuthError("scope", f"Credential should be scoped to correct service: '{service}'.")
        secret = self._secret(request, signed)
        self._check_time(signed)
        if "host" not in signed.headers and ":authority" not in signed.headers:
            raise AuthError("mismatch", "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
        expected = signature_of(request, signed, secret)
        if not hmac.compare_digest(expected.encode(), signed.signature.encode("utf-8", "replace")):
            raise AuthError("mismatch", _MISMATCH)
        claimed = request.headers.get("x-amz-content-sha256", "")
        if claimed and not claimed.startswith(_UNHASHED) and claimed != body_hash(request):
            raise AuthError("payload", "The provided 'x-amz-content-sha256' header does not match what was computed.")

    def _verify_version_2(self, request: Request, credential: Credential) -> None:
        fields = fields_of(request.query)
        authorization = request.headers.get("authorization", "")
        signature = fields.get("Signature") or authorization.rpartition(":")[2]
        secret = self._secret(request, Signed(credential, (), signature, "", presigned="Signature" in fields))
        expected = [one.encode() for one in signatures_of(request, secret)]
        if not any(hmac.compare_digest(one, signature.encode("utf-8", "replace")) for one in expected):
            raise AuthError("mismatch", _MISMATCH)
        expires = fields.get("Expires", "")
        expired = not expires.isdecimal() or int(expires[:_DIGITS_AT_MOST]) * 1000 < self._machine.now_ms()
        if "Signature" in fields and expired:
            raise AuthError("late", "Request has expired")

    def chunk_signer(self, request: Request, credential: Credential) -> ChunkSigner:
        """What verifies the chunks of this request's body."""
        signed = parse(request, credential)
        return ChunkSigner(signed, self._secret(request, signed))

    def _secret(self, request: Request, signed: Signed) -> str:
        key = signed.credential.access_key_id
        held = self._keys.find(key)
        if held is None:
            if key in self._secrets:
                return self._secrets[key]
            raise AuthError("unknown", "The security token included in the request is invalid.")
        if held.expires <= self._machine.now_ms():
            raise AuthError("expired", "The security token included in the request is expired")
        if held.session_token:
            token = request.headers.get("x-amz-security-token", "")
            if signed.presigned:
                fields = fields_of(request.query)
                token = fields.get("X-Amz-Security-Token", fields.get("x-amz-security-token", token))
            if not hmac.compare_digest(held.session_token.encode(), token.encode("utf-8", "replace")):
                raise AuthError("token", "The security token included in the request is invalid.")
        return held.secret_access_key

    def _check_time(self, signed: Signed) -> None:
        try:
            at = _ms_of(signed.time, _ISO)
        except ValueError:
            raise AuthError(
                "incomplete",
                f"Date must be in ISO-8601 'basic format'. Got '{signed.time[:40]}'. See"
                " http://en.wikipedia.org/wiki/ISO_8601",
            ) from None
        if signed.time[:8] != signed.credential.date:
            raise AuthError(
                "scope",
                f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP:"
                f" '{signed.credential.date[:20]}' != '{signed.time[:8]}', from '{signed.time}'.",
            )
        now = self._machine.now_ms()
        if signed.presigned:
            if now > at + signed.seconds * 1000:
                raise AuthError("late", "Request has expired")
            earliest = at - SKEW_MS
        else:
            earliest = at - AHEAD_MS if signed.credential.service != "s3" else at - SKEW_MS
            if now > at + SKEW_MS:
                raise AuthError(
                    "skewed",
                    f"Signature expired: {signed.time} is now earlier than {_iso(now - SKEW_MS)}"
                    f" ({_iso(now)} - 15 min.)",
                )
        if now < earliest:
            raise AuthError(
                "skewed",
                f"Signature not yet current: {signed.time} is still later than {_iso(now + AHEAD_MS)}"
                f" ({_iso(now)} + 5 min.)",
            )
