"""What tests had services do: which operations answered which members, what was refused, which properties deployed.

A platform records when its registry is ``Recorder.registry``: the services in it are the ordinary ones, with each
operation and resource type wrapped. Nothing of this is in a platform that is not made by a test.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from penstock.base.errors import ApiError, Unsupported
from penstock.engine.model import OperationModel, load
from penstock.engine.operation import Operation
from penstock.engine.registry import Registry
from penstock.engine.resource import Declared, ResourceType
from penstock.engine.service import Service
from tests.coverage.watched import Node, input_of, properties, watch

Plain = dict[str, dict[str, Any]]


@dataclass(slots=True)
class Seen:
    """What was seen of one operation or resource type. All but ``answers`` are paths of members.

    ``sent`` were in a request that was answered, ``read`` of these by the operation; ``refused`` are named by the
    error that says that they are not supported.
    """

    answers: bool = False
    sent: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)

    def add(self, plain: Mapping[str, Any]) -> None:
        """Add what ``plain`` (of another one) says."""
        self.answers |= plain["answers"]
        for name in ("sent", "read", "refused"):
            getattr(self, name).update(plain[name])

    def plain(self) -> dict[str, Any]:
        """As values that travel between processes."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value if isinstance(value, bool) else sorted(value) for name, value in found.items()}

    def ignored(self, kept: frozenset[str]) -> list[str]:
        """What was sent, answered, never read and is not kept: settings that were silently ignored."""
        return sorted(path for path in self.sent - self.read if not within(path, kept))


def within(path: str, names: frozenset[str] | set[str]) -> bool:
    """Whether the member or one around it is among these."""
    while path:
        if path in names:
            return True
        path = path.rpartition(".")[0]
    return False


def _named(paths: set[str], message: str) -> set[str]:
    """The members that a refusal names; after "not supported" it says what to do instead."""
    words = set(re.findall(r"\w+", message.partition("not supported")[0]))
    return {path for path in paths if path.rpartition(".")[2] in words}


def _failed_in_part(answer: Any) -> bool:
    """Whether a batch was answered of which an entry failed: what it sent proves nothing."""
    return isinstance(answer, dict) and bool(answer.get("Failed") or answer.get("FailedEntryCount"))


class Recorder:
    """The record of one process's tests. ``muted`` while what runs is left to chance: nothing is added then."""

    def __init__(self) -> None:
        self.muted = False
        self.seen: dict[tuple[str, str], Seen] = {}  # (service, operation or resource type)
        self.refused: set[tuple[str, str]] = set()  # operations that were refused by name

    def of(self, service: str, name: str) -> Seen:
        """What was seen of an operation or a resource type."""
        return self.seen.setdefault((service, name), Seen())

    def refusal(self, service: str, operation: str, member: str = "") -> None:
        """A test saw the clear refusal of an operation, or of a member or property."""
        if member:
            self.of(service, operation).refused.add(member)
        else:
            self.refused.add((service, operation))

    def service(self, service: Service) -> Service:
        """The service, recorded."""
        return _watched_service(self, service)

    def registry(self, packages: Mapping[str, str], *, schemas: Sequence[str] = ("penstock.engine",)) -> Registry:
        """A registry whose services are recorded."""
        return _Registry(self, packages, schemas)

    def plain(self) -> dict[str, Any]:
        """The record as values that travel between processes, always in the same order."""
        return {
            "seen": [[*key, self.seen[key].plain()] for key in sorted(self.seen)],
            "refused": sorted(list(each) for each in self.refused),
        }

    def add(self, plain: Mapping[str, Any]) -> None:
        """Add the record of another process."""
        for service, name, seen in plain["seen"]:
            self.of(service, name).add(seen)
        self.refused.update((service, name) for service, name in plain["refused"])


class _Registry(Registry):
    def __init__(self, recorder: Recorder, packages: Mapping[str, str], schemas: Sequence[str]) -> None:
        super().__init__(packages, schemas=schemas)
        self._recorder = recorder

    def service(self, name: str) -> Service:
        """The recorded service of this name."""
        if name not in self._services:
            self._services[name] = _watched_service(self._recorder, super().service(name))
        return self._services[name]


def _watched_service(recorder: Recorder, service: Service) -> Service:
    model = load(service.model or service.name)
    return replace(
        service,
        operations={
            name: operation if operation.internal else watched(recorder, service.name, model.operation(name), operation)
            for name, operation in service.operations.items()
        },
        resources=[_watched_type(recorder, service.name, type_) for type_ in service.resources],
    )


class _Watch:
    """Watches the requests of one operation or resource type."""

    def __init__(self, recorder: Recorder, service: str, name: str, place: Callable[[], Node]) -> None:
        self._recorder = recorder
        self._key = (service, name)
        self._place = place

    @cached_property
    def _node(self) -> Node:
        return self._place()

    def request(self, given: Mapping[str, Any]) -> tuple[Any, set[str], set[str]]:
        """The request to hand on, and the sets that tell which members were sent and read."""
        sent, read = set[str](), set[str]()
        if self._recorder.muted:
            return given, sent, read
        return watch(given, self._node, sent, read), sent, read

    def ended(self, sent: set[str], read: set[str], error: ApiError | None = None) -> None:
        """Note how a request ended."""
        if self._recorder.muted:
            return
        seen = self._recorder.of(*self._key)
        if error is None:
            seen.answers = True
            seen.sent |= sent
            seen.read |= read
        elif isinstance(error, Unsupported):
            seen.refused |= _named(sent, error.message)

    def around(self, function: Callable[..., Any], *, gives_up: bool = False) -> Callable[..., Any]:
        """An operation's function, watched. ``gives_up``: its answer None means that it has to be asked again."""

        def run(cx: Any, request: Mapping[str, Any]) -> Any:
            watched, sent, read = self.request(request)
            try:
                result = function(cx, watched)
            except ApiError as error:
                self.ended(sent, read, error)
                raise
            if (result is not None or not gives_up) and not _failed_in_part(result):
                self.ended(sent, read)
            return result

        async def wait(cx: Any, request: Mapping[str, Any]) -> Any:
            watched, sent, read = self.request(request)
            try:
                result = await function(cx, watched)
            except ApiError as error:
                self.ended(sent, read, error)
                raise
            if not _failed_in_part(result):
                self.ended(sent, read)
            return result

        return wait if inspect.iscoroutinefunction(function) else run


def watched(recorder: Recorder, service: str, model: OperationModel, operation: Operation) -> Operation:
    """The operation, with its requests recorded."""
    watch_ = _Watch(recorder, service, operation.name, lambda: input_of(model))
    first = operation.first
    return replace(
        operation,
        function=watch_.around(operation.function),
        first=None if first is None else watch_.around(first, gives_up=True),
    )


def _watched_type(recorder: Recorder, service: str, type_: ResourceType) -> ResourceType:
    watch_ = _Watch(recorder, service, type_.name, lambda: properties(type_))

    def around(function: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        async def run(cx: Any, declared: Declared, *others: Any) -> Any:
            given, sent, read = watch_.request(declared.properties)
            result = await function(cx, replace(declared, properties=given), *others)
            watch_.ended(sent, read)
            return result

        return run

    return replace(type_, create=around(type_.create), update=around(type_.update))
