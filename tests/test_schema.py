"""The scripts of the schema: what a data directory was made with stays as it was, so that later versions open it."""

from __future__ import annotations

from penstock.engine.registry import Registry
from penstock.platform import SERVICES

# The digest's first 16 digits. A script that has reached anybody is never edited, not even its comments (``migrate``
# would refuse the directory): what changes is a script of its own, added here with the next free number.
PUBLISHED = {
    "engine/journal.sql": "aaff0ca0e6351df1",
    "engine/journal_2_void.sql": "5ed3fbe48ee7b26e",
    "deploy/tables.sql": "55f79dcd25870dec",
    "deploy/tables_2_endpoint.sql": "5f4c77069ed683b8",
    "sqs/tables.sql": "cea81c39e190fffd",
    "sqs/tables_2_groups.sql": "68b6477451607e2c",
    "lambda_/tables.sql": "ed8e5a8411838db3",
    "events/tables.sql": "8984eb4b473a1270",
    "logs/tables.sql": "cdaf0b78cb70c46b",
    "logs/tables_2_policies.sql": "7c6595720772f611",
    "logs/tables_3_subscriptions.sql": "473fd4b9e1583598",
    "sts/tables.sql": "fea1aaa86ec60af9",
    "iam/tables.sql": "d7c6357bc9baaaa7",
    "iam/tables_2_account.sql": "e83a0441be1f0c04",
}


def test_published_scripts_stay_as_they_are() -> None:
    scripts = Registry(SERVICES, schemas=("penstock.engine", "penstock.deploy")).scripts()
    assert {script.name: script.digest[:16] for script in scripts} == PUBLISHED
