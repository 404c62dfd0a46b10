-- Applications: what templates made here. CloudFormation calls one a stack, and so do these tables.

CREATE TABLE stack (
    id          INTEGER PRIMARY KEY,
    account     TEXT    NOT NULL,
    region      TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    arn         TEXT    NOT NULL,            -- AWS::StackId
    status      TEXT    NOT NULL,            -- CloudFormation's: CREATE_IN_PROGRESS, UPDATE_ROLLBACK_COMPLETE, …
    reason      TEXT    NOT NULL DEFAULT '', -- why, when something failed
    deployment  INTEGER NOT NULL,            -- counts deployments: rows of the current one are undone when it fails
    template    TEXT    NOT NULL,            -- path of the template file of the last deployment that succeeded
    parameters  TEXT    NOT NULL DEFAULT '{}', -- JSON: the values shown to people; NoEcho ones are masked
    tags        TEXT    NOT NULL DEFAULT '{}', -- JSON
    description TEXT    NOT NULL DEFAULT '',
    kept        TEXT    NOT NULL DEFAULT '[]', -- JSON: settings without effect here that the user was told of
    code        TEXT    NOT NULL DEFAULT '[]', -- JSON: the functions and layers that were built, and from where
    created     INTEGER NOT NULL,            -- platform ms
    updated     INTEGER NOT NULL,            -- platform ms
    UNIQUE (account, region, name)
) STRICT;

-- One row per physical resource: while one is replaced, the old and the new have a row each.
CREATE TABLE stack_resource (
    id                INTEGER PRIMARY KEY,
    stack             INTEGER NOT NULL,
    logical_id        TEXT    NOT NULL,
    generation        INTEGER NOT NULL,      -- counts replacements
    type              TEXT    NOT NULL,
    name              TEXT    NOT NULL,      -- the generated name, used where the template gives none
    status            TEXT    NOT NULL,      -- CloudFormation's; …_IN_PROGRESS is written before anything is done
    reason            TEXT    NOT NULL DEFAULT '',
    physical_id       TEXT,                  -- what Ref gives; NULL until it exists
    attributes        TEXT    NOT NULL DEFAULT '{}', -- JSON: what Fn::GetAtt gives
    properties        TEXT    NOT NULL,      -- JSON: as it was declared, intrinsics resolved
    tags              TEXT    NOT NULL DEFAULT '{}', -- JSON: the application's tags it was declared with
    previous          TEXT,                  -- JSON: properties and tags before the current deployment changed them
    needs             TEXT    NOT NULL DEFAULT '[]', -- JSON: logical ids of the resources it refers to
    retain_on_delete  INTEGER NOT NULL DEFAULT 0,
    retain_on_replace INTEGER NOT NULL DEFAULT 0,
    stub              INTEGER NOT NULL DEFAULT 0,    -- 1: a name that stands for an unsupported type
    deployment        INTEGER NOT NULL,      -- the deployment that created it or changed it last
    created_in        INTEGER NOT NULL,      -- the deployment that created it
    obsolete          INTEGER NOT NULL DEFAULT 0,    -- 1: replaced or no longer in the template, to be removed
    updated           INTEGER NOT NULL,      -- platform ms
    UNIQUE (stack, logical_id, generation)
) STRICT;

CREATE TABLE stack_output (
    stack       INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    value       TEXT    NOT NULL,            -- JSON
    description TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (stack, name)
) STRICT, WITHOUT ROWID;

-- Exports: unique in an account and region, and not to be changed while another application imports them.
CREATE TABLE stack_export (
    account TEXT    NOT NULL,
    region  TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    stack   INTEGER NOT NULL,
    value   TEXT    NOT NULL,                -- JSON
    PRIMARY KEY (account, region, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE stack_import (
    stack   INTEGER NOT NULL,                -- who imports
    account TEXT    NOT NULL,
    region  TEXT    NOT NULL,
    name    TEXT    NOT NULL,                -- the export's name
    PRIMARY KEY (stack, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX stack_import_by_name ON stack_import (account, region, name);

-- Names that resources kept by their DeletionPolicy still have: the next resource of that logical id gets another one.
CREATE TABLE stack_retained (
    account    TEXT    NOT NULL,
    region     TEXT    NOT NULL,
    stack      TEXT    NOT NULL,             -- the stack's name
    logical_id TEXT    NOT NULL,
    generation INTEGER NOT NULL,             -- the highest one retained
    PRIMARY KEY (account, region, stack, logical_id)
) STRICT, WITHOUT ROWID;
