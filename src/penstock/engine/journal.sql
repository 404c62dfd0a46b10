-- The journal: what happened, and what has to happen because of it. It is the outbox as well.

-- A fact: a message sent, an event put, a function invoked, an object created.
CREATE TABLE event (
    id      INTEGER PRIMARY KEY,  -- from Names.id; its UUID form is the message id, event id or request id
    account TEXT NOT NULL,
    region  TEXT NOT NULL,
    kind    TEXT NOT NULL,        -- service:Operation that made it, such as sqs:SendMessage
    source  TEXT NOT NULL,        -- ARN of the resource it happened to
    at      INTEGER NOT NULL,     -- platform ms
    cause   INTEGER,              -- the run (event.id space) or delivery that caused it; NULL: from outside
    caller  TEXT,                 -- ARN of the principal whose call made it
    payload BLOB                  -- its body, once; whoever passes it on unchanged refers to it
) STRICT;
CREATE INDEX event_cause ON event (cause) WHERE cause IS NOT NULL;
CREATE INDEX event_account ON event (account, id);

-- One hop of one event: inserted when it is caused, updated once with its outcome.
CREATE TABLE delivery (
    id           INTEGER PRIMARY KEY,
    event        INTEGER NOT NULL,  -- event.id
    account      TEXT NOT NULL,     -- whose delivery it is: the emitting resource's account and region
    region       TEXT NOT NULL,
    kind         TEXT NOT NULL,     -- a DeliveryKind's name: decides back-off and what happens at the end
    source       TEXT NOT NULL,     -- ARN of what emitted it (rule, queue mapping, topic)
    target       TEXT NOT NULL,     -- ARN it goes to
    state        INTEGER NOT NULL,  -- 0 waiting, 1 running, 2 delivered, 3 failed, 4 expired, 5 filtered
    due          INTEGER NOT NULL,  -- platform ms of the next attempt
    order_key    TEXT,              -- deliveries of one (target, order_key) go one after the other
    attempts     INTEGER NOT NULL,  -- begun attempts that count
    max_attempts INTEGER,           -- NULL: no bound
    expires      INTEGER,           -- platform ms after which no attempt begins; NULL: never
    dead_letter  TEXT,              -- ARN for what fails for good
    reply_to     INTEGER,           -- token.id resolved by the outcome
    as_role      TEXT,              -- ARN of the role in whose name it is made
    payload      BLOB,              -- what the target gets, where that is not the event's own payload
    detail       TEXT,              -- JSON: the target's parameters, and the kind's own
    at           INTEGER NOT NULL,  -- platform ms it was caused
    started      INTEGER,           -- platform ms the last attempt began
    ended        INTEGER,           -- platform ms of the outcome
    run          INTEGER,           -- the invocation that carried it; a batch's deliveries share one
    outcome      TEXT               -- JSON: code, message, and what the kind adds
) STRICT;
CREATE INDEX delivery_due ON delivery (target, due, id) WHERE state = 0;
CREATE INDEX delivery_order ON delivery (target, order_key, id) WHERE state < 2 AND order_key IS NOT NULL;
CREATE INDEX delivery_running ON delivery (id) WHERE state = 1;
CREATE INDEX delivery_event ON delivery (event);
CREATE INDEX delivery_run ON delivery (run) WHERE run IS NOT NULL;

-- One attempt that failed.
CREATE TABLE attempt (
    delivery INTEGER NOT NULL,
    started  INTEGER NOT NULL,  -- platform ms
    ended    INTEGER NOT NULL,  -- platform ms
    counted  INTEGER NOT NULL,  -- 0 when throttled: it did not count
    run      INTEGER,           -- the invocation, where there was one
    code     TEXT NOT NULL,
    message  TEXT NOT NULL
) STRICT;
CREATE INDEX attempt_delivery ON attempt (delivery, started);
CREATE INDEX attempt_run ON attempt (run) WHERE run IS NOT NULL;

-- Somebody waits for an outcome: a workflow's task, a callback.
CREATE TABLE token (
    id      INTEGER PRIMARY KEY,
    account TEXT NOT NULL,
    region  TEXT NOT NULL,
    service TEXT NOT NULL,      -- whose Service.replied is called with the outcome
    detail  TEXT NOT NULL,      -- JSON: what that service needs to go on
    open    INTEGER NOT NULL    -- 1 until it is resolved; a second outcome is ignored
) STRICT;

-- Values of the platform itself: the clock's offset, the last id.
CREATE TABLE platform_value (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;
