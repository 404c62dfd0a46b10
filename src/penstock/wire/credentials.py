"""Who signed a request, as far as it says so itself: the credential of a header, a query string or neither.

Verification is in ``signature``; this is done for every request, to know account, region and service.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote


class Credential(NamedTuple):
    """A credential's scope. Empty strings where the request did not say."""

    access_key_id: str = ""
    date: str = ""
    region: str = ""
    service: str = ""


NOBODY = Credential()


@lru_cache(maxsize=4096)
def parse_credential(text: str) -> Credential:
    """A credential as SigV4 writes it: key/date/region/service/aws4_request; SigV2 has the key alone."""
    parts = text.strip().split("/")
    if len(parts) == 4 and parts[-1] == "aws4_request":
        return Credential(parts[0], parts[1], "", parts[2])  # SigV4A names its regions in a header of their own
    if len(parts) < 5 or parts[-1] != "aws4_request":
        return Credential(parts[0]) if len(parts) == 1 else NOBODY
    # An access key id may contain slashes itself; what follows it may not.
    return Credential("/".join(parts[:-4]), parts[-4], parts[-3], parts[-2])


def credential_of(authorization: str | None, query: str) -> Credential:
    """The credential of an Authorization header, or of a presigned URL's query string.

    Signature Version 2 has no scope: only S3 still takes it.
    """
    if authorization:
        start = authorization.find("Credential=")
        if start >= 0:
            end = authorization.find(",", start)
            return parse_credential(authorization[start + 11 : end if end >= 0 else None])
        if authorization.startswith("AWS "):
            return Credential(authorization[4:].partition(":")[0], service="s3")
        return NOBODY
    if query and ("X-Amz-Credential=" in query or "AWSAccessKeyId=" in query):
        for field in query.split("&"):
            name, _, value = field.partition("=")
            if name == "X-Amz-Credential":
                return parse_credential(unquote(value))
            if name == "AWSAccessKeyId":
                return Credential(unquote(value), service="s3")
    return NOBODY
