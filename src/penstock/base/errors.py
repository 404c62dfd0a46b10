"""Every error Penstock raises on purpose.

    PenstockError
    ├── ApiError                an AWS error: the edge encodes it in the caller's protocol
    │   ├── ValidationError     the request breaks the API model (AWS: ValidationException)
    │   └── Unsupported         a setting or operation that AWS has and Penstock refuses by name (501)
    ├── StoreError
    │   ├── StoreFailed         SQLite could not carry out a statement: neither the caller's fault nor the code's
    │   ├── StoreFull           no room on the disk or in the WAL: writes are refused, reads and deletes pass
    │   ├── StoreLost           a sync failed: what is on the disk is unknown, the process must end
    │   ├── SchemaTooNew        the data directory was written by a newer Penstock
    │   └── DataDirectoryInUse  another server owns the data directory
    ├── DeliveryError           how one attempt of a delivery ended
    │   ├── RefusedForNow       the target may take it later; counts as an attempt
    │   ├── Throttled           the target has no room now; does not count as an attempt
    │   ├── CutOff              the server ended while it ran; does not count as an attempt, unless it happens often
    │   └── Undeliverable       no later attempt can succeed
    ├── CannotRun               the machine could not run a function's code at all
    └── TemplateError           a template that cannot be deployed, with the resource and line

The message always tells the reader what to do next.
"""

from __future__ import annotations

from typing import Any


class PenstockError(Exception):
    """The root of the tree."""


class ApiError(PenstockError):
    """An error as AWS answers it: ``code`` is the shape's name in the API model (or the bare code).

    A service subclasses it once per error shape and sets ``code`` and ``status``. ``fields`` are further
    members of the error's shape. The wire form is decided at the edge, from the model.
    """

    code: str = "InternalFailure"
    status: int = 400

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        status: int | None = None,
        fields: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        if status is not None:
            self.status = status
        self.fields = fields or {}

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class ValidationError(ApiError):
    """The request does not satisfy the API model."""

    code = "ValidationException"


class Unsupported(ApiError):
    """AWS has it and Penstock refuses it: says which setting of which operation, and what to do instead."""

    code = "NotImplemented"
    status = 501


class StoreError(PenstockError):
    """The store could not do what was asked."""


class StoreFailed(StoreError):
    """SQLite could not carry out a statement. What code got wrong (bad SQL, a broken constraint) is not this."""


class StoreFull(StoreError):
    """The disk or the write-ahead log has no room. Writes are refused until there is."""


class StoreLost(StoreError):
    """A sync failed; nobody knows what the disk holds. The process ends and restarts from the disk."""


class SchemaTooNew(StoreError):
    """A newer Penstock wrote this data directory."""


class DataDirectoryInUse(StoreError):
    """Another server has the data directory; ``owner`` is what its lock says."""

    def __init__(self, message: str, owner: dict[str, Any]) -> None:
        super().__init__(message)
        self.owner = owner


class DeliveryError(PenstockError):
    """How one attempt of a delivery failed.

    ``code`` is AWS's error code where there is one, ``result`` what the target answered all the same, ``detail`` what
    the journal is to tell of the attempt beside these.
    """

    def __init__(
        self, message: str, *, code: str = "", result: bytes | None = None, detail: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.result = result
        self.detail = detail or {}


class RefusedForNow(DeliveryError):
    """The attempt failed and a later one may succeed."""


class Throttled(DeliveryError):
    """The target has no room now. The delivery waits and its attempts are not counted.

    ``run_ms`` is how long an attempt may take at most, 0 when nobody knows.
    """

    def __init__(self, message: str, *, code: str = "", run_ms: int = 0) -> None:
        super().__init__(message, code=code)
        self.run_ms = run_ms


class CutOff(DeliveryError):
    """The server ended while the attempt ran: nobody knows how far it came. It is made again, and not counted.

    ``again``: that had happened to the same delivery before.
    """

    def __init__(self, message: str, *, code: str, again: bool) -> None:
        super().__init__(message, code=code)
        self.again = again


class Undeliverable(DeliveryError):
    """No later attempt can succeed: the target is gone or rejects the event for good."""


class CannotRun(PenstockError):
    """The machine cannot run this function: a missing runtime, no room, a broken package."""


class TemplateError(PenstockError):
    """A template that cannot be deployed. ``resource`` is the logical id, ``line`` counts from 1."""

    def __init__(self, message: str, *, resource: str | None = None, line: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.resource = resource
        self.line = line
