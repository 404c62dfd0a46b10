"""What an operation gets to work with.

``Context`` is for ``def`` operations: one transaction, run inline to its end, perhaps run again. It touches
nothing but the context and takes effect outside the store only through ``deliver`` and ``after``.
``WaitingContext`` is for ``async def`` operations: they may wait, and open short transactions of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

from penstock.base.clock import MachineClock, PlatformClock
from penstock.base.errors import DeliveryError
from penstock.base.names import DEFAULT_ACCOUNT, DEFAULT_REGION, Names
from penstock.engine.access import Keys, Principal, root
from penstock.engine.compute import Environments
from penstock.engine.journal import INSERT_EVENT, INSERT_FROM_OUTSIDE, Delivery, Outcome
from penstock.engine.operation import frees_room
from penstock.engine.quiet import Quiet, UnderWay
from penstock.engine.wakes import Wakes
from penstock.store.blobs import Blobs
from penstock.store.store import Reader, Row, Store, Transaction

T = TypeVar("T")


class Sender(Protocol):
    """Somebody outside who made a request. ``gone``: has hung up since, so that an answer may reach nobody."""

    gone: bool


@dataclass(slots=True)
class Call:
    """One request for one operation, decoded and validated: wherever it comes from, all that is known of it."""

    service: str
    operation: str
    request: dict[str, Any]
    account: str
    region: str
    principal: Principal
    request_id: str
    trace_header: str = ""
    host: str = ""  # the Host header, for answers that contain the endpoint's address
    sender: Sender | None = None  # who waits for the answer outside, if anybody does

    @classmethod
    def own(
        cls, service: str, operation: str, account: str = DEFAULT_ACCOUNT, region: str = DEFAULT_REGION, *,
        request: dict[str, Any] | None = None, request_id: str = "", host: str = "",
    ) -> Call:  # fmt: skip
        """A call that nobody made: the platform's own work for a service, with the rights of the account's owner.

        ``operation`` is the service's, or says in a word what the work is.
        """
        return cls(service, operation, request or {}, account, region, root(account), request_id, host=host)


class Deliverer(Protocol):
    """Takes deliveries; see ``Context.deliver``."""

    def deliver(self, cx: Context, delivery: Delivery, refused: DeliveryError | None = None) -> None: ...


class Caller(Protocol):
    """Calls operations of any service; see ``Context.call`` and ``WaitingContext.call``."""

    def call(self, cx: Context, call: Call) -> dict[str, Any]: ...

    async def call_waiting(self, call: Call) -> dict[str, Any]: ...


class Pumping(Protocol):
    """Lets consumers (``pump.Consumer``) take batches from sources."""

    def start(self, consumer: Any) -> None: ...

    def stop(self, id_: str) -> None: ...

    def running(self, id_: str) -> int: ...


class Tokens(Protocol):
    """Tokens that outcomes resolve; see ``delivery.Deliveries``."""

    def open_token(self, cx: Context, detail: dict[str, Any]) -> int: ...

    def resolve(self, parts: Parts, tx: Transaction, token: int, outcome: Outcome) -> bool: ...


class Control(Protocol):
    """The platform as a whole, for its own API."""

    def health(self) -> dict[str, Any]:
        """What is ready and what is in force: durability, sandbox, address, clock, applications."""

    async def freeze(self) -> int:
        """Stop platform time, durably; its moment in ms."""

    async def resume(self) -> int:
        """Let platform time flow again, durably; its moment in ms."""

    async def advance(self, to: int) -> int:
        """Move platform time to ``to`` with everything that is due until then; how many timers fired."""

    async def reset(self, account: str | None) -> None:
        """Delete everything an account has (None: everything); nothing old can write into the clean state."""

    async def outside(self, account: str | None) -> list[str]:
        """What only an outsider can finish (of an account), a phrase each."""

    async def deploy(self, tell: Callable[[Any], None], **application: Any) -> Any:
        """Deploy a template: ``application`` are the fields of deploy's Application; its Result."""


@dataclass(slots=True)
class Parts:
    """The parts of one platform that operations reach through their context; ``platform`` builds it."""

    store: Store
    clock: PlatformClock
    machine: MachineClock
    names: Names
    keys: Keys
    wakes: Wakes
    work: UnderWay
    states: dict[str, Any]  # a service's memory: caches and waiters that a restart may lose
    deliverer: Deliverer
    caller: Caller
    endpoint: str  # the platform's own URL, as functions on this machine reach it
    spawn: Callable[[Coroutine[Any, Any, Any], str], None]  # run in the background; a failure is logged, not lost
    environments: Environments
    pump: Pumping
    tokens: Tokens
    quiet: Quiet
    control: Control
    blobs: Blobs
    applications: Any = None  # deploy.Applications: what templates have made here


class _AnyContext:
    """What an operation of either kind sees: the call it answers, and the platform's parts."""

    __slots__ = ("call_", "parts")

    call_: Call
    parts: Parts

    @property
    def account(self) -> str:
        """The account the operation works in."""
        return self.call_.account

    @property
    def region(self) -> str:
        """The region the operation works in."""
        return self.call_.region

    @property
    def request_id(self) -> str:
        """The request id that the answer carries."""
        return self.call_.request_id

    @property
    def principal(self) -> Principal:
        """Who calls."""
        return self.call_.principal

    @property
    def names(self) -> Names:
        """Ids and randomness."""
        return self.parts.names

    @property
    def memory(self) -> Any:
        """What the service keeps in memory: ``Service.memory()`` made it. A ``def`` changes it only in ``after``."""
        return self.parts.states[self.call_.service]

    def arn(self, resource: str, service: str | None = None) -> str:
        """The ARN of a resource in this account and region."""
        return f"arn:aws:{service or self.call_.service}:{self.call_.region}:{self.call_.account}:{resource}"


class Context(_AnyContext):
    """A ``def`` operation's view of the platform: one transaction."""

    __slots__ = ("now", "tx")

    def __init__(self, parts: Parts, tx: Transaction, call: Call) -> None:
        self.parts = parts
        self.tx = tx
        self.call_ = call
        self.now = parts.clock.now()

    def all(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Every row of a query's answer."""
        return self.tx.all(sql, parameters)

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        """The first row of a query's answer, or None."""
        return self.tx.one(sql, parameters)

    def write(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Change rows; how many."""
        return self.tx.write(sql, parameters)

    def after(self, effect: Callable[[], None]) -> None:
        """Do this once the transaction is durable. For memory and wake-ups only."""
        self.tx.after(effect)

    def wake(self, key: str, count: int = 1) -> None:
        """Wake who waits for this key once the transaction is durable."""
        wakes = self.parts.wakes
        if wakes.waiting(key):
            self.tx.after(partial(wakes.wake, key, count))

    def event(
        self, kind: str, source: str, payload: bytes, *, cause: int | None = None, id_: int | None = None,
        at: int | None = None,
    ) -> int:  # fmt: skip
        """Record a fact in the journal and return its id.

        ``kind`` is "service:Operation", ``source`` the resource's ARN. Its cause is the invocation whose
        environment made the call, unless given. ``at`` is its moment, where that is not now.
        """
        call = self.call_
        if id_ is None:
            id_ = self.parts.names.id()
        principal = call.principal
        row = id_, call.account, call.region, kind, source, self.now if at is None else at, principal.arn, payload
        if cause is None:
            cause = principal.run
        if cause is None:
            self.tx.write(INSERT_FROM_OUTSIDE, row)
        else:
            self.tx.write(INSERT_EVENT, (*row, cause))
        return id_

    def deliver(
        self,
        *,
        kind: str,
        to: str,
        event: int,
        source: str,
        payload: bytes | None = None,
        max_attempts: int | None = None,
        max_age_ms: int | None = None,
        dead_letter: str | None = None,
        order: str | None = None,
        not_before: int | None = None,
        reply_to: int | None = None,
        as_role: str | None = None,
        detail: dict[str, Any] | None = None,
        known: bytes | None = None,
        refused: DeliveryError | None = None,
    ) -> int:
        """Have something happen: recorded in this transaction, carried out after it, or in it where that is safe.

        ``kind`` names a DeliveryKind ("lambda:async", "events:target"): back-off and what happens at the end.
        ``to`` is the target's ARN, ``source`` what emits it. ``detail`` holds the target's parameters
        (``MessageGroupId``) and whatever the kind needs at the end. ``known`` is the event's own payload, where the
        caller has it at hand: it is then not read again. ``refused`` says that nobody can take it, where the emitter
        knows already: it fails as if the target had said so. Returns the delivery's id.
        """
        now = self.now
        delivery = Delivery(
            id=self.parts.names.id(), event=event, account=self.account, region=self.region, kind=kind, source=source,
            target=to, due=now if not_before is None else max(now, not_before), order_key=order,
            max_attempts=max_attempts, expires=None if max_age_ms is None else now + max_age_ms,
            dead_letter=dead_letter, reply_to=reply_to, as_role=as_role, payload=payload, detail=detail or {}, at=now,
            known=known,
        )  # fmt: skip
        self.parts.deliverer.deliver(self, delivery, refused)
        return delivery.id

    def call(
        self, service: str, operation: str, request: dict[str, Any], *, as_: Principal | None = None,
        account: str | None = None, region: str | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Call another ``def`` operation inside this transaction, validated as over HTTP; raises its ApiError."""
        return self.parts.caller.call(self, _inner(self.call_, service, operation, request, as_, account, region))

    def within(self, account: str, region: str, *, principal: Principal | None = None) -> Context:
        """The same transaction, working in another account and region."""
        call = self.call_
        return Context(
            self.parts,
            self.tx,
            Call(call.service, call.operation, call.request, account, region, principal or call.principal,
                 call.request_id, call.trace_header, call.host),
        )  # fmt: skip


class WaitingContext(_AnyContext):
    """An ``async def`` operation's view of the platform."""

    __slots__ = ("ticket",)

    def __init__(self, parts: Parts, call: Call, ticket: int | None = None) -> None:
        self.parts = parts
        self.call_ = call
        self.ticket = ticket

    @property
    def now(self) -> int:
        """Platform time, in milliseconds."""
        return self.parts.clock.now()

    async def transact(self, work: Callable[[Context], T]) -> T:
        """Run a work in one transaction and return its result once it is durable. It may be run again."""
        frees = frees_room(self.call_.operation)
        return await self.parts.store.transact(lambda tx: work(Context(self.parts, tx, self.call_)), frees=frees)

    def submit(self, work: Callable[[Context], Any]) -> None:
        """Run a work in one transaction now, without waiting for it to be durable."""
        frees = frees_room(self.call_.operation)
        self.parts.store.submit(lambda tx: work(Context(self.parts, tx, self.call_)), frees=frees)

    async def read(self, query: Callable[[Reader], T]) -> T:
        """Run a long read in a thread."""
        return await self.parts.store.read(query)

    async def call(
        self, service: str, operation: str, request: dict[str, Any], *, as_: Principal | None = None,
        account: str | None = None, region: str | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Call another operation, validated as over HTTP; raises its ApiError. It does not survive a crash."""
        return await self.parts.caller.call_waiting(
            _inner(self.call_, service, operation, request, as_, account, region)
        )

    async def woken(self, key: str, timeout_ms: float | None) -> bool:
        """Wait idly to be woken: does not hold up quiet. False when the machine's time ran out first."""
        with self.aside():
            return await self.parts.wakes.wait(key, timeout_ms)

    @contextmanager
    def aside(self) -> Iterator[None]:
        """While this lasts, the operation does not hold up quiet: it waits idly, or it is what waits for quiet."""
        if self.ticket is not None:
            self.parts.work.end(self.ticket)
        try:
            yield
        finally:
            if self.ticket is not None:
                self.ticket = self.parts.work.begin(f"{self.call_.service} {self.call_.operation}", self.account)


def _inner(
    outer: Call, service: str, operation: str, request: dict[str, Any], as_: Principal | None, account: str | None,
    region: str | None,
) -> Call:  # fmt: skip
    principal = as_ or outer.principal
    return Call(
        service, operation, request, account or (as_.account if as_ else outer.account), region or outer.region,
        principal, outer.request_id, outer.trace_header, outer.host,
    )  # fmt: skip


