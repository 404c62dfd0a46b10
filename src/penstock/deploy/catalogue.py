"""The resource types that the services of this platform offer."""

from __future__ import annotations

from collections.abc import Iterable

from penstock.deploy.stubs import CDK_METADATA
from penstock.engine.resource import ResourceType
from penstock.engine.service import Service


class Catalogue:
    """Resource types by name, and the service that each belongs to."""

    def __init__(self, services: Iterable[Service]) -> None:
        self._types = {CDK_METADATA.name: ("self", CDK_METADATA)}
        for service in services:
            for type_ in service.resources:
                self._types[type_.name] = (service.name, type_)

    def find(self, name: str) -> ResourceType | None:
        """The type of this name, such as AWS::SQS::Queue, or None."""
        found = self._types.get(name)
        return found[1] if found else None

    def service_of(self, name: str) -> str:
        """The name of the service that offers a type."""
        return self._types[name][0]

    @property
    def names(self) -> frozenset[str]:
        """The names of all types."""
        return frozenset(self._types)
