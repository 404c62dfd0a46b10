"""Penstock's own API, under /_penstock/: clock, quiet, journal, queue contents, applications, reset."""

from __future__ import annotations

from penstock.engine.operation import operations_of
from penstock.engine.service import Service
from penstock.services.self import applications, clock, health, journal, lines, messages, pages, quiet, resets

SERVICE = Service(
    "self",
    operations_of(applications, clock, health, journal, lines, messages, pages, quiet, resets),
    model=pages.MODEL,
)
