"""The AWS API models: botocore's data, read lazily per service and compiled once per operation.

``load("sqs").operation("SendMessage").check(request)`` validates a request in AWS's words. botocore itself is not
imported: only its ``service-2.json`` files are read, because importing it costs time and memory at start.
"""

from __future__ import annotations

from penstock.engine.model.check import broken_constraints
from penstock.engine.model.service import (
    ErrorModel,
    OperationModel,
    ServiceModel,
    known_models,
    load,
    no_such_operation,
)
from penstock.engine.model.shapes import Member, Shape

__all__ = [
    "ErrorModel",
    "Member",
    "OperationModel",
    "ServiceModel",
    "Shape",
    "broken_constraints",
    "known_models",
    "load",
    "no_such_operation",
]
