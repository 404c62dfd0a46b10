"""Users, and their access keys, which work."""

from __future__ import annotations

from typing import Any, Final

from penstock.engine.access import Credentials, Principal, root
from penstock.engine.context import Context, Parts
from penstock.engine.operation import Request, Response, operation
from penstock.services.iam import entities, permissions
from penstock.services.iam.entities import Entity, described_user, find
from penstock.services.iam.errors import DeleteConflict, InvalidInput, InvalidValue, LimitExceeded, NoSuchEntity

ACCESS_KEYS: Final = 2  # of one user
_NEVER: Final = 1 << 53  # machine ms: when a user's key expires
_MUST_SAY = "Must specify userName when calling with non-User credentials"


@operation(kept={"PermissionsBoundary", "Tags"})
def create_user(cx: Context, request: Request) -> Response:
    """Make a user."""
    permissions.check_name(request["UserName"])
    boundary = permissions.check_boundary(cx, request.get("PermissionsBoundary"))
    user = entities.make(cx, "user", request["UserName"], request, {"PermissionsBoundary": boundary})
    return {"User": described_user(user)}


@operation
def get_user(cx: Context, request: Request) -> Response:
    """A user: the caller, where the request names none."""
    name = request.get("UserName")
    if name is None:
        name = caller_name(cx)
        if name is None:
            principal = cx.principal
            if not principal.arn.endswith(":root"):
                raise InvalidValue(_MUST_SAY)
            owner = {"Path": "/", "UserId": principal.account, "Arn": principal.arn, "CreateDate": 0.0}
            return {"User": owner | {"UserName": principal.account}}
    return {"User": described_user(find(cx, "user", name))}


@operation
def list_users(cx: Context, request: Request) -> Response:
    """The account's users."""
    found = entities.every(cx, "user", request.get("PathPrefix"))
    return entities.page(request, "Users", [(user.name, described_user(user, listed=True)) for user in found])


@operation
def update_user(cx: Context, request: Request) -> Response:
    """Give a user another name or path."""
    user = find(cx, "user", request["UserName"])
    if request.get("NewUserName") is not None:
        permissions.check_name(request["NewUserName"])
    entities.rename(cx, user, request.get("NewUserName"), request.get("NewPath"))
    for credentials in _credentials(cx.tx, "WHERE k.owner = ? AND k.active = 1", (user.id,)):
        _issue(cx, credentials)
    return {}


@operation
def delete_user(cx: Context, request: Request) -> Response:
    """Delete a user without keys, policies and groups."""
    user = find(cx, "user", request["UserName"])
    if cx.one("SELECT 1 FROM iam_access_key WHERE owner = ?", (user.id,)) is not None:
        raise DeleteConflict("Cannot delete entity, must delete access keys first.")
    if cx.one("SELECT 1 FROM iam_login WHERE owner = ?", (user.id,)) is not None:
        raise DeleteConflict("Cannot delete entity, must delete login profile first.")
    return permissions.delete_entity(cx, user)


@operation
def create_access_key(cx: Context, request: Request) -> Response:
    """Issue a key that calls as a user, or as the account's owner where the owner asks for one of its own."""
    owner, name = _owner(cx, request)
    count = cx.one("SELECT count(*) FROM iam_access_key WHERE owner = ?", (owner,))
    if count is not None and count[0] >= ACCESS_KEYS:
        raise LimitExceeded(f"Cannot exceed quota for AccessKeysPerUser: {ACCESS_KEYS}")
    key, secret = "AKIA" + cx.names.text(16, entities.ID_ALPHABET), cx.names.secret(40)
    cx.write(
        "INSERT INTO iam_access_key (id, owner, account, secret, active, created) VALUES (?,?,?,?,1,?)",
        (key, owner, cx.account, secret, cx.now),
    )
    for credentials in _credentials(cx.tx, "WHERE k.id = ?", (key,)):
        _issue(cx, credentials)
    return {
        "AccessKey": {
            "UserName": name,
            "AccessKeyId": key,
            "Status": "Active",
            "SecretAccessKey": secret,
            "CreateDate": cx.now / 1000,
        }
    }


@operation
def list_access_keys(cx: Context, request: Request) -> Response:
    """The keys of a user, without their secrets."""
    owner, name = _owner(cx, request)
    rows = cx.all("SELECT id, active, created FROM iam_access_key WHERE owner = ? ORDER BY id", (owner,))
    items = [
        (
            key,
            {
                "UserName": name,
                "AccessKeyId": key,
                "Status": "Active" if active else "Inactive",
                "CreateDate": created / 1000,
            },
        )
        for key, active, created in rows
    ]
    return entities.page(request, "AccessKeyMetadata", items)


@operation
def update_access_key(cx: Context, request: Request) -> Response:
    """Let a key work, or not."""
    owner, _ = _owner(cx, request)
    key = _key(cx, owner, request)
    if request["Status"] not in ("Active", "Inactive"):
        raise InvalidInput(f"A key cannot be made {request['Status']}: use Active or Inactive.")
    active = request["Status"] == "Active"
    cx.write("UPDATE iam_access_key SET active = ? WHERE id = ?", (int(active), key))
    if not active:
        _revoke(cx, key)
    for credentials in _credentials(cx.tx, "WHERE k.id = ? AND k.active = 1", (key,)):
        _issue(cx, credentials)
    return {}


@operation
def delete_access_key(cx: Context, request: Request) -> Response:
    """Delete a key: calls with it are nobody's from now on."""
    owner, _ = _owner(cx, request)
    key = _key(cx, owner, request)
    cx.write("DELETE FROM iam_access_key WHERE id = ?", (key,))
    _revoke(cx, key)
    return {}


@operation(kept={"PermissionsBoundary"})
def put_user_permissions_boundary(cx: Context, request: Request) -> Response:
    """Set the managed policy that bounds a user."""
    return permissions.put_boundary(cx, "user", request)


@operation
def delete_user_permissions_boundary(cx: Context, request: Request) -> Response:
    """Unset the managed policy that bounds a user."""
    return permissions.delete_boundary(cx, "user", request)


@operation(kept={"PolicyDocument"})
def put_user_policy(cx: Context, request: Request) -> Response:
    """Write a policy inside a user."""
    return permissions.put_inline(cx, "user", request)


@operation
def get_user_policy(cx: Context, request: Request) -> Response:
    """A policy inside a user."""
    return permissions.get_inline(cx, "user", request)


@operation
def delete_user_policy(cx: Context, request: Request) -> Response:
    """Remove a policy from inside a user."""
    return permissions.delete_inline(cx, "user", request)


@operation
def list_user_policies(cx: Context, request: Request) -> Response:
    """The names of the policies inside a user."""
    return permissions.list_inline(cx, "user", request)


@operation
def attach_user_policy(cx: Context, request: Request) -> Response:
    """Attach a managed policy to a user."""
    return permissions.attach(cx, "user", request)


@operation
def detach_user_policy(cx: Context, request: Request) -> Response:
    """Detach a managed policy from a user."""
    return permissions.detach(cx, "user", request)


@operation
def list_attached_user_policies(cx: Context, request: Request) -> Response:
    """The managed policies attached to a user."""
    return permissions.list_attached(cx, "user", request)


@operation(kept={"Tags"})
def tag_user(cx: Context, request: Request) -> Response:
    """Add tags to a user, or change them."""
    return permissions.tag(cx, find(cx, "user", request["UserName"]), request)


@operation
def untag_user(cx: Context, request: Request) -> Response:
    """Take tags from a user."""
    return permissions.untag(cx, find(cx, "user", request["UserName"]), request)


@operation
def list_user_tags(cx: Context, request: Request) -> Response:
    """A user's tags."""
    return permissions.list_tags(find(cx, "user", request["UserName"]), request)


def start(parts: Parts) -> None:
    """Make the active keys of earlier servers work again, and refuse the inactive ones."""

    def load(tx: Any) -> None:
        # Not in ``after``: these rows are durable already, and the first request may come before the next sync.
        for credentials in _credentials(tx, "WHERE k.active = 1", ()):
            parts.keys.issue(credentials)
        for (key,) in tx.all("SELECT id FROM iam_access_key WHERE active = 0"):
            parts.keys.revoke(key)

    parts.store.submit(load)


def reset(cx: Context, account: str | None) -> None:
    """Forget an account's roles, users, groups, policies and keys."""
    owned = "SELECT id FROM iam_entity" + ("" if account is None else " WHERE account = ?")
    policies = "SELECT arn FROM iam_policy" + ("" if account is None else " WHERE account = ?")
    parameters = () if account is None else (account,)
    for table, column, among in (
        ("iam_inline", "owner", owned),
        ("iam_attachment", "owner", owned),
        ("iam_member", "container", owned),
        ("iam_policy_version", "policy", policies),
    ):
        cx.write(f"DELETE FROM {table} WHERE {column} IN ({among})", parameters)
    for table in ("iam_access_key", "iam_policy", "iam_entity", "iam_account", "iam_login", "iam_provider"):
        cx.write(f"DELETE FROM {table}" + ("" if account is None else " WHERE account = ?"), parameters)


def caller_name(cx: Context) -> str | None:
    """The name of the user who calls, or None."""
    head, _, resource = cx.principal.arn.partition(":user/")
    return resource.rpartition("/")[2] if head.startswith("arn:aws:iam:") and resource else None


def _owner(cx: Context, request: Request) -> tuple[str, str]:
    """Whose keys a request is about: iam_access_key.owner, and the name in answers."""
    name = request.get("UserName") or caller_name(cx)
    if name is None:
        if not cx.principal.arn.endswith(":root"):
            raise InvalidValue(_MUST_SAY)
        return f"root:{cx.account}", cx.account
    user: Entity = find(cx, "user", name)
    return user.id, user.name


def _key(cx: Context, owner: str, request: Request) -> str:
    key: str = request["AccessKeyId"]
    if cx.one("SELECT 1 FROM iam_access_key WHERE id = ? AND owner = ?", (key, owner)) is None:
        raise NoSuchEntity(f"The Access Key with id {key} cannot be found.")
    return key


def _credentials(tx: Any, where: str, parameters: tuple[Any, ...]) -> list[Credentials]:
    rows = tx.all(
        "SELECT k.id, k.secret, k.account, k.owner, e.path, e.name FROM iam_access_key k "
        f"LEFT JOIN iam_entity e ON e.id = k.owner {where}",
        parameters,
    )
    found = []
    for key, secret, account, owner, path, name in rows:
        principal = root(account)
        if name is not None:
            principal = Principal(account, Entity(owner, account, "user", name, path, 0).arn, owner)
        found.append(Credentials(key, secret, "", _NEVER, principal))
    return found


def _issue(cx: Context, credentials: Credentials) -> None:
    keys = cx.parts.keys
    cx.after(lambda: keys.issue(credentials))


def _revoke(cx: Context, key: str) -> None:
    keys = cx.parts.keys
    cx.after(lambda: keys.revoke(key))
