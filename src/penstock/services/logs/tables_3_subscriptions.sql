-- A subscription filter of a group: what it takes of newly written events goes to its destination.
CREATE TABLE log_subscription (
    log_group    INTEGER NOT NULL,  -- log_group.id
    name         TEXT NOT NULL,
    pattern      TEXT NOT NULL,     -- as it was given
    destination  TEXT NOT NULL,     -- ARN of a function
    distribution TEXT NOT NULL,     -- Random or ByLogStream: kept, a function has no shards
    created      INTEGER NOT NULL,  -- platform ms
    PRIMARY KEY (log_group, name)
) STRICT, WITHOUT ROWID;
