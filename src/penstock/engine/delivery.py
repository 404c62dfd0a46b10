"""Deliveries: taking them, the short way, and what happens when one ends.

The short way: a target that only writes to the store accepts inside the emitting transaction, unless something
earlier waits under the same (target, ordering key). Otherwise, or when it refuses for now, a row waits for the
relay.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from penstock.base.errors import (
    ApiError,
    CutOff,
    DeliveryError,
    RefusedForNow,
    StoreError,
    StoreFull,
    Throttled,
    Undeliverable,
)
from penstock.base.limits import CUT_OFF, FAULT_WAIT_MS, FAULTS
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

CUT_OFF_CODE = "Interrupted"  # of an attempt that the server's end cut off
FAULT_CODE = "PlatformFault"  # of a time when our own code failed
_TIMES = "SELECT count(*) FROM attempt WHERE delivery = ? AND code = ?"
_EARLIER = "SELECT 1 FROM delivery WHERE target = ? AND order_key = ? AND state < 2 LIMIT 1"


@dataclass(frozen=True, slots=True)
class Fault:
    """That our own code failed over a delivery: how long that is to wait now, or that this was the last time."""

    message: str
    wait_ms: int
    last: bool


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
            refused = self._accept(cx.parts, cx.tx, target, delivery, cx.now, cx.request_id)
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
        self, parts: Parts, tx: Transaction, target: Any, delivery: Delivery, now: int, request_id: str = ""
    ) -> DeliveryError | None:
        delivery.attempts += 1
        delivery.started = now
        cx = self.context(parts, tx, delivery, delivery.target, request_id)
        payload = journal.payload_of(tx, delivery)
        self._depth += 1
        try:
            tx.attempt(lambda _: target.accept(cx, delivery, payload))
        except DeliveryError as error:
            return error
        except StoreFull as error:
            return Throttled(str(error), code="ThrottlingException")
        except StoreError:
            raise  # it has to reach the store, which may have lost the transaction
        except ApiError as error:
            return Undeliverable(error.message, code=error.code)
        except Exception as error:
            # A mistake of one target: neither its emitter fails for it, nor what else the relay has in hand.
            return refusal(error)
        finally:
            self._depth -= 1
        return None

    def failed(self, parts: Parts, tx: Transaction, delivery: Delivery, error: DeliveryError, now: int) -> None:
        """An attempt failed: plan the next one, or end the delivery."""
        counted = not isinstance(error, Throttled | CutOff)
        if not counted and delivery.attempts:
            delivery.attempts -= 1
        journal.failed_attempt(
            tx, delivery, ended=now, code=error.code, message=error.message, run=delivery.run, counted=counted
        )
        outcome = Outcome(FAILED, error.code, error.message, error.result, delivery.run, error.detail)
        exhausted = delivery.max_attempts is not None and delivery.attempts >= delivery.max_attempts
        if isinstance(error, Undeliverable) or (exhausted and counted):
            self.end(parts, tx, delivery, outcome, now)
            return
        due = now + max(self._wait_ms(delivery, error, now), 0)
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

    def _wait_ms(self, delivery: Delivery, error: DeliveryError, now: int) -> int:
        """Until the next attempt: of one that was cut off at once, the first time, then as if it had been throttled."""
        kind = self._registry.kind(delivery.kind)
        if isinstance(error, CutOff):
            return kind.throttle(now - delivery.at) if error.again else 0
        return kind.throttle(now - delivery.at) if isinstance(error, Throttled) else kind.backoff(delivery.attempts)

    def cut_off(self, parts: Parts, tx: Transaction, delivery: Delivery, now: int) -> None:
        """The server ended while an attempt ran. That is no failure of the target, which is not charged for it.

        On AWS a failure of the service itself does not use up a function's retries, either: such an event is tried
        again for up to six hours (docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html). Here
        ``CUT_OFF`` times; then it counts, since the attempt itself may be what ends the server.
        """
        row = tx.one(_TIMES, (delivery.id, CUT_OFF_CODE))
        times = row[0] if row else 0
        message = "the server ended while this attempt ran"
        if times < CUT_OFF:
            error: DeliveryError = CutOff(f"{message}: it does not count", code=CUT_OFF_CODE, again=times > 0)
        else:
            error = RefusedForNow(f"{message}, for the {times + 1}th time: it counts from now on", code=CUT_OFF_CODE)
        self.failed(parts, tx, delivery, error, now)

    def fault(self, tx: Transaction, delivery: Delivery, error: Exception, now: int) -> Fault:
        """Our own code failed over a delivery: write that down. Who found out lets it wait, or gives it up.

        The journal has each time as an attempt that does not count, and ``GET /_penstock/health`` how many there were.
        """
        row = tx.one(_TIMES, (delivery.id, FAULT_CODE))
        times = row[0] if row else 0
        message = f"a mistake in Penstock, please report it: {type(error).__name__}: {error}"
        _logger.error("Penstock's own code failed over delivery %d (%s)", delivery.id, delivery.kind, exc_info=error)
        journal.failed_attempt(
            tx, delivery, ended=now, code=FAULT_CODE, message=message, run=delivery.run, counted=False
        )
        journal.note_fault(tx, delivery, message, now)
        return Fault(message, FAULT_WAIT_MS << times, times + 1 >= FAULTS)

    def postpone(self, tx: Transaction, delivery: Delivery, fault: Fault, now: int) -> None:
        """Let a delivery wait over which our own code failed. Given up, it ends without what its kind does then."""
        if fault.last:
            journal.end(tx, delivery, Outcome(FAILED, FAULT_CODE, fault.message, run=delivery.run), now)
            return
        due = now + fault.wait_ms
        tx.write("UPDATE delivery SET state = ?, due = ? WHERE id = ?", (WAITING, due, delivery.id))
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

    def context(self, parts: Parts, tx: Transaction, delivery: Delivery, arn: str, request_id: str = "") -> Context:
        """A context in the account and region of the service that this ARN belongs to.

        Its request is the one that is under way, by its id, or else the delivery.
        """
        try:
            at = Arn.parse(arn)
        except ValueError:
            at = Arn("", delivery.region, delivery.account, "")
        kind_service = delivery.kind.partition(":")[0]
        account = at.account or delivery.account
        service = at.service if at.service in self._registry else kind_service
        region = at.region or delivery.region
        call = Call.own(service, "Deliver", account, region, request_id=request_id or uuid_of(delivery.id))
        return Context(parts, tx, call)


def refusal(error: Exception) -> DeliveryError:
    """An unforeseen failure of an attempt, as the delivery's outcome; it is logged since it is our fault."""
    _logger.error("an attempt of a delivery failed unexpectedly", exc_info=error)
    return RefusedForNow(f"{type(error).__name__}: {error}", code="InternalFailure")
