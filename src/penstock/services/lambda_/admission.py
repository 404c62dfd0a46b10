"""Who may run now: units of concurrency, of a function's own reservation or of what an account's other functions share.

A mapping's batch that finds no unit is tried again later, as long as its messages are hidden. Events that wait in the
function's own queue take each unit as it comes free, and so do new batches; all the batch's tries could be in vain.
So a unit is kept for it until then, and at most half of all units are, so that nobody waits for the batches alone.
Synchronous invokes take what is there. Ours: AWS says nothing of who comes first.
"""

from __future__ import annotations

from typing import Final

from penstock.engine.pump import LONGEST_THROTTLED_MS
from penstock.services.lambda_.errors import TooManyRequests
from penstock.services.lambda_.records import Loaded, Memory, decrement

KEPT_MS: Final = LONGEST_THROTTLED_MS + 1_000  # platform ms that a unit is kept for a batch: until its next try


def left(memory: Memory, loaded: Loaded) -> int:
    """How many invocations may begin."""
    row = loaded.row
    if row.reserved is not None:
        return row.reserved - memory.running[row.arn]
    return loaded.unreserved - memory.unreserved[row.account, row.region]


def left_for_events(memory: Memory, loaded: Loaded, now: int) -> int:
    """How many of the events that wait for the function may begin."""
    return left(memory, loaded) - _kept(memory, loaded, now)


def admit(memory: Memory, loaded: Loaded, kept: int = 0) -> None:
    """Take one unit; TooManyRequests when none is left but those that are ``kept`` for others."""
    row = loaded.row
    if left(memory, loaded) <= kept:
        limit = "ConcurrentInvocationLimitExceeded"
        raise TooManyRequests("Rate Exceeded.", Reason=limit if row.reserved is None else f"ReservedFunction{limit}")
    memory.running[row.arn] += 1
    if row.reserved is None:
        memory.unreserved[row.account, row.region] += 1


def admit_batch(memory: Memory, loaded: Loaded, run: int, now: int) -> None:
    """Take one unit for a mapping's batch; when there is none, TooManyRequests, and one is kept for its next try."""
    turned_away = memory.turned_away.setdefault(loaded.row.arn, {})
    first = turned_away.pop(run, None) is not None
    try:
        admit(memory, loaded, 0 if first else _kept(memory, loaded, now))
    except TooManyRequests:
        turned_away[run] = now + KEPT_MS
        raise


def dismiss(memory: Memory, loaded: Loaded) -> None:
    """Give back what was taken."""
    row = loaded.row
    decrement(memory.running, row.arn)
    if row.reserved is None:
        decrement(memory.unreserved, (row.account, row.region))


def _kept(memory: Memory, loaded: Loaded, now: int) -> int:
    """How many units are kept for batches that were turned away."""
    turned_away = memory.turned_away.get(loaded.row.arn)
    if not turned_away:
        return 0
    for run in [run for run, until in turned_away.items() if until <= now]:
        del turned_away[run]
    units = loaded.unreserved if loaded.row.reserved is None else loaded.row.reserved
    return min(len(turned_away), units // 2)
