-- A reset voids an account's part of the journal at once; the rows go afterwards, in slices (engine/resetting.py).

-- Whose events and deliveries count no more, up to which id; the row goes when the last of them has gone.
CREATE TABLE journal_void (
    account TEXT PRIMARY KEY,  -- '': every account
    upto    INTEGER NOT NULL   -- event.id and delivery.id
) STRICT, WITHOUT ROWID;

-- What the journal tells: what is not void.
CREATE VIEW live_event AS SELECT * FROM event WHERE NOT EXISTS (
    SELECT 1 FROM journal_void AS void WHERE void.account IN ('', event.account) AND event.id <= void.upto
);
CREATE VIEW live_delivery AS SELECT * FROM delivery WHERE NOT EXISTS (
    SELECT 1 FROM journal_void AS void WHERE void.account IN ('', delivery.account) AND delivery.id <= void.upto
);
