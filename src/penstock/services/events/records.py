"""Rows of buses, rules and targets as values, and how they are found and changed."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from penstock.base.names import Arn
from penstock.engine.context import Context
from penstock.services.events.errors import ResourceNotFound, ValidationException
from penstock.services.events.rules import DEFAULT_BUS, bus_arn, rule_arn

_BUS = "id, account, region, name, created, modified, settings, policy, tags, revision, removed"
_FIND_BUS = f"SELECT {_BUS} FROM events_bus WHERE account = ? AND region = ? AND name = ?"
_RULE = "id, bus, name, pattern, schedule, state, description, role, created_by, tags, revision, timer"


class Bus(NamedTuple):
    """A bus."""

    id: int
    account: str
    region: str
    name: str
    created: int
    modified: int
    settings: dict[str, Any]
    policy: str | None
    tags: dict[str, str]
    revision: int
    removed: int

    @property
    def arn(self) -> str:
        """Its ARN."""
        return bus_arn(self.account, self.region, self.name)

    def rule_arn(self, rule: str) -> str:
        """The ARN of a rule of it."""
        return rule_arn(self.account, self.region, self.name, rule)


class Rule(NamedTuple):
    """A rule."""

    id: int
    bus: int
    name: str
    pattern: str | None
    schedule: str | None
    state: str
    description: str | None
    role: str | None
    created_by: str
    tags: dict[str, str]
    revision: int
    timer: int

    @property
    def enabled(self) -> bool:
        """Whether it takes events."""
        return self.state != "DISABLED"


class Target(NamedTuple):
    """A target of a rule. ``settings`` is what PutTargets was given beside Id and Arn."""

    id: str
    arn: str
    settings: dict[str, Any]


def _bus(row: tuple[Any, ...]) -> Bus:
    return Bus._make([*row[:6], orjson.loads(row[6]), row[7], orjson.loads(row[8]), *row[9:]])


def _rule(row: tuple[Any, ...]) -> Rule:
    return Rule._make([*row[:9], orjson.loads(row[9]), *row[10:]])


# --- buses


def find_bus(cx: Context, account: str, region: str, name: str) -> Bus | None:
    """A bus, or None. The default bus is there even before anybody has used it."""
    row = cx.one(_FIND_BUS, (account, region, name))
    if row is not None:
        return _bus(row)
    return add_bus(cx.within(account, region), name, {}, {}) if name == DEFAULT_BUS else None


def bus_of(cx: Context, name_or_arn: str | None) -> Bus:
    """The bus a request names, by its name or ARN; the default bus when it names none. ResourceNotFound."""
    account, region, name = place_of(cx, name_or_arn)
    bus = find_bus(cx, account, region, name)
    if bus is None:
        raise ResourceNotFound(f"Event bus {name} does not exist.")
    return bus


def place_of(cx: Context, name_or_arn: str | None) -> tuple[str, str, str]:
    """(account, region, name) of a bus that a request names."""
    if not name_or_arn:
        return cx.account, cx.region, DEFAULT_BUS
    if not name_or_arn.startswith("arn:"):
        return cx.account, cx.region, name_or_arn
    try:
        arn = Arn.parse(name_or_arn)
    except ValueError:
        arn = Arn("", "", "", "")
    kind, _, name = arn.resource.partition("/")
    if arn.service != "events" or kind != "event-bus" or not name:
        raise ValidationException(
            f"Parameter {name_or_arn} is not valid. Reason: Provided Arn is not in correct format."
        )
    return arn.account, arn.region, name


def add_bus(cx: Context, name: str, settings: dict[str, Any], tags: dict[str, str]) -> Bus:
    """Make a bus in the context's account and region."""
    id_ = cx.names.id()
    bus = Bus(id_, cx.account, cx.region, name, cx.now, cx.now, settings, None, tags, id_, 0)
    cx.write(
        f"INSERT INTO events_bus ({_BUS}) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        (*bus[:6], orjson.dumps(settings).decode(), None, orjson.dumps(tags).decode(), id_, 0),
    )
    return bus


def put_bus(cx: Context, bus: Bus) -> None:
    """Write what of a bus can change but its revision."""
    cx.write(
        "UPDATE events_bus SET modified = ?, settings = ?, policy = ?, tags = ? WHERE id = ?",
        (cx.now, orjson.dumps(bus.settings).decode(), bus.policy, orjson.dumps(bus.tags).decode(), bus.id),
    )


def revise(cx: Context, bus: Bus, *, removed: bool = False) -> int:
    """Give a bus a new revision, since a rule or a target of it changes; with ``removed``, since a rule goes."""
    revision = cx.names.id()
    cx.write("UPDATE events_bus SET revision = ? WHERE id = ?", (revision, bus.id))
    if removed:
        cx.write("UPDATE events_bus SET removed = ? WHERE id = ?", (revision, bus.id))
    return revision


def buses(cx: Context, prefix: str, after: str, limit: int) -> list[Bus]:
    """Buses of the account by name."""
    find_bus(cx, cx.account, cx.region, DEFAULT_BUS)
    rows = cx.all(
        f"SELECT {_BUS} FROM events_bus WHERE account = ? AND region = ? AND name > ? AND substr(name, 1, ?) = ? "
        "ORDER BY name LIMIT ?",
        (cx.account, cx.region, after, len(prefix), prefix, limit),
    )
    return [_bus(row) for row in rows]


# --- rules


def find_rule(cx: Context, bus: Bus, name: str) -> Rule | None:
    """A rule of a bus, or None."""
    row = cx.one(f"SELECT {_RULE} FROM events_rule WHERE bus = ? AND name = ?", (bus.id, name))
    return None if row is None else _rule(row)


def rule_of(cx: Context, bus: Bus, name: str) -> Rule:
    """A rule of a bus; ResourceNotFound."""
    rule = find_rule(cx, bus, name)
    if rule is None:
        raise ResourceNotFound(f"Rule {name} does not exist on EventBus {bus.name}.")
    return rule


def put_rule(cx: Context, rule: Rule) -> None:
    """Write a rule, new or not."""
    cx.write(
        f"INSERT OR REPLACE INTO events_rule ({_RULE}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
        (*rule[:9], orjson.dumps(rule.tags).decode(), *rule[10:]),
    )


def rules(cx: Context, bus: Bus, prefix: str, after: str, limit: int) -> list[Rule]:
    """Rules of a bus by name."""
    rows = cx.all(
        f"SELECT {_RULE} FROM events_rule WHERE bus = ? AND name > ? AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?",
        (bus.id, after, len(prefix), prefix, limit),
    )
    return [_rule(row) for row in rows]


def rules_since(cx: Context, bus: Bus, revision: int) -> list[Rule]:
    """Rules of a bus that changed after this revision."""
    return [
        _rule(row)
        for row in cx.all(f"SELECT {_RULE} FROM events_rule WHERE bus = ? AND revision > ?", (bus.id, revision))
    ]


def rules_after(cx: Context, bus: Bus, id_: int, limit: int) -> list[Rule]:
    """Rules of a bus in the order in which they were made, after this one."""
    rows = cx.all(f"SELECT {_RULE} FROM events_rule WHERE bus = ? AND id > ? ORDER BY id LIMIT ?", (bus.id, id_, limit))
    return [_rule(row) for row in rows]


def rule_ids(cx: Context, bus: Bus) -> set[int]:
    """The ids of all rules of a bus."""
    return {row[0] for row in cx.all("SELECT id FROM events_rule WHERE bus = ?", (bus.id,))}


# --- targets


def targets(cx: Context, rule: int, after: str = "", limit: int = -1) -> list[Target]:
    """Targets of a rule by id."""
    rows = cx.all(
        "SELECT id, arn, settings FROM events_target WHERE rule = ? AND id > ? ORDER BY id LIMIT ?",
        (rule, after, limit),
    )
    return [Target(id_, arn, orjson.loads(settings)) for id_, arn, settings in rows]


def forget(cx: Context, account: str | None) -> None:
    """Delete everything of an account (None: of every account)."""
    buses_of = "SELECT id FROM events_bus" + ("" if account is None else " WHERE account = ?")
    parameters = () if account is None else (account,)
    cx.write(
        f"DELETE FROM events_target WHERE rule IN (SELECT id FROM events_rule WHERE bus IN ({buses_of}))", parameters
    )
    cx.write(f"DELETE FROM events_rule WHERE bus IN ({buses_of})", parameters)
    cx.write("DELETE FROM events_bus" + ("" if account is None else " WHERE account = ?"), parameters)
