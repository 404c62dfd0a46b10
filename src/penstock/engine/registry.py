"""The services by name: the one place where anything is imported lazily."""

from __future__ import annotations

import importlib
import importlib.resources
from collections.abc import Iterator, Mapping, Sequence

from penstock.base.names import Arn
from penstock.engine.service import DeliveryKind, Service
from penstock.store.migrations import Script


class Registry:
    """The services of a platform: their name in ARNs → the package that offers ``SERVICE``."""

    def __init__(self, packages: Mapping[str, str], *, schemas: Sequence[str] = ("penstock.engine",)) -> None:
        self.packages = dict(packages)
        self._schemas = tuple(schemas)
        self._services: dict[str, Service] = {}
        self._kinds: dict[str, DeliveryKind] = {}

    def __contains__(self, name: str) -> bool:
        return name in self.packages

    def service(self, name: str) -> Service:
        """The service of this name, imported when it is first asked for; KeyError when there is none."""
        service = self._services.get(name)
        if service is None:
            service = importlib.import_module(self.packages[name]).SERVICE
            self._services[name] = service
            self._kinds.update({kind.name: kind for kind in service.kinds})
        return service

    def all(self) -> Iterator[Service]:
        """Every service, imported."""
        return (self.service(name) for name in self.packages)

    def of_arn(self, arn: str) -> Service | None:
        """The service an ARN belongs to, or None when there is no such service here."""
        try:
            name = Arn.parse(arn).service
        except ValueError:
            return None
        return self.service(name) if name in self.packages else None

    def kind(self, name: str) -> DeliveryKind:
        """The kind of delivery of this name ("lambda:async"); its service's name comes before the colon."""
        kind = self._kinds.get(name)
        if kind is None:
            self.service(name.partition(":")[0])
            kind = self._kinds[name]
        return kind

    def scripts(self) -> list[Script]:
        """The schema: the engine's scripts, then each service's ``tables*.sql`` in order of their names.

        ``schemas`` are the packages that have scripts and are no services.
        """
        return [script for package in (*self._schemas, *self.packages.values()) for script in _scripts(package)]


def _scripts(package: str) -> list[Script]:
    folder = importlib.resources.files(package)
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    short = package.removeprefix("penstock.").removeprefix("services.")
    return [Script(f"{short}/{name}", folder.joinpath(name).read_text()) for name in names]
