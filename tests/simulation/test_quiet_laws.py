"""Laws of quiet and of advance, under any interleaving of emitting, failing, waiting and moving time.

- When it is quiet, no row waits that is due, and none runs: the relay forgot nothing.
- When time has been moved far enough, everything that was emitted has ended, and in between nothing happened early.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.base.errors import DeliveryError, RefusedForNow, Throttled
from tests.engine.bench_service import SHELF, WORKS
from tests.engine.harness import Engine, engine
from tests.engine.test_delivery import book, emit

TARGETS = tuple(f"arn:aws:{service}:us-east-1:000000000000:t{i}" for service in ("shelf", "works") for i in range(3))
FAR_MS = 30 * 86_400_000

EMIT = st.tuples(
    st.just("emit"),
    st.sampled_from(TARGETS),
    st.sampled_from([0, 0, 0, 1, 500, 60_000]),  # not before, in ms from now
    st.sampled_from([None, None, "a", "b"]),  # the ordering key
    st.sampled_from(["", "", "refuse", "throttle"]),
)
BURST = st.tuples(st.just("burst"), st.sampled_from(TARGETS), st.integers(2, 6), st.integers(2, 12))
ACTIONS = st.lists(
    st.one_of(
        BURST,
        EMIT,
        EMIT,
        st.tuples(st.just("turns"), st.integers(1, 6)),
        st.tuples(st.just("settle")),
        st.tuples(st.just("freeze")),
        st.tuples(st.just("advance"), st.sampled_from([0, 1, 1000, 90_000])),
        st.tuples(st.just("resume")),
    ),
    max_size=25,
)
DUE_OR_RUNNING = (
    "SELECT d.id, d.target, d.state, d.due FROM delivery d WHERE state = 1 OR (state = 0 AND due <= ? AND NOT EXISTS ("
    "SELECT 1 FROM delivery e WHERE e.target = d.target AND e.order_key = d.order_key AND e.id < d.id AND e.state < 2))"
)


async def check_quiet(on: Engine) -> None:
    """Quiet, and rightly so."""
    await on.settle()
    now = on.clock.now() - (0 if on.clock.frozen else 50)  # while time flows, more may have become due just now
    left = await on.store.transact(lambda tx: tx.all(DUE_OR_RUNNING, (now,)))
    assert not left, f"quiet at {now}, and yet: {left}"


async def act(on: Engine, action: tuple[Any, ...], emitting: list[asyncio.Future[int]]) -> None:
    kind, *given_ = action
    if kind == "emit":
        target, delay, order, trouble = given_
        if trouble:
            error: type[DeliveryError] = RefusedForNow if trouble == "refuse" else Throttled
            book(on, target.split(":")[2]).refusals.setdefault(target, []).append(error(trouble))
        # Not awaited: it shares its group with whatever the relay does at the same time.
        not_before = on.clock.now() + delay if delay else None
        emitting.append(asyncio.ensure_future(emit(on, target, b"x", not_before=not_before, order=order)))
    elif kind == "burst":
        # Emitters one after whose emission the relay looks while those of the others are being written.
        target, emitters, each = given_

        async def one_after_the_other() -> None:
            for _ in range(each):
                emitting.append(asyncio.ensure_future(emit(on, target, b"x")))
                await emitting[-1]

        await asyncio.gather(*(one_after_the_other() for _ in range(emitters)))
    elif kind == "turns":
        for _ in range(given_[0]):
            await asyncio.sleep(0)
    elif kind == "settle":
        await check_quiet(on)
    elif kind == "freeze":
        on.clock.freeze()
    elif kind == "advance":
        before = on.clock.now()
        await on.advance(given_[0])
        assert on.clock.now() >= before + given_[0]
        await check_quiet(on)
    elif kind == "resume":
        on.clock.resume()


async def live(data: Path, actions: list[tuple[Any, ...]]) -> None:
    async with engine(data, SHELF, WORKS) as on:
        emitting: list[asyncio.Future[int]] = []
        for action in actions:
            await act(on, action, emitting)
        await asyncio.gather(*emitting)
        await check_quiet(on)
        on.clock.freeze()
        await on.advance(FAR_MS)
        await check_quiet(on)
        states = await on.states()
        assert len(states) == len(emitting)
        assert all(state == 2 for state, _ in states), states
        early = await on.store.transact(lambda tx: tx.all("SELECT id FROM delivery WHERE ended < due OR started < at"))
        assert not early


@settings(max_examples=60, deadline=None)
@given(ACTIONS)
def test_quiet_forgets_nothing_and_time_brings_everything_to_its_end(actions: list[tuple[Any, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(live(Path(folder), actions))
