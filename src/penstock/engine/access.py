"""Who is calling: principals, and the access keys that name them.

A key issued by STS or to an execution environment names its principal. Any other key is its owner's word: twelve
digits select that account, anything else the default account. Signatures are checked only with ``--auth``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from penstock.base.names import DEFAULT_ACCOUNT, Arn, is_account

REVOKED_REMEMBERED = 100_000  # revoked keys that are told apart from keys nobody issued


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a call.

    ``arn`` is the caller's identity as STS tells it, ``role`` the ARN of the role that was assumed (or None),
    ``run`` the id of the invocation which the key was given to, if any: the cause of what the call does.
    """

    account: str
    arn: str
    user_id: str
    role: str | None = None
    run: int | None = None


@dataclass(slots=True)
class Credentials:
    """An issued key. ``expires`` is machine time in milliseconds."""

    access_key_id: str
    secret_access_key: str
    session_token: str
    expires: int
    principal: Principal


@lru_cache(maxsize=1024)
def root(account: str) -> Principal:
    """The owner of an account."""
    return Principal(account, str(Arn("iam", "", account, "root")), account)


class Keys:
    """The access keys that were issued, which of them were revoked, and which invocation works with which.

    In memory: the environments that hold keys end with the server, and whoever owns other keys (STS, IAM) has rows of
    them and issues them again at its start.
    """

    def __init__(self) -> None:
        self._environments: dict[str, Credentials] = {}
        self._issued: dict[str, Credentials] = {}
        self._roots: dict[str, Principal] = {}
        self._callers: dict[int, int] = {}  # a run that another waits for → the one that waits
        self._revoked: dict[str, None] = {}  # in the order of revoking; the newest REVOKED_REMEMBERED of them
        self.changes = 0  # how often a key was issued or revoked: what was found out before may be wrong since

    def issue(self, credentials: Credentials, *, environment: bool = False) -> None:
        """Make a key known; ``environment`` when an execution environment holds it."""
        self.changes += 1
        (self._environments if environment else self._issued)[credentials.access_key_id] = credentials

    def revoke(self, access_key_id: str) -> None:
        """Forget a key: calls with it are refused from now on."""
        self._environments.pop(access_key_id, None)
        self._issued.pop(access_key_id, None)
        self._remember_revoked(access_key_id)

    def revoked(self, access_key_id: str) -> bool:
        """Whether this key was issued here and has been revoked: nobody else's key is ever refused for its name."""
        return access_key_id in self._revoked

    def _remember_revoked(self, access_key_id: str) -> None:
        self.changes += 1
        self._revoked[access_key_id] = None
        if len(self._revoked) > REVOKED_REMEMBERED:
            del self._revoked[next(iter(self._revoked))]

    def accounts(self) -> set[str]:
        """The accounts that keys have been issued to."""
        return {held.principal.account for keys in (self._environments, self._issued) for held in keys.values()}

    def revoke_account(self, account: str) -> None:
        """Forget every key of an account."""
        for keys in (self._environments, self._issued):
            for key in [key for key, held in keys.items() if held.principal.account == account]:
                del keys[key]
                self._remember_revoked(key)

    def work_on(self, access_key_id: str, run: int | None) -> None:
        """Say which invocation the environment that holds this key works on."""
        credentials = self._environments.get(access_key_id)
        if credentials is not None:
            held = credentials.principal
            credentials.principal = Principal(held.account, held.arn, held.user_id, held.role, run)

    def wait_for(self, run: int, caller: Principal) -> None:
        """A caller waits for a run: what the run does is caused by the run whose key the caller has, if any.

        The journal learns of such a run only when it ends; then nobody waits any more.
        """
        if caller.run is not None:
            self._callers[run] = caller.run

    def wait_no_more(self, run: int) -> None:
        """Nobody waits for this run."""
        self._callers.pop(run, None)

    def callers(self) -> list[tuple[int, int]]:
        """The runs that others wait for now, each with the run that waits."""
        return list(self._callers.items())

    def find(self, access_key_id: str) -> Credentials | None:
        """The issued key, or None when it was not issued here."""
        return self._environments.get(access_key_id) or self._issued.get(access_key_id)

    def principal(self, access_key_id: str | None) -> Principal:
        """Who calls with this key id; without one, the owner of the default account."""
        if access_key_id:
            credentials = self.find(access_key_id)
            if credentials is not None:
                return credentials.principal
        account = access_key_id if access_key_id and is_account(access_key_id) else DEFAULT_ACCOUNT
        principal = self._roots.get(account)
        if principal is None:
            principal = self._roots[account] = root(account)
        return principal
