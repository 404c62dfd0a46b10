"""The platform clock: it flows, stands or is moved, never goes back, and fires in order."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from penstock.base.clock import MachineClock, PlatformClock


def frozen_at(moment: int) -> PlatformClock:
    clock = PlatformClock(MachineClock())
    clock.restore(offset_ms=0, frozen_at=moment, latest=moment)
    return clock


def test_a_frozen_clock_stands_still_until_it_is_moved() -> None:
    clock = frozen_at(5_000)
    assert (clock.now(), clock.now()) == (5_000, 5_000)
    clock.move_to(6_000)
    assert clock.now() == 6_000
    clock.move_to(5_500)
    assert clock.now() == 6_000


def test_a_resumed_clock_goes_on_from_where_it_stood() -> None:
    clock = frozen_at(5_000)
    assert 5_000 <= clock.resume() < 6_000
    assert not clock.frozen


def test_a_clock_that_was_moved_keeps_its_distance_to_the_machine() -> None:
    machine = MachineClock()
    clock = PlatformClock(machine)
    clock.move_to(machine.now_ms() + 3_600_000)
    state = clock.state()
    again = PlatformClock(machine)
    again.restore(offset_ms=state["offset_ms"] or 0, frozen_at=state["frozen_at"], latest=state["latest"] or 0)
    assert again.now() >= clock.now() - 1000


def test_it_never_goes_back_when_the_machine_does() -> None:
    clock = PlatformClock(MachineClock())
    ahead = clock.now() + 60_000
    clock.restore(offset_ms=0, frozen_at=None, latest=ahead)
    assert clock.now() == ahead


@given(st.lists(st.integers(0, 50), max_size=30), st.sets(st.integers(0, 29)))
def test_timers_fire_in_order_of_due_and_of_setting_and_cancelled_ones_never(dues: list[int], cancel: set[int]) -> None:
    clock = frozen_at(0)
    fired: list[tuple[int, int]] = []
    timers = [clock.call_at(due, lambda due=due, at=at: fired.append((due, at))) for at, due in enumerate(dues)]
    for at in cancel:
        if at < len(timers):
            timers[at].cancel()
    clock.move_to(50)
    clock.fire_due()
    assert fired == sorted((due, at) for at, due in enumerate(dues) if at not in cancel)
    assert clock.next_due() is None


def test_a_timer_set_by_a_timer_fires_in_its_turn() -> None:
    clock = frozen_at(0)
    fired: list[str] = []

    def first() -> None:
        fired.append("first")
        clock.call_at(5, lambda: fired.append("set by first"))

    clock.call_at(5, first)
    clock.call_at(6, lambda: fired.append("later"))
    clock.move_to(6)
    clock.fire_due()
    assert fired == ["first", "set by first", "later"]


async def test_a_flowing_clock_fires_on_the_loop() -> None:
    clock = PlatformClock(MachineClock())
    clock.attach(asyncio.get_running_loop())
    rang = asyncio.Event()
    clock.call_at(clock.now() + 5, rang.set)
    await asyncio.wait_for(rang.wait(), 10)
    clock.detach()


async def test_a_frozen_clock_rings_nobody_until_it_flows() -> None:
    clock = PlatformClock(MachineClock())
    clock.attach(asyncio.get_running_loop())
    clock.freeze()
    rang = asyncio.Event()
    clock.call_at(clock.now(), rang.set)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not rang.is_set()
    clock.resume()
    await asyncio.wait_for(rang.wait(), 10)
    clock.detach()
