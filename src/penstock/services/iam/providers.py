"""Identity providers, SAML and OpenID Connect: kept. Tokens are taken from any issuer, see the STS page.

Sources: the API Reference of each operation; "IAM and AWS STS quotas" and "Create an OpenID Connect (OIDC) identity
provider in IAM" in the IAM User Guide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from penstock.base.names import Arn
from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.iam import entities
from penstock.services.iam.errors import EntityAlreadyExists, InvalidInput, InvalidValue, LimitExceeded, NoSuchEntity

CLIENT_IDS: Final = 100  # of one OpenID Connect provider
THUMBPRINTS: Final = 5  # of one OpenID Connect provider
VALID_MS: Final = 100 * 365 * 86_400_000  # a SAML provider's, whose metadata does not say how long
_NO_KEYS: Final = "leave it out: assertions are not decrypted here"


@dataclass(slots=True)
class Provider:
    """A row of iam_provider."""

    arn: str
    created: int
    tags: dict[str, str]
    detail: dict[str, Any]


# --- SAML


@operation(
    name="CreateSAMLProvider",
    kept={"Tags"},
    refused={"AssertionEncryptionMode": _NO_KEYS, "AddPrivateKey": _NO_KEYS},
)
def create_saml_provider(cx: Context, request: Request) -> Response:
    """Record a SAML provider."""
    _check_metadata(request["SAMLMetadataDocument"])
    arn = str(Arn("iam", "", cx.account, f"saml-provider/{request['Name']}"))
    detail = {
        "SAMLMetadataDocument": request["SAMLMetadataDocument"],
        "SAMLProviderUUID": "ASDP" + cx.names.text(17, entities.ID_ALPHABET),
    }
    made = _make(cx, "saml", arn, request, detail)
    return {"SAMLProviderArn": arn, **_tags(made)}


@operation(name="GetSAMLProvider")
def get_saml_provider(cx: Context, request: Request) -> Response:
    """A SAML provider with its metadata."""
    found = _find(cx, "saml", request["SAMLProviderArn"])
    return {
        **found.detail,
        "CreateDate": found.created / 1000,
        "ValidUntil": (found.created + VALID_MS) / 1000,
        **_tags(found),
    }


@operation(name="ListSAMLProviders")
def list_saml_providers(cx: Context, request: Request) -> Response:
    """The account's SAML providers."""
    return {
        "SAMLProviderList": [
            {
                "Arn": found.arn,
                "CreateDate": found.created / 1000,
                "ValidUntil": (found.created + VALID_MS) / 1000,
            }
            for found in _every(cx, "saml")
        ]
    }


@operation(
    name="UpdateSAMLProvider",
    refused={"AssertionEncryptionMode": _NO_KEYS, "AddPrivateKey": _NO_KEYS, "RemovePrivateKey": _NO_KEYS},
)
def update_saml_provider(cx: Context, request: Request) -> Response:
    """Give a SAML provider other metadata."""
    found = _find(cx, "saml", request["SAMLProviderArn"])
    if request.get("SAMLMetadataDocument") is not None:
        _check_metadata(request["SAMLMetadataDocument"])
        found.detail["SAMLMetadataDocument"] = request["SAMLMetadataDocument"]
        _save(cx, found)
    return {"SAMLProviderArn": found.arn}


@operation(name="DeleteSAMLProvider")
def delete_saml_provider(cx: Context, request: Request) -> Response:
    """Delete a SAML provider."""
    cx.write("DELETE FROM iam_provider WHERE arn = ?", (_find(cx, "saml", request["SAMLProviderArn"]).arn,))
    return {}


@operation(name="TagSAMLProvider", kept={"Tags"})
def tag_saml_provider(cx: Context, request: Request) -> Response:
    """Add tags to a SAML provider, or change them."""
    return _tag(cx, _find(cx, "saml", request["SAMLProviderArn"]), request)


@operation(name="UntagSAMLProvider")
def untag_saml_provider(cx: Context, request: Request) -> Response:
    """Take tags from a SAML provider."""
    return _untag(cx, _find(cx, "saml", request["SAMLProviderArn"]), request)


@operation(name="ListSAMLProviderTags")
def list_saml_provider_tags(cx: Context, request: Request) -> Response:
    """A SAML provider's tags."""
    return _list_tags(_find(cx, "saml", request["SAMLProviderArn"]), request)


# --- OpenID Connect


@operation(name="CreateOpenIDConnectProvider", kept={"ThumbprintList", "Tags"})
def create_open_id_connect_provider(cx: Context, request: Request) -> Response:
    """Record an OpenID Connect provider. AWS would ask it for its certificate; nobody is asked here."""
    url = urlsplit(request["Url"])
    if url.scheme != "https" or not url.hostname or "." not in url.hostname:
        raise InvalidValue("Invalid Open ID Connect Provider URL: it must begin with https:// and a host's name.")
    clients, thumbprints = request.get("ClientIDList") or [], request.get("ThumbprintList") or []
    _check_thumbprints(thumbprints)
    _check_clients(clients)
    place = url.netloc + url.path.rstrip("/")
    arn = str(Arn("iam", "", cx.account, f"oidc-provider/{place}"))
    made = _make(cx, "oidc", arn, request, {"Url": place, "ClientIDList": clients, "ThumbprintList": thumbprints})
    return {"OpenIDConnectProviderArn": arn, **_tags(made)}


@operation(name="GetOpenIDConnectProvider")
def get_open_id_connect_provider(cx: Context, request: Request) -> Response:
    """An OpenID Connect provider."""
    found = _oidc(cx, request)
    return {**found.detail, "CreateDate": found.created / 1000, **_tags(found)}


@operation(name="ListOpenIDConnectProviders")
def list_open_id_connect_providers(cx: Context, request: Request) -> Response:
    """The account's OpenID Connect providers."""
    return {"OpenIDConnectProviderList": [{"Arn": found.arn} for found in _every(cx, "oidc")]}


@operation(name="UpdateOpenIDConnectProviderThumbprint", kept={"ThumbprintList"})
def update_open_id_connect_provider_thumbprint(cx: Context, request: Request) -> Response:
    """Replace a provider's thumbprints."""
    found = _oidc(cx, request)
    _check_thumbprints(request["ThumbprintList"])
    found.detail["ThumbprintList"] = request["ThumbprintList"]
    _save(cx, found)
    return {}


@operation(name="AddClientIDToOpenIDConnectProvider")
def add_client_id_to_open_id_connect_provider(cx: Context, request: Request) -> Response:
    """Add a client id (audience); a second time changes nothing."""
    found = _oidc(cx, request)
    clients = found.detail["ClientIDList"]
    if request["ClientID"] not in clients:
        _check_clients([*clients, request["ClientID"]])
        clients.append(request["ClientID"])
        _save(cx, found)
    return {}


@operation(name="RemoveClientIDFromOpenIDConnectProvider")
def remove_client_id_from_open_id_connect_provider(cx: Context, request: Request) -> Response:
    """Take a client id; one that is not there is no error."""
    found = _oidc(cx, request)
    found.detail["ClientIDList"] = [each for each in found.detail["ClientIDList"] if each != request["ClientID"]]
    _save(cx, found)
    return {}


@operation(name="DeleteOpenIDConnectProvider")
def delete_open_id_connect_provider(cx: Context, request: Request) -> Response:
    """Delete an OpenID Connect provider; one that is not there is no error."""
    arn = request["OpenIDConnectProviderArn"]
    cx.write("DELETE FROM iam_provider WHERE arn = ? AND account = ? AND kind = 'oidc'", (arn, cx.account))
    return {}


@operation(name="TagOpenIDConnectProvider", kept={"Tags"})
def tag_open_id_connect_provider(cx: Context, request: Request) -> Response:
    """Add tags to an OpenID Connect provider, or change them."""
    return _tag(cx, _oidc(cx, request), request)


@operation(name="UntagOpenIDConnectProvider")
def untag_open_id_connect_provider(cx: Context, request: Request) -> Response:
    """Take tags from an OpenID Connect provider."""
    return _untag(cx, _oidc(cx, request), request)


@operation(name="ListOpenIDConnectProviderTags")
def list_open_id_connect_provider_tags(cx: Context, request: Request) -> Response:
    """An OpenID Connect provider's tags."""
    return _list_tags(_oidc(cx, request), request)


# --- both


def _make(cx: Context, kind: str, arn: str, request: Request, detail: dict[str, Any]) -> Provider:
    if cx.one("SELECT 1 FROM iam_provider WHERE arn = ?", (arn,)) is not None:
        raise EntityAlreadyExists(f"Provider {arn} already exists.")
    made = Provider(arn, cx.now, entities.checked_tags(request.get("Tags") or ()), detail)
    cx.write(
        "INSERT INTO iam_provider VALUES (?,?,?,?,?,?)",
        (arn, cx.account, kind, cx.now, orjson.dumps(made.tags).decode(), orjson.dumps(detail).decode()),
    )
    return made


def _find(cx: Context, kind: str, arn: str) -> Provider:
    for found in _every(cx, kind, arn):
        return found
    if kind == "oidc":
        raise NoSuchEntity(f"OpenIDConnect Provider not found for arn {arn}")
    raise NoSuchEntity(f"Manifest not found for arn {arn}")


def _oidc(cx: Context, request: Request) -> Provider:
    return _find(cx, "oidc", request["OpenIDConnectProviderArn"])


def _every(cx: Context, kind: str, arn: str | None = None) -> list[Provider]:
    rows = cx.all(
        "SELECT arn, created, tags, detail FROM iam_provider WHERE account = ? AND kind = ? AND coalesce(?, arn) = arn "
        "ORDER BY arn",
        (cx.account, kind, arn),
    )
    return [Provider(row[0], row[1], orjson.loads(row[2]), orjson.loads(row[3])) for row in rows]


def _save(cx: Context, provider: Provider) -> None:
    cx.write(
        "UPDATE iam_provider SET tags = ?, detail = ? WHERE arn = ?",
        (orjson.dumps(provider.tags).decode(), orjson.dumps(provider.detail).decode(), provider.arn),
    )


def _tags(provider: Provider) -> dict[str, Any]:
    return {"Tags": entities.tag_list(provider.tags)} if provider.tags else {}


def _tag(cx: Context, provider: Provider, request: Request) -> Response:
    provider.tags = entities.checked_tags(request["Tags"], provider.tags)
    _save(cx, provider)
    return {}


def _untag(cx: Context, provider: Provider, request: Request) -> Response:
    provider.tags = {key: value for key, value in provider.tags.items() if key not in request["TagKeys"]}
    _save(cx, provider)
    return {}


def _list_tags(provider: Provider, request: Request) -> Response:
    return entities.page(request, "Tags", [(each["Key"], each) for each in entities.tag_list(provider.tags)])


def _check_metadata(document: str) -> None:
    """AWS parses the metadata; here it has to look like it."""
    if not re.search(r"<(\w+:)?EntityDescriptor[\s>]", document):
        raise InvalidInput("Could not parse metadata: pass a SAML metadata document, which has an EntityDescriptor.")


def _check_thumbprints(thumbprints: list[str]) -> None:
    if len(thumbprints) > THUMBPRINTS:
        raise InvalidInput(f"Thumbprint list must contain fewer than {THUMBPRINTS} entries.")


def _check_clients(clients: list[str]) -> None:
    if len(clients) > CLIENT_IDS:
        raise LimitExceeded(f"Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {CLIENT_IDS}")
