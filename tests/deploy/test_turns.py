"""Who may change an application, and when nobody does."""

from __future__ import annotations

import asyncio

from penstock.deploy.turns import Turns


async def test_nobody_is_alone_while_another_application_is_changed() -> None:
    turns, begun, end = Turns(), asyncio.Event(), asyncio.Event()

    async def second() -> None:
        async with turns.take("a", "r", "second"):
            begun.set()
            await end.wait()

    async with turns.take("a", "r", "first"):
        changing = asyncio.create_task(second())
        await begun.wait()
        async with turns.alone() as alone:
            assert not alone
        end.set()
        await changing
        async with turns.alone() as alone:
            assert alone


async def test_a_change_waits_for_who_is_alone() -> None:
    turns, begun = Turns(), asyncio.Event()

    async def second() -> None:
        async with turns.take("a", "r", "second"):
            begun.set()

    async with turns.take("a", "r", "first"), turns.alone() as alone:
        waiting = asyncio.create_task(second())
        for _ in range(10):
            await asyncio.sleep(0)
        assert alone and not begun.is_set()
    await waiting
    assert begun.is_set()
