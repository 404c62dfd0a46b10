-- SQS. A queue's settings, its messages, and what FIFO queues remember beside them.
-- Whether a message can be received is a question of time, not of state: `visible_at` alone answers it, so that
-- delays and visibility timeouts need no timer rows and a restart has nothing to repair.

CREATE TABLE sqs_queue (
    id          INTEGER PRIMARY KEY,  -- from Names.id; purging gives the queue a new one, which empties it at once
    account     TEXT NOT NULL,
    region      TEXT NOT NULL,
    name        TEXT NOT NULL,
    created     INTEGER NOT NULL,     -- platform ms
    modified    INTEGER NOT NULL,     -- platform ms of the last change of an attribute
    purged      INTEGER,              -- platform ms of the last purge
    attributes  TEXT NOT NULL,        -- JSON: attributes that were given; the others have their defaults
    tags        TEXT NOT NULL,        -- JSON
    dead_letter TEXT,                 -- ARN in its redrive policy
    UNIQUE (account, region, name)
) STRICT;
CREATE INDEX sqs_queue_dead_letter ON sqs_queue (dead_letter, name) WHERE dead_letter IS NOT NULL;

-- A name whose queue was deleted: for 60 seconds nobody can create it again.
CREATE TABLE sqs_deleted (
    account TEXT NOT NULL,
    region  TEXT NOT NULL,
    name    TEXT NOT NULL,
    at      INTEGER NOT NULL,  -- platform ms
    PRIMARY KEY (account, region, name)
) STRICT, WITHOUT ROWID;

-- What a deleted or purged queue had under its id: its rows are removed in small slices.
CREATE TABLE sqs_emptied (
    queue INTEGER PRIMARY KEY
) STRICT;

-- A message in a queue. Its body is the payload of its event.
CREATE TABLE sqs_message (
    id             INTEGER PRIMARY KEY,  -- its place in the queue; a new one in every queue it is moved to
    queue          INTEGER NOT NULL,     -- sqs_queue.id
    event          INTEGER NOT NULL,     -- event.id: what happened, and the body
    message        INTEGER NOT NULL,     -- its UUID form is the MessageId; kept when it is moved to a dead-letter queue
    visible_at     INTEGER NOT NULL,     -- platform ms from which it can be received: end of its delay or its lease
    sent_at        INTEGER NOT NULL,     -- platform ms: SentTimestamp, and what retention counts from
    receives       INTEGER NOT NULL DEFAULT 0,  -- how often it was received from this queue
    earlier        INTEGER NOT NULL DEFAULT 0,  -- and from the queues it was in before
    received       INTEGER,              -- platform ms of the last receive
    first_received INTEGER,              -- platform ms of the first one
    sender         TEXT NOT NULL,        -- SenderId
    attributes     BLOB,                 -- JSON: message attributes; binary values in base64
    trace          TEXT,                 -- AWSTraceHeader
    tenant         TEXT,                 -- MessageGroupId of a message in a standard queue
    grp            TEXT,                 -- MessageGroupId of a message in a FIFO queue
    dedup          TEXT,                 -- MessageDeduplicationId
    origin         TEXT                  -- DeadLetterQueueSourceArn
) STRICT;
-- The order in which a standard queue gives messages out, and all that the counts need.
CREATE INDEX sqs_message_visible ON sqs_message (queue, visible_at, sent_at, receives);
-- A FIFO group in its order.
CREATE INDEX sqs_message_group ON sqs_message (queue, grp) WHERE grp IS NOT NULL;
-- Those of a FIFO group that were received: while one of them is hidden the group is locked.
CREATE INDEX sqs_message_held ON sqs_message (queue, grp, visible_at) WHERE grp IS NOT NULL AND receives > 0;

-- Messages by event, where that is not their own place: those that were delivered or moved here.
CREATE INDEX sqs_message_event ON sqs_message (event) WHERE event <> id;
-- The tenants of a standard queue, so that receives can be shared out among them.
CREATE INDEX sqs_message_tenant ON sqs_message (queue, tenant, visible_at, sent_at, receives) WHERE tenant IS NOT NULL;

-- A message group of a FIFO queue that has messages.
CREATE TABLE sqs_group (
    queue    INTEGER NOT NULL,  -- sqs_queue.id
    grp      TEXT NOT NULL,
    ready_at INTEGER NOT NULL,  -- platform ms from which its first message can be received
    head     INTEGER NOT NULL,  -- sqs_message.id of its first message
    PRIMARY KEY (queue, grp)
) STRICT, WITHOUT ROWID;
CREATE INDEX sqs_group_ready ON sqs_group (queue, ready_at, head);

-- A deduplication id that was used within the last five minutes.
CREATE TABLE sqs_dedup (
    queue   INTEGER NOT NULL,  -- sqs_queue.id
    scope   TEXT NOT NULL,     -- '' for the whole queue, else '=' and the message group
    dedup   TEXT NOT NULL,
    id      INTEGER NOT NULL,  -- sqs_message.id it was given: the sequence number
    message INTEGER NOT NULL,  -- its UUID form is the MessageId
    expires INTEGER NOT NULL,  -- platform ms
    PRIMARY KEY (queue, scope, dedup)
) STRICT, WITHOUT ROWID;
CREATE INDEX sqs_dedup_expires ON sqs_dedup (expires);

-- A ReceiveRequestAttemptId that was used within the last five minutes, and what it got.
CREATE TABLE sqs_attempt (
    queue   INTEGER NOT NULL,  -- sqs_queue.id
    attempt TEXT NOT NULL,
    taken   TEXT NOT NULL,     -- JSON: [[sqs_message.id, receives, visible_at], …]
    expires INTEGER NOT NULL,  -- platform ms
    PRIMARY KEY (queue, attempt)
) STRICT, WITHOUT ROWID;
CREATE INDEX sqs_attempt_expires ON sqs_attempt (expires);

-- A task that moves messages out of a dead-letter queue.
CREATE TABLE sqs_move (
    id          INTEGER PRIMARY KEY,
    account     TEXT NOT NULL,
    region      TEXT NOT NULL,
    source      TEXT NOT NULL,     -- ARN of the dead-letter queue
    destination TEXT,              -- ARN; NULL: back to where each message came from
    rate        INTEGER,           -- messages per second; NULL: as fast as it goes
    status      TEXT NOT NULL,     -- RUNNING, COMPLETED, CANCELLED, FAILED
    event       INTEGER NOT NULL,  -- event.id of the request that started it
    started     INTEGER NOT NULL,  -- platform ms
    last        INTEGER NOT NULL,  -- sqs_message.id of the last message that was there when it started
    moved       INTEGER NOT NULL,  -- messages so far
    to_move     INTEGER NOT NULL,  -- messages when it started
    failure     TEXT
) STRICT;
CREATE INDEX sqs_move_source ON sqs_move (source, id);
