"""Doing things in parallel, each after those that it needs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

AT_ONCE = 16  # resources worked on at once: creations wait for syncs, which many of them share


async def each_after_its_needs(
    needs: Mapping[str, frozenset[str]], do: Callable[[str], Awaitable[None]], *, go_on: bool = False
) -> list[Exception]:
    """Do something for each name once all that it needs is done, as many at once as may be; returns the failures.

    After a failure nothing more is begun, what runs is waited for; with ``go_on`` only what needs the failed one is
    left out. Needs that are not among the names count as done. The needs must have no circle.
    """
    finished = {name: asyncio.Event() for name in needs}
    undone: set[str] = set()
    failures: list[Exception] = []
    slots = asyncio.Semaphore(AT_ONCE)

    async def run(name: str) -> None:
        for need in needs[name]:
            if need in finished:
                await finished[need].wait()
        try:
            if (failures and not go_on) or needs[name] & undone:
                undone.add(name)
                return
            async with slots:
                await do(name)
        except Exception as error:
            undone.add(name)
            failures.append(error)
        except asyncio.CancelledError:
            undone.add(name)
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            failures.append(RuntimeError(f"{name} was cancelled from within"))
        finally:
            finished[name].set()

    async with asyncio.TaskGroup() as group:
        for name in needs:
            group.create_task(run(name))
    return failures
