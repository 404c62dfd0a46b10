"""The errors of Penstock's own API, named as in service-2.json."""

from __future__ import annotations

from penstock.base.errors import ApiError


class NotFound(ApiError):
    """There is no such event, application or queue."""

    code = "NotFoundException"
    status = 404


class InvalidRequest(ApiError):
    """A value that cannot be used; the message says what can."""

    code = "InvalidRequestException"
