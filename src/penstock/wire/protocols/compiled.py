"""What is compiled once per shape, such as its reader: also of shapes that contain themselves."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar, cast

F = TypeVar("F")


class Compiled(Generic[F]):
    """Functions by what they are made of. One that refers to itself while it is made finds itself when it runs."""

    def __init__(self) -> None:
        self._made: dict[Hashable, F] = {}
        self._begun: set[Hashable] = set()

    def of(self, key: Hashable, make: Callable[[], F]) -> F:
        """The function of this key, made when it is first asked for."""
        if key in self._made:
            return self._made[key]
        if key in self._begun:
            made: dict[Hashable, Any] = self._made

            def itself(*arguments: Any) -> Any:
                return made[key](*arguments)

            return cast(F, itself)
        self._begun.add(key)
        function = self._made[key] = make()
        return function
