"""Sessions: who calls, and keys for somebody to call as somebody else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson

from penstock.base.errors import ApiError
from penstock.base.names import Arn
from penstock.engine.access import Credentials, Principal
from penstock.engine.context import Context, Parts
from penstock.engine.operation import Request, Response, operation
from penstock.services.sts import rules
from penstock.services.sts.errors import AccessDenied

_INSERT = (
    "INSERT INTO sts_session (access_key_id, account, secret, token, issued, expires, arn, user_id, role, detail) "
    "VALUES (?,?,?,?,?,?,?,?,?,?)"
)
_NO_MFA = "leave it out: there are no MFA devices here"
_KEPT = {"Policy", "PolicyArns", "Tags"}
_TOKEN_BEGINS = "FQoGZXIvYXdzE"
_TOKEN_CHARACTERS = 356  # of a session token, unless more are asked for; AWS tells no size
_KEPT_MS = 86_400_000  # machine ms that a session is remembered after it has expired
_LATEST_ROLE_SECONDS = 43_200  # MaxSessionDuration that is assumed of a role which does not exist here


@operation
def get_caller_identity(cx: Context, request: Request) -> Response:
    """Who calls: the owner of an account, a user, a role's session or a federated user."""
    principal = cx.principal
    return {"UserId": principal.user_id, "Account": principal.account, "Arn": principal.arn}


@operation
def get_access_key_info(cx: Context, request: Request) -> Response:
    """The account a key works in: its issuer's, else the default account's, as every unknown key does here."""
    return {"Account": cx.parts.keys.principal(request["AccessKeyId"]).account}


@operation(
    kept=_KEPT | {"TransitiveTagKeys", "ExternalId"},
    refused={
        "SerialNumber": _NO_MFA,
        "TokenCode": _NO_MFA,
        "ProvidedContexts": "leave it out: there is no IAM Identity Center here",
    },
)
def assume_role(cx: Context, request: Request) -> Response:
    """Issue a key that calls as a role.

    The role need not exist and its trust policy is not asked, until IAM is enforced; the duration of one that exists
    is held to its MaxSessionDuration.
    """
    chained = cx.principal.role is not None
    principal, maximum = _session_of(cx, request["RoleArn"], request["RoleSessionName"])
    seconds = rules.role_seconds(request.get("DurationSeconds"), maximum, chained=chained)
    source = request.get("SourceIdentity")
    earlier = _source_identity(cx)
    if earlier is not None and source not in (None, earlier):
        raise AccessDenied(
            f"User: {cx.principal.arn} is not authorized to perform: sts:SetSourceIdentity: "
            f"its session has the source identity {earlier}, which cannot be changed"
        )
    source = source or earlier
    answer = _issue(cx, principal, seconds, request, source_identity=source)
    answer["AssumedRoleUser"] = {"AssumedRoleId": principal.user_id, "Arn": principal.arn}
    if source is not None:
        answer["SourceIdentity"] = source
    return answer


@operation(
    kept={"Policy", "PolicyArns"},
    refused={
        "ProviderId": "leave it out and pass an OpenID Connect ID token: OAuth 2.0 providers cannot be asked here"
    },
)
def assume_role_with_web_identity(cx: Context, request: Request) -> Response:
    """Issue a key that calls as a role to whoever holds an OpenID Connect token.

    The token's claims and expiry are read; its signature is not checked.
    """
    claims = rules.web_identity(request["WebIdentityToken"], cx.parts.machine.now_ms())
    principal, maximum = _session_of(cx, request["RoleArn"], request["RoleSessionName"])
    seconds = rules.role_seconds(request.get("DurationSeconds"), maximum, chained=False)
    audience = claims.get("aud")
    answer = _issue(cx, principal, seconds, request)
    answer["AssumedRoleUser"] = {"AssumedRoleId": principal.user_id, "Arn": principal.arn}
    answer["SubjectFromWebIdentityToken"] = claims["sub"]
    answer["Provider"] = claims["iss"]
    if audience:
        answer["Audience"] = audience if isinstance(audience, str) else str(audience[0])
    return answer


@operation(refused={"SerialNumber": _NO_MFA, "TokenCode": _NO_MFA})
def get_session_token(cx: Context, request: Request) -> Response:
    """Issue a temporary key for the caller itself, who must not hold one already."""
    _refuse_sessions(cx, "GetSessionToken")
    seconds = rules.user_seconds(request.get("DurationSeconds"), owner=cx.principal.arn.endswith(":root"))
    return _issue(cx, replace(cx.principal, run=None), seconds, request)


@operation(kept=_KEPT)
def get_federation_token(cx: Context, request: Request) -> Response:
    """Issue a temporary key for a federated user, named by the caller."""
    _refuse_sessions(cx, "GetFederationToken")
    seconds = rules.user_seconds(request.get("DurationSeconds"), owner=cx.principal.arn.endswith(":root"))
    name, account = request["Name"], cx.principal.account
    principal = Principal(account, str(Arn("sts", "", account, f"federated-user/{name}")), f"{account}:{name}")
    answer = _issue(cx, principal, seconds, request)
    answer["FederatedUser"] = {"FederatedUserId": principal.user_id, "Arn": principal.arn}
    return answer


def _session_of(cx: Context, role_arn: str, session: str) -> tuple[Principal, int]:
    """Who a role's session is, and for how many seconds the role may be assumed."""
    account, name = rules.role_of(role_arn)
    role_id, maximum = rules.unique_id("AROA", role_arn), _LATEST_ROLE_SECONDS
    try:
        role = cx.call("iam", "GetRole", {"RoleName": name}, account=account)["Role"]
    except ApiError as error:
        if not error.code.startswith("NoSuchEntity"):
            raise
    else:
        if role["Arn"] == role_arn:
            role_id, maximum = role["RoleId"], role["MaxSessionDuration"]
    arn = str(Arn("sts", "", account, f"assumed-role/{name}/{session}"))
    return Principal(account, arn, f"{role_id}:{session}", role_arn), maximum


def _issue(
    cx: Context, principal: Principal, seconds: int, request: Request, *, source_identity: str | None = None
) -> dict[str, Any]:
    """Record a new key, make it work once the record is durable, and answer with it."""
    packed = rules.packed_size(request)
    now = cx.parts.machine.now_ms()
    issued = Credentials(
        access_key_id="ASIA" + cx.names.text(16, rules.KEY_ALPHABET),
        secret_access_key=cx.names.secret(40),
        session_token=_token(cx, request.get("MinimumSessionTokenSize") or 0),
        expires=(now // 1000 + seconds) * 1000,
        principal=principal,
    )
    kept = ("Policy", "PolicyArns", "Tags", "TransitiveTagKeys", "ExternalId")
    detail = {name: request[name] for name in kept if request.get(name)}
    if source_identity is not None:
        detail["SourceIdentity"] = source_identity
    _forget_expired(cx, principal.account, now)
    cx.write(
        _INSERT,
        (
            issued.access_key_id, principal.account, issued.secret_access_key, issued.session_token, now,
            issued.expires, principal.arn, principal.user_id, principal.role, orjson.dumps(detail).decode(),
        ),
    )  # fmt: skip
    cx.after(lambda: cx.parts.keys.issue(issued))
    size = len(issued.session_token)
    answer: dict[str, Any] = {
        "Credentials": {
            "AccessKeyId": issued.access_key_id,
            "SecretAccessKey": issued.secret_access_key,
            "SessionToken": issued.session_token,
            "Expiration": issued.expires / 1000,
        },
        "SessionTokenSize": size,
        "SessionTokenUtilization": -(-100 * size // rules.TOKEN_BYTES),
    }
    if packed is not None:
        answer["PackedPolicySize"] = packed
    return answer


def _forget_expired(cx: Context, account: str, now: int) -> None:
    """Drop the account's sessions that ended a day ago: until then calls with them hear that they have expired."""
    gone = cx.tx.returning(
        "DELETE FROM sts_session WHERE account = ? AND expires <= ? RETURNING access_key_id", (account, now - _KEPT_MS)
    )
    keys = cx.parts.keys
    for (key,) in gone:
        cx.after(lambda key=key: keys.revoke(key))  # type: ignore[misc]


def _token(cx: Context, at_least: int) -> str:
    """An opaque token that begins as some of AWS's have begun."""
    return _TOKEN_BEGINS + cx.names.secret(max(at_least, _TOKEN_CHARACTERS) - len(_TOKEN_BEGINS))


def _source_identity(cx: Context) -> str | None:
    """The source identity of the caller's own session: it stays with every role assumed from it."""
    if cx.principal.role is None:
        return None
    row = cx.one("SELECT detail FROM sts_session WHERE arn = ? ORDER BY issued DESC LIMIT 1", (cx.principal.arn,))
    return orjson.loads(row[0]).get("SourceIdentity") if row else None


def _refuse_sessions(cx: Context, operation_name: str) -> None:
    if not cx.principal.arn.startswith("arn:aws:iam::"):
        raise AccessDenied(f"Cannot call {operation_name} with session credentials: use a user's key or an account's.")


def start(parts: Parts) -> None:
    """Make the keys of earlier servers work again; those that have expired are known as such."""

    def load(tx: Any) -> None:
        rows = tx.all("SELECT access_key_id, secret, token, expires, account, arn, user_id, role FROM sts_session")
        # Not in ``after``: these rows are durable already, and the first request may come before the next sync.
        for key, secret, token, expires, account, arn, user_id, role in rows:
            parts.keys.issue(Credentials(key, secret, token, expires, Principal(account, arn, user_id, role)))

    parts.store.submit(load)


def reset(cx: Context, account: str | None) -> None:
    """Forget every session of an account."""
    if account is None:
        cx.write("DELETE FROM sts_session")
    else:
        cx.write("DELETE FROM sts_session WHERE account = ?", (account,))
