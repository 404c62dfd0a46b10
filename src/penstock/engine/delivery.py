"""Deliveries: taking them, the short way, and what happens when one ends.

The short way: a target that only writes to the store accepts inside the emitting transaction, unless something
earlier waits under the same (target, ordering key). Otherwise, or when it refuses for now, a row waits for the
relay.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import orjson

from penstock.base.errors import ApiError, DeliveryError, RefusedForNow, StoreError, Throttled, Undeliverable
from penstock.base.names import Arn, uuid_of
from penstock.engine import journal
from penstock.engine.context import Call, Context, Parts
from penstock.engine.journal import DELIVERED, EXPIRED, FAILED, WAITING, Delivery, Outcome
from penstock.engine.registry import Registry
from penstock.engine.source import CodeTarget, StoreTarget, is_store_target
from penstock.store.store import Transaction

_logger = logging.getLogger("penstock.delivery")

# Store targets that accept inside each other (a bus on a bus); deeper ones wait for the relay.
SHORT_WAY_DEPTH = 4

# What code raises that has a mistake in it. What the store raises is none: it has to reach the store.
_MISTAKES = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)

_EARLIER = "SELECT 1 FROM delivery WHERE target = ? AND order_key = ? AND state < 2 LIMIT 1"


class Deliveries:
    """Takes what operations emit (``Context.deliver``) and ends deliveries. ``hint(target, due)`` tells the relay."""

    def __init__(self, registry: Registry, hint: Callable[[str, int], None]) -> None:
        self._registry = registry
        self._hint = hint
        self._depth = 0

    def target(self, arn: str) -> StoreTarget | CodeTarget | None:
        """What takes deliveries to this ARN, or None when nothing here does."""
        service = self._registry.of_arn(arn)
        return service.target if service is not None else None

    def deliver(self, cx: Context, delivery: Delivery, refused: DeliveryError | None = None) -> None:
        """Take a delivery: accepted in this transaction, or a row for the relay; one that is ``refused`` has failed."""
        target = self.target(delivery.target)
        if target is None:
            refused = Undeliverable(
                f"nothing on this platform takes deliveries to {delivery.target}", code="NO_PERMISSIONS"
            )
        elif refused is None:
            if not is_store_target(target, delivery.kind) or not self._may_accept(cx, delivery):
                journal.insert(cx.tx, delivery)
                cx.after(lambda: self._hint(delivery.target, delivery.due))
                return
            refused = self._accept(cx.parts, cx.tx, target, delivery, cx.now)
            if refused is None:
                delivery.state, delivery.ended, delivery.outcome = DELIVERED, cx.now, {}
                journal.insert(cx.tx, delivery)
                self._after_end(cx.parts, cx.tx, delivery, Outcome(DELIVERED))
                return
        journal.insert(cx.tx, delivery)
        self.failed(cx.parts, cx.tx, delivery, refused, cx.now)

    def _may_accept(self, cx: Context, delivery: Delivery) -> bool:
        if delivery.due > cx.now or self._depth >= SHORT_WAY_DEPTH:
            return False
        if delivery.order_key is None:
            return True
        return cx.one(_EARLIER, (delivery.target, delivery.order_key)) is None

    def accept(self, parts: Parts, tx: Transaction, target: StoreTarget, delivery: Delivery, now: int) -> None:
        """Have a store target take a waiting delivery, in this transaction; its refusal counts as an attempt."""
        refused = self._accept(parts, tx, target, delivery, now)
        if refused is None:
            self.end(parts, tx, delivery, Outcome(DELIVERED), now)
        else:
            self.failed(parts, tx, delivery, refused, now)

    def _accept(
        self, parts: Parts, tx: Transaction, target: Any, delivery: Delivery, now: int
    ) -> DeliveryError | None:
        delivery.attempts += 1
        delivery.started = now
        cx = self.context(parts, tx, delivery, delivery.target)
        payload = journal.payload_of(tx, delivery)
        self._depth += 1
        try:
            tx.attempt(lambda _: target.accept(cx, delivery, payload))
        except DeliveryError as error:
            return error
        except StoreError as error:
            return Throttled(str(error), code="ThrottlingException")
        except ApiError as error:
            return Undeliverable(error.message, code=error.code)
        except _MISTAKES as error:
            # Of one target: neither its emitter fails for it, nor what else the relay has in hand.
            return refusal(error)
        finally:
            self._depth -= 1
        return None

    def failed(self, parts: Parts, tx: Transaction, delivery: Delivery, error: DeliveryError, now: int) -> None:
        """An attempt failed: plan the next one, or end the delivery."""
        throttled = isinstance(error, Throttled)
        if throttled and delivery.attempts:
            delivery.attempts -= 1
        journal.failed_attempt(
            tx, delivery, ended=now, code=error.code, message=error.message, run=delivery.run, counted=not throttled
        )
        outcome = Outcome(FAILED, error.code, error.message, error.result, delivery.run, error.detail)
        exhausted = delivery.max_attempts is not None and delivery.attempts >= delivery.max_attempts
        if isinstance(error, Undeliverable) or (exhausted and not throttled):
            self.end(parts, tx, delivery, outcome, now)
            return
        kind = self._registry.kind(delivery.kind)
        wait = kind.throttle(now - delivery.at) if throttled else kind.backoff(delivery.attempts)
        due = now + max(wait, 0)
        if delivery.expires is not None:
            if now >= delivery.expires:
                outcome.state = EXPIRED
                self.end(parts, tx, delivery, outcome, now)
                return
            due = min(due, delivery.expires)
        delivery.state, delivery.due = WAITING, due
        tx.write(
            "UPDATE delivery SET state = ?, due = ?, attempts = ?, started = ?, outcome = ? WHERE id = ?",
            (WAITING, due, delivery.attempts, delivery.started,
             orjson.dumps({"code": error.code, "message": error.message[:2000], **error.detail}).decode(), delivery.id),
        )  # fmt: skip
        tx.after(lambda: self._hint(delivery.target, due))

    def expire(self, parts: Parts, tx: Transaction, delivery: Delivery, now: int) -> None:
        """The delivery is past its age before another attempt began."""
        last = delivery.outcome or {}
        self.end(parts, tx, delivery, Outcome(EXPIRED, last.get("code", ""), last.get("message", "")), now)

    def end(self, parts: Parts, tx: Transaction, delivery: Delivery, outcome: Outcome, now: int) -> None:
        """Write the outcome; resolve who waits for it; do what the kind does at the end."""
        journal.end(tx, delivery, outcome, now)
        self._after_end(parts, tx, delivery, outcome)

    def _after_end(self, parts: Parts, tx: Transaction, delivery: Delivery, outcome: Outcome) -> None:
        if delivery.reply_to is not None:
            self.resolve(parts, tx, delivery.reply_to, outcome)
        kind = self._registry.kind(delivery.kind)
        if kind.ended is not None and (outcome.state != DELIVERED or kind.ended_delivered):
            kind.ended(self.context(parts, tx, delivery, delivery.source), delivery, outcome)

    # --- tokens

    def open_token(self, cx: Context, detail: dict[str, Any]) -> int:
        """Open a token for the calling service: ``Service.replied`` gets its outcome, once."""
        token = cx.names.id()
        cx.write(
            "INSERT INTO token (id, account, region, service, detail, open) VALUES (?,?,?,?,?,1)",
            (token, cx.account, cx.region, cx.call_.service, orjson.dumps(detail).decode()),
        )
        return token

    def resolve(self, parts: Parts, tx: Transaction, token: int, outcome: Outcome) -> bool:
        """Resolve a token in this transaction; False when it is unknown or resolved already."""
        row = tx.one("SELECT account, region, service, detail FROM token WHERE id = ? AND open = 1", (token,))
        if row is None:
            return False
        tx.write("UPDATE token SET open = 0 WHERE id = ?", (token,))
        account, region, service, detail = row
        replied = self._registry.service(service).replied
        if replied is not None:
            call = Call.own(service, "Replied", account, region, request_id=parts.names.uuid())
            replied(Context(parts, tx, call), orjson.loads(detail), outcome)
        return True

    def context(self, parts: Parts, tx: Transaction, delivery: Delivery, arn: str) -> Context:
        """A context in the account and region of the service that this ARN belongs to."""
        try:
            at = Arn.parse(arn)
        except ValueError:
            at = Arn("", delivery.region, delivery.account, "")
        kind_service = delivery.kind.partition(":")[0]
        account = at.account or delivery.account
        service = at.service if at.service in self._registry else kind_service
        region, request_id = at.region or delivery.region, uuid_of(delivery.id)
        return Context(parts, tx, Call.own(service, "Deliver", account, region, request_id=request_id))


def refusal(error: Exception) -> DeliveryError:
    """An unforeseen failure of an attempt, as the delivery's outcome; it is logged since it is our fault."""
    _logger.error("an attempt of a delivery failed unexpectedly", exc_info=error)
    return RefusedForNow(f"{type(error).__name__}: {error}", code="InternalFailure")
