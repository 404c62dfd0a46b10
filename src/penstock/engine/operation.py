"""Operations: plain functions with AWS's name in snake_case.

    @operation
    def delete_queue(cx: Context, request: Request) -> Response: ...

    @operation(kept={"Tags"}, refused={"KmsMasterKeyId": "leave it out: messages are not encrypted at rest here"})
    async def invoke(cx: WaitingContext, request: Request) -> Response: ...

``def`` is one transaction; ``async def`` may wait. Every member of the operation's input in the API model is
executed (the function reads it), *kept* (stored and given back, without effect) or *refused*: the dispatcher
answers a request that sets a refused member with an error naming it and what to do instead. A kept member may stand
inside another: ``kept={"Attributes.Policy"}``. docs/coverage tells which of it tests confirmed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, overload

_FREEING = ("Delete", "Purge", "Remove", "Untag", "Cancel", "Receive", "Reset")  # or has to come before: Receive

Request = dict[str, Any]
Response = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a service. ``name`` is AWS's, such as SendMessage; ``waits`` whether it is ``async def``.

    ``frees``: it gives room back, so the store lets it pass when the disk is full. ``internal``: it is not in AWS's
    model, so that only other services reach it, unchecked, through ``Context.call``. ``first`` belongs to an
    ``async def``: a ``def`` that is tried before it, in one transaction, and returns None when the answer has to wait.
    """

    name: str
    function: Callable[..., Any]
    waits: bool
    kept: frozenset[str] = frozenset()
    refused: Mapping[str, str] = field(default_factory=dict)
    frees: bool = False
    internal: bool = False
    first: Callable[..., Any] | None = None


def frees_room(name: str) -> bool:
    """Whether the operation of this name gives room back, so that a full disk must not stop it."""
    return name.startswith(_FREEING)


def aws_name(snake: str) -> str:
    """AWS's name of an operation function: send_message → SendMessage."""
    return "".join(word[:1].upper() + word[1:] for word in snake.split("_"))


@overload
def operation(function: Callable[..., Any], /) -> Callable[..., Any]: ...
@overload
def operation(
    *,
    name: str | None = None,
    kept: Iterable[str] = (),
    refused: Mapping[str, str] | None = None,
    internal: bool = False,
    first: Callable[..., Any] | None = None,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...
def operation(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    kept: Iterable[str] = (),
    refused: Mapping[str, str] | None = None,
    internal: bool = False,
    first: Callable[..., Any] | None = None,
) -> Any:
    """Mark a function as an operation. ``name`` where AWS's is not the function's in camel case (PutRolePolicy is)."""

    def mark(function: Callable[..., Any]) -> Callable[..., Any]:
        known_as = name or aws_name(function.__name__)
        function.operation = Operation(  # type: ignore[attr-defined]
            known_as,
            function,
            inspect.iscoroutinefunction(function),
            frozenset(kept),
            dict(refused or {}),
            frees_room(known_as),
            internal,
            first,
        )
        return function

    return mark(function) if function is not None else mark


def operations_of(*modules: ModuleType) -> dict[str, Operation]:
    """Every operation that the modules define, by AWS's name."""
    found: dict[str, Operation] = {}
    for module in modules:
        for value in vars(module).values():
            marked = getattr(value, "operation", None)
            if isinstance(marked, Operation) and value.__module__ == module.__name__:
                found[marked.name] = marked
    return found
