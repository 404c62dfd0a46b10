"""What a store is: transactions that join a group, one commit and one sync for the whole group.

A *work* is a plain function of a Transaction. It runs inline on the event loop, to its end, and may be run again
(when its group lost its transaction: another work failed late, the disk was full); so it touches nothing but the
transaction and gives its effects on memory to ``after``. Whoever waits for a work is answered only when the group it
was computed from is durable, reads and errors included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
Row = tuple[Any, ...]
Parameters = Sequence[Any]
Done = Callable[[Any, BaseException | None], None]


class Reader(Protocol):
    """Something that answers queries."""

    def all(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Every row of the query's answer."""

    def one(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """The first row of the query's answer, or None."""


class Transaction(Reader, Protocol):
    """One operation's part of a commit group; a failure undoes this part alone.

    ``lean``: the disk is full and nearly all that was kept for this is used up, so leave out what only tells of what
    is over.
    """

    lean: bool

    def write(self, sql: str, parameters: Parameters = ()) -> int:
        """Carry out a statement that changes rows and return how many it changed."""

    def write_many(self, sql: str, parameters: Sequence[Parameters]) -> None:
        """Carry out one statement once per parameters."""

    def returning(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Carry out a statement that changes rows and has a RETURNING clause, and return its rows."""

    def after(self, effect: Callable[[], None]) -> None:
        """Do this once the change is durable: wake-ups and caches in memory. It must not raise."""

    def attempt(self, work: Callable[[Transaction], T]) -> T:
        """Run a work whose failure undoes only its own changes and effects, then raises here."""


class Store(Protocol):
    """The durable state of one platform."""

    def submit(self, work: Callable[[Transaction], Any], done: Done | None = None, *, frees: bool = False) -> None:
        """Run a work now, in the open group; ``done(result, error)`` once that group is durable.

        ``frees``: it gives room back, so it passes when the disk is full. To be called on the event loop, from
        outside any work; ``done`` may be called before this returns.
        """

    async def transact(self, work: Callable[[Transaction], T], *, frees: bool = False) -> T:
        """Run a work and return its result once it is durable."""

    async def read(self, query: Callable[[Reader], T]) -> T:
        """Run a long read in a thread, on the last durable state, seeing one snapshot."""

    @property
    def unsynced(self) -> bool:
        """Whether something has been changed that is not durable yet."""

    async def synced(self) -> None:
        """Return once everything submitted so far is durable."""

    async def close(self) -> None:
        """Make everything durable, and give up the data directory."""
