-- A log group. Deleting one removes this row and its streams' rows; its chunks go in slices afterwards (log_doomed).
CREATE TABLE log_group (
    id             INTEGER PRIMARY KEY,  -- from Names.id: never given out twice, unlike the name
    account        TEXT NOT NULL,
    region         TEXT NOT NULL,
    name           TEXT NOT NULL,
    created        INTEGER NOT NULL,     -- platform ms
    retention_days INTEGER,              -- NULL: events never expire
    kms_key        TEXT,                 -- kept: nothing is encrypted at rest here
    protected      INTEGER NOT NULL DEFAULT 0,  -- 1: deletion protection is on
    tags           TEXT NOT NULL DEFAULT '{}',  -- JSON, kept
    UNIQUE (account, region, name)
) STRICT;

-- A log stream, with what DescribeLogStreams tells of its events.
CREATE TABLE log_stream (
    id        INTEGER PRIMARY KEY,  -- from Names.id
    log_group INTEGER NOT NULL,     -- log_group.id
    name      TEXT NOT NULL,
    created   INTEGER NOT NULL,     -- platform ms
    first_ts  INTEGER,              -- timestamp of its earliest event; NULL: it never had one
    last_ts   INTEGER,              -- timestamp of its latest event
    ingested  INTEGER,              -- platform ms of the last write
    bytes     INTEGER NOT NULL DEFAULT 0,  -- of its chunks, as CloudWatch counts: messages, and 26 for each event
    UNIQUE (log_group, name)
) STRICT;

-- Log events that were written together: one row per write, not per line. A chunk spans rules.SPAN_MS at most, so
-- that a reader who looks for a moment knows where to begin.
CREATE TABLE log_chunk (
    id         INTEGER PRIMARY KEY,  -- from Names.id: the order of writing
    log_group  INTEGER NOT NULL,
    log_stream INTEGER NOT NULL,
    first_ts   INTEGER NOT NULL,     -- timestamp of its first event
    last_ts    INTEGER NOT NULL,     -- timestamp of its last event
    ingested   INTEGER NOT NULL,     -- platform ms
    bytes      INTEGER NOT NULL,
    lines      BLOB NOT NULL         -- JSON: [[timestamp, message], …], in order
) STRICT;
CREATE INDEX log_chunk_group ON log_chunk (log_group, first_ts);
CREATE INDEX log_chunk_stream ON log_chunk (log_stream, first_ts);

-- Groups and streams that were deleted and whose chunks are still being removed.
CREATE TABLE log_doomed (
    owner  TEXT NOT NULL,     -- 'log_group' or 'log_stream'
    id     INTEGER NOT NULL,
    PRIMARY KEY (owner, id)
) STRICT;
