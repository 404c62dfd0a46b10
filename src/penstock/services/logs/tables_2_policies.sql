-- A resource policy of an account: kept.
CREATE TABLE log_policy (
    account  TEXT NOT NULL,
    region   TEXT NOT NULL,
    name     TEXT NOT NULL,
    document TEXT NOT NULL,     -- JSON, as it was given
    updated  INTEGER NOT NULL,  -- platform ms
    PRIMARY KEY (account, region, name)
) STRICT;
