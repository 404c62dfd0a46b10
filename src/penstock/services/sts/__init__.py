"""AWS Security Token Service: who calls, and temporary keys that work."""

from __future__ import annotations

from penstock.engine.operation import operations_of
from penstock.engine.service import Service
from penstock.services.sts import sessions

SERVICE = Service(
    "sts",
    operations_of(sessions),
    model="sts",
    start=sessions.start,
    reset=sessions.reset,
)
