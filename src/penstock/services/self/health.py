"""What is ready and what is in force."""

from __future__ import annotations

from penstock.engine.context import Parts, WaitingContext
from penstock.engine.journal import faults_of
from penstock.engine.operation import Request, Response, operation
from penstock.services.self.applications import view
from penstock.services.self.rules import seconds


@operation
async def get_health(cx: WaitingContext, request: Request) -> Response:
    """What is ready: applications with their state and outputs, the sandbox in force, durability."""
    health = cx.parts.control.health()
    faults = await cx.read(faults_of)
    return {
        "status": "ready",
        "version": health["version"],
        "pid": health["pid"],
        "endpoint": health["url"],
        "dataDirectory": health["data"],
        "durability": health["durability"],
        "sandbox": health["sandbox"],
        "clock": clock_of(cx.parts),
        "services": health["services"],
        "applications": [_brief(found) for found in await cx.parts.applications.list()],
        "faults": faults.get("count", 0),
        "lastFault": faults.get("last", {}).get("message"),
    }


def clock_of(parts: Parts) -> Response:
    """Where the clock stands."""
    clock = parts.clock
    return {
        "now": seconds(clock.now()),
        "frozen": clock.frozen,
        "machineNow": seconds(parts.machine.now_ms()),
        "next": seconds(clock.next_due()),
    }


def _brief(described: Response) -> Response:
    """An application without its resources, which may be hundreds."""
    return {name: value for name, value in view(described).items() if name != "resources"}
