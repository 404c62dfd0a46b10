"""A service of the tests' own: a target in the store, a target that runs code, and a source, with nothing faked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from penstock.engine.context import Context, Parts, WaitingContext
from penstock.engine.journal import Delivery, Outcome
from penstock.engine.service import DeliveryKind, Service


@dataclass
class Book:
    """What the service was asked to do, and what it answers next."""

    accepted: list[tuple[str, bytes]] = field(default_factory=list)
    attempted: list[tuple[str, bytes, int]] = field(default_factory=list)
    ended: list[tuple[int, Outcome]] = field(default_factory=list)
    replies: list[tuple[dict[str, Any], Outcome]] = field(default_factory=list)
    refusals: dict[str, list[Exception]] = field(default_factory=dict)
    endings: list[Exception] = field(default_factory=list)  # raised when a delivery ends
    hold: Any = None  # an asyncio.Event that attempts wait for
    room: dict[str, int] = field(default_factory=dict)  # attempts that a target takes, where they are few
    asked: int = 0  # how often targets were asked for that
    mistakes: list[Exception | None] = field(default_factory=list)  # raised when they are


class StoreSide:
    """Accepts deliveries to arn:aws:shelf:…, unless a refusal is planned for the ARN."""

    def accept(self, cx: Context, delivery: Delivery, payload: bytes) -> None:
        book: Book = cx.memory
        if book.refusals.get(delivery.target):
            raise book.refusals[delivery.target].pop(0)
        cx.after(lambda: book.accepted.append((delivery.target, payload)))


class CodeSide:
    """Attempts deliveries to arn:aws:works:…"""

    async def attempt(self, cx: WaitingContext, delivery: Delivery, payload: bytes) -> dict[str, Any]:
        book: Book = cx.memory
        book.attempted.append((delivery.target, payload, delivery.attempts))
        if book.hold is not None:
            await book.hold.wait()
        if book.refusals.get(delivery.target):
            raise book.refusals[delivery.target].pop(0)
        return {"result": b"done " + payload}

    def free(self, parts: Parts, arn: str) -> int:
        book: Book = parts.states[arn.split(":")[2]]
        book.asked += 1
        if book.mistakes and (mistake := book.mistakes.pop(0)) is not None:
            raise mistake
        return book.room.get(arn, 1000)


class BothSides(StoreSide, CodeSide):
    """Runs code for what waits in its own queue, and accepts everything else, as a function does."""

    runs = frozenset({"both:run"})


def ended(cx: Context, delivery: Delivery, outcome: Outcome) -> None:
    book: Book = cx.memory
    if book.endings:
        raise book.endings.pop(0)
    cx.after(lambda: book.ended.append((delivery.id, outcome)))


def replied(cx: Context, detail: dict[str, Any], outcome: Outcome) -> None:
    book: Book = cx.memory
    cx.after(lambda: book.replies.append((detail, outcome)))


SHELF = Service(
    "shelf", {}, memory=Book, target=StoreSide(), replied=replied,
    kinds=(DeliveryKind("shelf:put", backoff=lambda attempts: 1000 * attempts, ended=ended),),
)  # fmt: skip
WORKS = Service(
    "works", {}, memory=Book, target=CodeSide(), replied=replied,
    kinds=(DeliveryKind("works:run", backoff=lambda attempts: 60_000 * attempts, ended=ended),),
)  # fmt: skip
BOTH = Service(
    "both", {}, memory=Book, target=BothSides(), replied=replied,
    kinds=(DeliveryKind("both:run", backoff=lambda attempts: 60_000 * attempts, ended=ended),),
)  # fmt: skip
