"""Signatures that botocore makes are accepted, and those it would not make are refused in AWS's words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from penstock.base.clock import MachineClock
from penstock.engine.access import Credentials, Keys, root
from penstock.wire.auth import refusal
from penstock.wire.chunked import ChunkedBody
from penstock.wire.credentials import Credential, credential_of
from penstock.wire.signature import (
    EMPTY_HASH,
    AuthError,
    ChunkSigner,
    Signed,
    Verifier,
    canonical_path,
    canonical_query,
    sign,
    signing_key,
)
from penstock.wire.values import Request

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


class SetClock(MachineClock):
    """A machine's clock that stands where it is put."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now_ms(self) -> int:
        return int(self.moment.timestamp() * 1000)


@pytest.fixture
def clock() -> SetClock:
    return SetClock(datetime.now(UTC))


@pytest.fixture
def keys() -> Iterator[Keys]:
    yield Keys()


@pytest.fixture
def verifier(keys: Keys, clock: SetClock) -> Verifier:
    return Verifier(keys, clock, {"AKIDEXAMPLE": SECRET})


def signed_by(
    auth: type[Any], method: str, url: str, body: bytes = b"", headers: dict[str, str] | None = None,
    service: str = "sqs", secret: str = SECRET, token: str | None = None, **options: Any,
) -> Request:  # fmt: skip
    request = AWSRequest(method, url, headers or {}, body)
    request.context["client_config"] = None
    auth(BotoCredentials("AKIDEXAMPLE", secret, token), service, "eu-west-1", **options).add_auth(request)
    prepared = request.prepare()
    parts = urlsplit(prepared.url)
    names = {
        name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in prepared.headers.items()
    }
    names.setdefault("host", parts.netloc)
    return Request(method, parts.path, parts.query, names, body, parts.netloc)


def credential(request: Request) -> Credential:
    return credential_of(request.headers.get("authorization"), request.query)


def refused(verifier: Verifier, request: Request) -> AuthError:
    with pytest.raises(AuthError) as raised:
        verifier.verify(request, credential(request))
    return raised.value


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/", ""),
        ("/a/b%20c/%C3%A9", ""),
        ("//a/../b/./c", ""),
        ("/x/", "b=2&a=1&a=0"),
        ("/", "k=%2F%2B%20&empty&z=%C3%A9"),
    ],
)
def test_a_header_signature_of_botocore_is_accepted(verifier: Verifier, path: str, query: str) -> None:
    url = f"http://localhost:4566{path}" + (f"?{query}" if query else "")
    request = signed_by(
        SigV4Auth, "POST", url, b'{"a": 1}', {"X-Amz-Target": "AmazonSQS.SendMessage", "X-Odd": " a   b "}
    )
    verifier.verify(request, credential(request))


def test_s3_signs_its_path_once_and_its_body_by_header(verifier: Verifier) -> None:
    request = signed_by(S3SigV4Auth, "PUT", "http://localhost:4566/bucket/a%20b//c/../d%2B", b"content", service="s3")
    verifier.verify(request, credential(request))
    request.body = b"something else"
    assert refused(verifier, request).kind == "payload"


@pytest.mark.parametrize(("auth", "service"), [(SigV4QueryAuth, "sts"), (S3SigV4QueryAuth, "s3")])
def test_a_presigned_url_holds_until_it_expires(
    verifier: Verifier, clock: SetClock, auth: type[Any], service: str
) -> None:
    request = signed_by(auth, "GET", "http://localhost:4566/b/k?x=1", service=service, expires=60)
    verifier.verify(request, credential(request))
    clock.moment += timedelta(seconds=62)
    late = refused(verifier, request)
    assert late.message == "Request has expired"
    assert refusal(late, "rest-xml").code == "AccessDenied"


def test_a_changed_request_is_refused_as_each_protocol_says_it(verifier: Verifier) -> None:
    request = signed_by(SigV4Auth, "POST", "http://localhost:4566/", b"{}")
    request.body = b'{"QueueName": "another"}'
    error = refused(verifier, request)
    assert (refusal(error, "json-1.0").code, refusal(error, "json-1.0").status) == ("InvalidSignatureException", 403)
    assert refusal(error, "query").code == "SignatureDoesNotMatch"
    assert refusal(error, "rest-xml").code == "SignatureDoesNotMatch"
    assert "does not match the signature you provided" in refusal(error, "query").message


def test_a_wrong_secret_or_an_unknown_key_is_refused(verifier: Verifier) -> None:
    assert refused(verifier, signed_by(SigV4Auth, "POST", "http://h/", secret="other")).kind == "mismatch"
    request = signed_by(SigV4Auth, "POST", "http://h/")
    request.headers["authorization"] = request.headers["authorization"].replace("AKIDEXAMPLE", "AKIDNOBODY")
    error = refused(verifier, request)
    assert refusal(error, "query").code == "InvalidClientTokenId"
    assert refusal(error, "json-1.1").code == "UnrecognizedClientException"
    assert refusal(error, "rest-xml").code == "InvalidAccessKeyId"


def test_a_request_without_a_signature_is_refused(verifier: Verifier) -> None:
    error = refused(verifier, Request("GET", "/", host="localhost"))
    assert error.message == "Request is missing Authentication Token"
    assert refusal(error, "query").code == "MissingAuthenticationToken"


def test_an_incomplete_header_says_what_is_missing(verifier: Verifier) -> None:
    request = Request("GET", "/", headers={"authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/r/s/aws4_request"})
    error = refused(verifier, request)
    assert "Authorization header requires 'Signature' parameter." in error.message
    assert "'X-Amz-Date' or a 'Date' header" in error.message


def test_a_signature_from_too_long_ago_or_too_far_ahead_is_refused(verifier: Verifier, clock: SetClock) -> None:
    request = signed_by(SigV4Auth, "POST", "http://h/")
    now = clock.moment
    clock.moment = now + timedelta(minutes=16)
    assert refused(verifier, request).message.startswith(f"Signature expired: {request.headers['x-amz-date']} is now")
    clock.moment = now - timedelta(minutes=6)
    assert refused(verifier, request).message.startswith("Signature not yet current: ")
    clock.moment = now + timedelta(minutes=14)
    verifier.verify(request, credential(request))


def test_temporary_credentials_need_their_token(verifier: Verifier, keys: Keys, clock: SetClock) -> None:
    expires = clock.now_ms() + 60_000
    keys.issue(Credentials("AKIDEXAMPLE", "temporary-secret", "the-token", expires, root("000000000000")))
    good = signed_by(SigV4Auth, "POST", "http://h/", secret="temporary-secret", token="the-token")
    verifier.verify(good, credential(good))
    assert refused(verifier, signed_by(SigV4Auth, "POST", "http://h/", secret="temporary-secret")).kind == "token"
    presigned = signed_by(
        SigV4QueryAuth, "GET", "http://h/?a=b", secret="temporary-secret", token="the-token", service="sts"
    )
    verifier.verify(presigned, credential(presigned))
    clock.moment += timedelta(minutes=2)
    assert refusal(refused(verifier, good), "json-1.0").code == "ExpiredTokenException"


def test_the_host_must_be_signed(verifier: Verifier) -> None:
    request = signed_by(SigV4Auth, "POST", "http://h/")
    request.headers["authorization"] = request.headers["authorization"].replace("host;", "")
    assert "'Host'" in refused(verifier, request).message


def test_paths_and_queries_are_canonical() -> None:
    assert canonical_path("/a b", "s3") == "/a%20b"
    assert canonical_path("/a%20b/../c/", "sqs") == "/c/"
    assert canonical_path("", "sqs") == "/"
    assert canonical_query("b=2&a=x+y&a=%7E&c") == "a=x%20y&a=~&b=2&c="


# --- aws-chunked, with the example of "Signature Calculations for the Authorization Header: Transferring Payload in
# Multiple Chunks" in the Amazon S3 API Reference

DOCUMENTED = Signed(
    Credential("AKIAIOSFODNN7EXAMPLE", "20130524", "us-east-1", "s3"),
    (),
    "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
    "20130524T000000Z",
)
DOCUMENTED_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
DOCUMENTED_BODY = (
    b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + b"a" * 65536
    + b"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + b"a" * 1024
    + b"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
)  # fmt: skip


@pytest.mark.parametrize("piece", [1 << 20, 1000, 7])
def test_the_documented_chunked_upload_is_accepted_in_pieces_of_any_size(piece: int) -> None:
    body = ChunkedBody("", 66560, ChunkSigner(DOCUMENTED, DOCUMENTED_SECRET))
    content = b"".join(
        part for at in range(0, len(DOCUMENTED_BODY), piece) for part in body.feed(DOCUMENTED_BODY[at : at + piece])
    )
    body.finish()
    assert body.error is None
    assert content == b"a" * 66560


def test_a_changed_chunk_is_refused_when_it_passes() -> None:
    body = ChunkedBody("", 66560, ChunkSigner(DOCUMENTED, DOCUMENTED_SECRET))
    body.feed(DOCUMENTED_BODY.replace(b"aaaa\r\n400", b"aaab\r\n400"))
    assert body.error is not None
    assert body.error.code == "SignatureDoesNotMatch"


def test_trailers_are_verified_and_become_headers() -> None:
    good = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
    body = ChunkedBody("x-amz-checksum-crc32", 5, None)
    assert b"".join(body.feed(good)) == b"hello"
    body.finish()
    assert body.error is None
    assert body.trailers == {"x-amz-checksum-crc32": "NhCmhg=="}
    for bad, code in (
        (good.replace(b"NhCm", b"AAAA"), "BadDigest"),
        (good.replace(b"x-amz-checksum-crc32", b"x-other"), "InvalidRequest"),
        (good[:12], "IncompleteBody"),
        (good.replace(b"5\r\nhello", b"4\r\nhell"), "BadDigest"),
        (b"zz\r\nhello", "InvalidRequest"),
        (b"-5\r\nhello", "InvalidRequest"),
        (b"5\r\nhelloworld\r\n0\r\n\r\n", "InvalidRequest"),
    ):
        body = ChunkedBody("x-amz-checksum-crc32", 5, None)
        body.feed(bad)
        body.finish()
        assert body.error is not None and body.error.code == code, bad


def test_signed_trailers_need_their_signature() -> None:
    signer = ChunkSigner(DOCUMENTED, DOCUMENTED_SECRET)
    key = signing_key(DOCUMENTED_SECRET, "20130524", "us-east-1", "s3")

    def chain(kind: str, previous: str, rest: str) -> str:
        return sign(key, f"AWS4-HMAC-SHA256-{kind}\n{DOCUMENTED.time}\n{DOCUMENTED.scope}\n{previous}\n{rest}")

    first = chain("PAYLOAD", DOCUMENTED.signature, f"{EMPTY_HASH}\n{hashlib.sha256(b'hello').hexdigest()}")
    last = chain("PAYLOAD", first, f"{EMPTY_HASH}\n{EMPTY_HASH}")
    trailer = chain("TRAILER", last, hashlib.sha256(b"x-amz-checksum-crc32:NhCmhg==\n").hexdigest())
    head = f"5;chunk-signature={first}\r\nhello\r\n0;chunk-signature={last}\r\nx-amz-checksum-crc32:NhCmhg==\r\n"
    body = ChunkedBody("x-amz-checksum-crc32", 5, signer)
    body.feed(f"{head}x-amz-trailer-signature:{trailer}\r\n\r\n".encode())
    body.finish()
    assert body.error is None
    for bad in (f"{head}\r\n", f"{head}x-amz-trailer-signature:{first}\r\n\r\n"):
        body = ChunkedBody("x-amz-checksum-crc32", 5, ChunkSigner(DOCUMENTED, DOCUMENTED_SECRET))
        body.feed(bad.encode())
        body.finish()
        assert body.error is not None and body.error.code == "SignatureDoesNotMatch"


def test_a_signature_for_another_service_is_refused(verifier: Verifier) -> None:
    request = signed_by(SigV4Auth, "POST", "http://localhost/", b"{}", service="lambda")
    verifier.verify(request, credential(request), "lambda")
    with pytest.raises(AuthError, match="Credential should be scoped to correct service: 'sqs'") as raised:
        verifier.verify(request, credential(request), "sqs")
    assert refusal(raised.value, "json").code == "InvalidSignatureException"
    assert refusal(raised.value, "query").code == "SignatureDoesNotMatch"


def test_a_life_of_any_number_of_digits_is_refused_as_one_that_is_too_long(verifier: Verifier) -> None:
    request = signed_by(SigV4QueryAuth, "GET", "http://localhost/?Action=ListQueues")
    request.query = request.query.replace("X-Amz-Expires=3600", "X-Amz-Expires=" + "9" * 5000)
    assert refused(verifier, request).kind == "incomplete"


@pytest.mark.parametrize("claimed", ["foo", hashlib.sha256(b"{}").hexdigest().upper()])
def test_a_hash_of_the_body_that_is_none_is_refused(verifier: Verifier, claimed: str) -> None:
    request = signed_by(SigV4Auth, "POST", "http://localhost/", b"{}", {"X-Amz-Content-SHA256": claimed})
    assert refused(verifier, request).kind == "payload"
