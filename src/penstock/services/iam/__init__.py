"""AWS Identity and Access Management: roles, users, groups and policies, kept until access is enforced."""

from __future__ import annotations

from penstock.engine.operation import operations_of
from penstock.engine.service import Service
from penstock.services.iam import (
    account,
    devices,
    groups,
    linked,
    logins,
    policies,
    profiles,
    providers,
    reports,
    roles,
    users,
)
from penstock.services.iam.resources import RESOURCES

SERVICE = Service(
    "iam",
    operations_of(roles, policies, users, groups, profiles, linked, account, logins, providers, reports, devices),
    model="iam",
    resources=RESOURCES,
    start=users.start,
    reset=users.reset,
)
