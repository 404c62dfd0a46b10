"""CloudFormation types of a service, applied one by one as ``deploy`` does, without a template."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from penstock.engine.context import Call, WaitingContext
from penstock.engine.resource import Declared, Physical, ResourceType
from penstock.testing.platform import PlatformThread


class Applied:
    """Applies resources of one service."""

    def __init__(self, platform: PlatformThread, service: str) -> None:
        self.platform = platform
        self.service = service
        self.client = platform.client(service)

    def run(self, work: Any) -> Any:
        """Carry out a work on a context of deploy's."""
        call = Call.own("self", "Deploy", host=self.platform.url.removeprefix("http://"))

        async def carry_out() -> Any:
            outcome: Coroutine[Any, Any, Any] = work(WaitingContext(self.platform.platform.parts, call))
            return await outcome

        return self.platform.run(carry_out())

    def create(self, type_: str, name: str = "stack-Logical-ABC", **properties: Any) -> tuple[Physical, Declared]:
        """Create a resource, of this generated name."""
        declared = Declared("Logical", type_, properties, name, tags={"stack": "orders"})
        return self.run(lambda cx: self.type(type_).create(cx, declared)), declared

    def update(self, old: Declared, physical: Physical, **properties: Any) -> Physical:
        """Give a resource other properties."""
        new = Declared("Logical", old.type, properties, old.generated_name, tags=old.tags)
        updated: Physical = self.run(lambda cx: self.type(old.type).update(cx, new, old, physical))
        return updated

    def delete(self, type_: str, physical: Physical) -> None:
        """Delete a resource."""
        self.run(lambda cx: self.type(type_).delete(cx, physical))

    def type(self, name: str) -> ResourceType:
        """A type of the service."""
        resources = self.platform.platform.registry.service(self.service).resources
        return next(each for each in resources if each.name == name)
