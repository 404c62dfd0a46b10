-- EventBridge: buses, their rules, the rules' targets. Every row leads back to one bus of one account and region.
-- `revision` values are from Names.id, so that none is ever used twice: whoever holds something made from a bus at one
-- revision knows that nothing has changed while the bus still has it.

-- A bus. The default bus of an account and region is made when it is first asked for.
CREATE TABLE events_bus (
    id          INTEGER PRIMARY KEY,  -- from Names.id
    account     TEXT NOT NULL,
    region      TEXT NOT NULL,
    name        TEXT NOT NULL,
    created     INTEGER NOT NULL,     -- platform ms
    modified    INTEGER NOT NULL,     -- platform ms
    settings    TEXT NOT NULL,        -- JSON: Description, KmsKeyIdentifier, DeadLetterConfig
    policy      TEXT,                 -- JSON; NULL: nobody else may send
    tags        TEXT NOT NULL,        -- JSON object
    revision    INTEGER NOT NULL,     -- changes with every change of its rules and their targets
    removed     INTEGER NOT NULL,     -- the revision at which a rule was last deleted; 0: never
    UNIQUE (account, region, name)
) STRICT;

-- A rule of a bus.
CREATE TABLE events_rule (
    id          INTEGER PRIMARY KEY,  -- from Names.id
    bus         INTEGER NOT NULL,     -- events_bus.id
    name        TEXT NOT NULL,
    pattern     TEXT,                 -- as it was given; NULL: none
    schedule    TEXT,                 -- ScheduleExpression; NULL: none
    state       TEXT NOT NULL,        -- ENABLED, DISABLED, ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS
    description TEXT,
    role        TEXT,
    created_by  TEXT NOT NULL,        -- account
    tags        TEXT NOT NULL,        -- JSON object
    revision    INTEGER NOT NULL,     -- the bus's revision when it or a target of it last changed
    timer       INTEGER NOT NULL,     -- the revision at which its schedule was last set going; older timers are void
    UNIQUE (bus, name)
) STRICT;
CREATE INDEX events_rule_revision ON events_rule (bus, revision);

-- A target of a rule.
CREATE TABLE events_target (
    rule     INTEGER NOT NULL,  -- events_rule.id
    id       TEXT NOT NULL,
    arn      TEXT NOT NULL,
    settings TEXT NOT NULL,     -- JSON: the target as it was given, without Id and Arn
    PRIMARY KEY (rule, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX events_target_arn ON events_target (arn);
