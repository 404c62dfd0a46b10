"""Console passwords of users: who has one, and whether it is as the password policy says. Nobody signs in here.

Source: "Set an account password policy for IAM users" in the IAM User Guide.
"""

from __future__ import annotations

from typing import Any, Final

from penstock.engine.context import Context
from penstock.engine.operation import Request, Response, operation
from penstock.services.iam import account
from penstock.services.iam.entities import Entity, find
from penstock.services.iam.errors import EntityAlreadyExists, InvalidValue, NoSuchEntity, PasswordPolicyViolation
from penstock.services.iam.users import caller_name

DEFAULT_CHARACTERS: Final = 8  # where the account has no policy
DEFAULT_KINDS: Final = 3  # of the four kinds of characters, where the account has no policy
_KINDS: Final = {
    "RequireUppercaseCharacters": ("uppercase letter", str.isupper),
    "RequireLowercaseCharacters": ("lowercase letter", str.islower),
    "RequireNumbers": ("number", str.isdigit),
    "RequireSymbols": ("symbol", lambda char: char in "!@#$%^&*()_+-=[]{}|'"),
}


@operation
def create_login_profile(cx: Context, request: Request) -> Response:
    """Let a user sign in to the console."""
    user = _user(cx, request)
    if cx.one("SELECT 1 FROM iam_login WHERE owner = ?", (user.id,)) is not None:
        raise EntityAlreadyExists(f"Login Profile for user {user.name} already exists.")
    if request.get("Password") is None:
        raise InvalidValue("Give a Password: temporary ones for the caller alone are not made here.")
    check_password(cx, request["Password"])
    reset = int(bool(request.get("PasswordResetRequired")))
    cx.write("INSERT INTO iam_login VALUES (?,?,?,?,?)", (user.id, cx.account, cx.now, cx.now, reset))
    return {"LoginProfile": _described(cx, user)}


@operation
def get_login_profile(cx: Context, request: Request) -> Response:
    """Whether a user may sign in: NoSuchEntity if not."""
    return {"LoginProfile": _described(cx, _user(cx, request))}


@operation
def update_login_profile(cx: Context, request: Request) -> Response:
    """Give a user another password, or have it changed at the next sign-in."""
    user = find(cx, "user", request["UserName"])
    _described(cx, user)
    if request.get("Password") is not None:
        check_password(cx, request["Password"])
        cx.write("UPDATE iam_login SET changed = ? WHERE owner = ?", (cx.now, user.id))
    if request.get("PasswordResetRequired") is not None:
        cx.write("UPDATE iam_login SET reset = ? WHERE owner = ?", (int(request["PasswordResetRequired"]), user.id))
    return {}


@operation
def delete_login_profile(cx: Context, request: Request) -> Response:
    """Let a user sign in no more."""
    user = _user(cx, request)
    _described(cx, user)
    cx.write("DELETE FROM iam_login WHERE owner = ?", (user.id,))
    return {}


def check_password(cx: Context, password: str) -> None:
    """PasswordPolicyViolation unless a password is as the account's policy says, or AWS's default."""
    policy = account.password_policy(cx)
    least = DEFAULT_CHARACTERS if policy is None else policy["MinimumPasswordLength"]
    if len(password) < least:
        raise PasswordPolicyViolation(f"Password should have a minimum length of {least}")
    missing = {
        member: title for member, (title, is_one) in _KINDS.items() if not any(is_one(char) for char in password)
    }
    if policy is None:
        if len(_KINDS) - len(missing) < DEFAULT_KINDS:
            raise PasswordPolicyViolation(
                f"Password should have characters of {DEFAULT_KINDS} kinds at least: uppercase letters, lowercase "
                "letters, numbers and symbols"
            )
        if password == cx.account:
            raise PasswordPolicyViolation("Password should not be the account's name")
        return
    for member, title in missing.items():
        if policy[member]:
            raise PasswordPolicyViolation(f"Password should have at least one {title}")


def _user(cx: Context, request: Request) -> Entity:
    """The user a request names, else the caller."""
    name = request.get("UserName") or caller_name(cx)
    if name is None:
        raise InvalidValue("Must specify userName when calling with non-User credentials")
    return find(cx, "user", name)


def _described(cx: Context, user: Entity) -> dict[str, Any]:
    row = cx.one("SELECT created, reset FROM iam_login WHERE owner = ?", (user.id,))
    if row is None:
        raise NoSuchEntity(f"Login Profile for User {user.name} cannot be found.")
    return {"UserName": user.name, "CreateDate": row[0] / 1000, "PasswordResetRequired": bool(row[1])}
