"""Applications in the store: rows of ``tables.sql`` and the transactions that change them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from penstock.deploy import packages
from penstock.deploy.check import Wanted
from penstock.deploy.plan import Existing
from penstock.engine.resource import Physical
from penstock.store.store import Reader, Row, Transaction

CREATING: Final = "CREATE_IN_PROGRESS"
CREATED: Final = "CREATE_COMPLETE"
CREATE_FAILED: Final = "CREATE_FAILED"
UPDATING: Final = "UPDATE_IN_PROGRESS"
UPDATED: Final = "UPDATE_COMPLETE"
UPDATE_FAILED: Final = "UPDATE_FAILED"
CLEANING: Final = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
ROLLING_BACK: Final = "ROLLBACK_IN_PROGRESS"
ROLLED_BACK: Final = "ROLLBACK_COMPLETE"
ROLLBACK_FAILED: Final = "ROLLBACK_FAILED"
UPDATE_ROLLING_BACK: Final = "UPDATE_ROLLBACK_IN_PROGRESS"
UPDATE_ROLLED_BACK: Final = "UPDATE_ROLLBACK_COMPLETE"
UPDATE_ROLLBACK_FAILED: Final = "UPDATE_ROLLBACK_FAILED"
DELETING: Final = "DELETE_IN_PROGRESS"
DELETED: Final = "DELETE_COMPLETE"
DELETE_FAILED: Final = "DELETE_FAILED"

# A first deployment that has not ended well: undoing it leaves nothing.
FIRST: Final = frozenset({CREATING, ROLLING_BACK, ROLLBACK_FAILED})
# Left in the middle: by a crash, or by a rollback that could not be finished.
UNFINISHED: Final = frozenset({
    CREATING, UPDATING, CLEANING, ROLLING_BACK, ROLLBACK_FAILED, UPDATE_ROLLING_BACK, UPDATE_ROLLBACK_FAILED, DELETING,
})  # fmt: skip

_STACK: Final = (
    "SELECT id, account, region, name, arn, status, reason, deployment, template, parameters, tags, description, kept, "
    "code, created, updated FROM stack"
)
_RESOURCE: Final = (
    "SELECT id, stack, logical_id, generation, type, name, status, reason, physical_id, attributes, properties, tags, "
    "previous, needs, retain_on_delete, retain_on_replace, stub, deployment, created_in, obsolete FROM stack_resource"
)


@dataclass(slots=True)
class Stack:
    """One application."""

    id: int
    account: str
    region: str
    name: str
    arn: str
    status: str
    reason: str
    deployment: int
    template: str
    parameters: dict[str, str]
    tags: dict[str, str]
    description: str
    kept: list[str]
    code: list[dict[str, Any]]
    created: int
    updated: int


@dataclass(slots=True)
class Resource:
    """One physical resource of an application."""

    id: int
    stack: int
    logical_id: str
    generation: int
    type: str
    name: str
    status: str
    reason: str
    physical_id: str | None
    attributes: dict[str, Any]
    properties: dict[str, Any]
    tags: dict[str, str]
    previous: dict[str, Any] | None
    needs: list[str]
    retain_on_delete: bool
    retain_on_replace: bool
    stub: bool
    deployment: int
    created_in: int
    obsolete: bool

    def physical(self) -> Physical | None:
        """What exists of it, or None while that is not known."""
        return None if self.physical_id is None else Physical(self.physical_id, self.attributes)

    def existing(self) -> Existing:
        """As the plan sees it."""
        return Existing(
            self.id, self.logical_id, self.type, self.name, self.generation, self.physical() or Physical(""),
            self.properties, self.tags, frozenset(self.needs), self.retain_on_delete, self.retain_on_replace, self.stub,
        )  # fmt: skip


def _stack(row: Row) -> Stack:
    values = list(row)
    for index in (9, 10, 12, 13):
        values[index] = json.loads(values[index])
    return Stack(*values)


def _resource(row: Row) -> Resource:
    values = list(row)
    for index in (9, 10, 11, 12, 13):
        values[index] = None if values[index] is None else json.loads(values[index])
    for index in (14, 15, 16, 19):
        values[index] = bool(values[index])
    return Resource(*values)


def find(reader: Reader, account: str, region: str, name: str) -> Stack | None:
    """The application of this name, or None."""
    row = reader.one(f"{_STACK} WHERE account = ? AND region = ? AND name = ?", (account, region, name))
    return None if row is None else _stack(row)


def all_stacks(reader: Reader) -> list[Stack]:
    """Every application, by name."""
    return [_stack(row) for row in reader.all(f"{_STACK} ORDER BY name, account, region")]


def resources(reader: Reader, stack: int) -> list[Resource]:
    """Every physical resource of an application, by when it was made."""
    return [_resource(row) for row in reader.all(f"{_RESOURCE} WHERE stack = ? ORDER BY id", (stack,))]


def outputs(reader: Reader, stack: int) -> dict[str, Any]:
    """An application's outputs."""
    rows = reader.all("SELECT name, value FROM stack_output WHERE stack = ? ORDER BY name", (stack,))
    return {name: json.loads(value) for name, value in rows}


def exports(reader: Reader, account: str, region: str) -> dict[str, tuple[int, Any]]:
    """Every export of an account and region: who exports it, and its value."""
    rows = reader.all("SELECT name, stack, value FROM stack_export WHERE account = ? AND region = ?", (account, region))
    return {name: (stack, json.loads(value)) for name, stack, value in rows}


def importers(reader: Reader, account: str, region: str, name: str, besides: int) -> list[str]:
    """The names of other applications that import an export."""
    rows = reader.all(
        "SELECT stack.name FROM stack_import JOIN stack ON stack.id = stack_import.stack "
        "WHERE stack_import.account = ? AND stack_import.region = ? AND stack_import.name = ? AND stack.id <> ? "
        "ORDER BY stack.name",
        (account, region, name, besides),
    )
    return [row[0] for row in rows]


def next_generation(reader: Reader, stack: Stack, logical_id: str) -> int:
    """A generation of a logical id whose name no resource has: neither one of the application nor a retained one."""
    row = reader.one(
        "SELECT max(generation) FROM ("
        "SELECT generation FROM stack_resource WHERE stack = ? AND logical_id = ? UNION ALL "
        "SELECT generation FROM stack_retained WHERE account = ? AND region = ? AND stack = ? AND logical_id = ?)",
        (stack.id, logical_id, stack.account, stack.region, stack.name, logical_id),
    )
    return 0 if row is None or row[0] is None else int(row[0]) + 1


def move(tx: Transaction, endpoint: str) -> None:
    """Say in every application where the platform is reached now; what they were declared with stays as it was.

    So the next deployment sees what refers to an address that is no longer true, and changes it.
    """
    for stack, old in tx.all("SELECT id, endpoint FROM stack WHERE endpoint NOT IN ('', ?)", (endpoint,)):
        tx.write(
            "UPDATE stack_resource SET physical_id = replace(physical_id, ?1, ?2), "
            "attributes = replace(attributes, ?1, ?2) WHERE stack = ?3",
            (old, endpoint, stack),
        )
        for table in ("stack_output", "stack_export"):
            tx.write(f"UPDATE {table} SET value = replace(value, ?1, ?2) WHERE stack = ?3", (old, endpoint, stack))
        tx.write("UPDATE stack SET endpoint = ? WHERE id = ?", (endpoint, stack))


def begin(tx: Transaction, stack: Stack, endpoint: str, now: int) -> None:
    """Start a deployment: insert the application when it is new (id 0), else count the deployment."""
    if stack.id == 0:
        [(stack.id,)] = tx.returning(
            "INSERT INTO stack (account, region, name, arn, status, deployment, template, created, updated, endpoint) "
            "VALUES (?,?,?,?,?,?,?,?,?,?) RETURNING id",
            (stack.account, stack.region, stack.name, stack.arn, stack.status, stack.deployment, stack.template,
             now, now, endpoint),
        )  # fmt: skip
    else:
        tx.write(
            "UPDATE stack SET status = ?, reason = '', deployment = ?, updated = ?, endpoint = ? WHERE id = ?",
            (stack.status, stack.deployment, now, endpoint, stack.id),
        )


def set_status(tx: Transaction, stack: int, status: str, reason: str, now: int) -> None:
    """Say how an application is."""
    tx.write("UPDATE stack SET status = ?, reason = ?, updated = ? WHERE id = ?", (status, reason[:4000], now, stack))


def insert_resource(tx: Transaction, resource: Resource, now: int) -> int:
    """Write down a resource that is about to be created; its row's id."""
    [(row,)] = tx.returning(
        "INSERT INTO stack_resource (stack, logical_id, generation, type, name, status, properties, tags, needs, "
        "retain_on_delete, retain_on_replace, stub, deployment, created_in, updated) "
        "VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) RETURNING id",
        (
            resource.stack, resource.logical_id, resource.generation, resource.type, resource.name, resource.status,
            json.dumps(resource.properties), json.dumps(resource.tags), json.dumps(resource.needs),
            int(resource.retain_on_delete), int(resource.retain_on_replace), int(resource.stub), resource.deployment,
            resource.created_in, now,
        ),
    )  # fmt: skip
    return int(row)


def made(tx: Transaction, row: int, status: str, physical: Physical, now: int) -> None:
    """Write down what exists of a resource after it was created or updated."""
    tx.write(
        "UPDATE stack_resource SET status = ?, reason = '', physical_id = ?, attributes = ?, updated = ? WHERE id = ?",
        (status, physical.id, json.dumps(dict(physical.attributes)), now, row),
    )


def change(tx: Transaction, old: Resource, new: Resource, deployment: int, now: int) -> None:
    """Write down that a resource is about to be changed, and what it was.

    What it needs is that of the new template from now on, as it is of what this deployment creates: they are undone
    together, in the reverse of one order.
    """
    previous = {"properties": old.properties, "tags": old.tags, "needs": old.needs}
    tx.write(
        "UPDATE stack_resource SET status = ?, properties = ?, tags = ?, needs = ?, previous = ?, deployment = ?, "
        "updated = ? WHERE id = ?",
        (UPDATING, json.dumps(new.properties), json.dumps(new.tags), json.dumps(new.needs), json.dumps(previous),
         deployment, now, old.id),
    )  # fmt: skip


def unchanged(tx: Transaction, resource: Resource, physical: Physical, now: int) -> None:
    """Write down that a resource is again what it was before the deployment changed it."""
    previous = resource.previous or {}
    tx.write(
        "UPDATE stack_resource SET status = ?, reason = '', properties = ?, tags = ?, needs = ?, previous = NULL, "
        "physical_id = ?, attributes = ?, updated = ? WHERE id = ?",
        (UPDATED, json.dumps(previous.get("properties", resource.properties)), json.dumps(previous.get("tags", {})),
         json.dumps(previous.get("needs", resource.needs)), physical.id, json.dumps(dict(physical.attributes)), now,
         resource.id),
    )  # fmt: skip


def failed(tx: Transaction, row: int, status: str, reason: str, now: int) -> None:
    """Write down that something could not be done to a resource."""
    tx.write(
        "UPDATE stack_resource SET status = ?, reason = ?, updated = ? WHERE id = ?", (status, reason[:4000], now, row)
    )


def set_properties(tx: Transaction, row: int, properties: Mapping[str, Any], now: int) -> None:
    """Write down what a resource was changed to outside a deployment: new code under ``--watch``."""
    tx.write("UPDATE stack_resource SET properties = ?, updated = ? WHERE id = ?", (json.dumps(properties), now, row))


def forget_resource(tx: Transaction, resource: Resource, stack: Stack, *, retained: bool) -> None:
    """Remove a resource's row; ``retained`` remembers that its name stays in use."""
    tx.write("DELETE FROM stack_resource WHERE id = ?", (resource.id,))
    if retained:
        tx.write(
            "INSERT INTO stack_retained VALUES (?,?,?,?,?) ON CONFLICT DO UPDATE SET "
            "generation = max(generation, excluded.generation)",
            (stack.account, stack.region, stack.name, resource.logical_id, resource.generation),
        )


@dataclass(frozen=True, slots=True)
class Success:
    """What a deployment that succeeded leaves in the store."""

    status: str
    wanted: Mapping[str, Wanted]
    current: Mapping[str, int]  # logical id → the row that is now the resource
    outputs: Mapping[str, tuple[Any, str]]  # name → value, description
    exports: Mapping[str, Any]
    imports: Iterable[str]
    template: str
    parameters: Mapping[str, str]
    tags: Mapping[str, str]
    description: str
    kept: Iterable[str]
    code: list[dict[str, Any]] = field(default_factory=list)


def succeed(tx: Transaction, stack: Stack, success: Success, now: int) -> None:
    """Make a deployment's outcome the application's state, and mark what is to be removed."""
    tx.write("UPDATE stack_resource SET obsolete = 1 WHERE stack = ?", (stack.id,))
    for logical_id, row in success.current.items():
        item = success.wanted[logical_id]
        tx.write(
            "UPDATE stack_resource SET obsolete = 0, previous = NULL, needs = ?, retain_on_delete = ?, "
            "retain_on_replace = ? WHERE id = ?",
            (json.dumps(sorted(item.needs)), int(item.retain_on_delete), int(item.retain_on_replace), row),
        )
    tx.write("DELETE FROM stack_output WHERE stack = ?", (stack.id,))
    tx.write_many(
        "INSERT INTO stack_output VALUES (?,?,?,?)",
        [(stack.id, name, json.dumps(value), text) for name, (value, text) in success.outputs.items()],
    )
    tx.write("DELETE FROM stack_export WHERE account = ? AND region = ? AND stack = ?",
             (stack.account, stack.region, stack.id))  # fmt: skip
    tx.write_many(
        "INSERT INTO stack_export VALUES (?,?,?,?,?)",
        [(stack.account, stack.region, name, stack.id, json.dumps(value)) for name, value in success.exports.items()],
    )
    tx.write("DELETE FROM stack_import WHERE stack = ?", (stack.id,))
    tx.write_many(
        "INSERT INTO stack_import VALUES (?,?,?,?)",
        [(stack.id, stack.account, stack.region, name) for name in sorted(set(success.imports))],
    )
    tx.write(
        "UPDATE stack SET status = ?, reason = '', template = ?, parameters = ?, tags = ?, description = ?, kept = ?, "
        "code = ?, updated = ? WHERE id = ?",
        (success.status, success.template, json.dumps(dict(success.parameters)), json.dumps(dict(success.tags)),
         success.description, json.dumps(sorted(success.kept)), json.dumps(success.code), now, stack.id),
    )  # fmt: skip


def remove(tx: Transaction, stack: int) -> None:
    """Forget an application."""
    for table in ("stack_resource", "stack_output", "stack_export", "stack_import"):
        tx.write(f"DELETE FROM {table} WHERE stack = ?", (stack,))
    tx.write("DELETE FROM stack WHERE id = ?", (stack,))


def packages_in_use(tx: Transaction) -> set[str]:
    """The keys of the built packages that a resource has, or would have again if its change were undone."""
    rows = tx.all("SELECT properties, previous FROM stack_resource")
    texts = [text for row in rows for text in row if text and packages.BUCKET in text]
    return {key for text in texts for key in re.findall(r"[0-9a-f]{64}", text)}


def forget_account(tx: Transaction, account: str | None) -> None:
    """Forget every application of an account (None: of all); their resources are reset by their services."""
    chosen = "SELECT id FROM stack" if account is None else "SELECT id FROM stack WHERE account = ?"
    for (stack,) in tx.all(chosen, () if account is None else (account,)):
        remove(tx, stack)
    if account is None:
        tx.write("DELETE FROM stack_retained")
    else:
        tx.write("DELETE FROM stack_retained WHERE account = ?", (account,))
