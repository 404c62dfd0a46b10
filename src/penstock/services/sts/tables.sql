-- A key that STS issued. The keys themselves are in memory (engine/access.py); these rows bring them back at start.
CREATE TABLE sts_session (
    access_key_id TEXT PRIMARY KEY,
    account       TEXT NOT NULL,     -- the account the key works in: the role's
    secret        TEXT NOT NULL,     -- the secret access key, which signatures are made with
    token         TEXT NOT NULL,     -- the session token that every request with the key carries
    issued        INTEGER NOT NULL,  -- machine ms
    expires       INTEGER NOT NULL,  -- machine ms: callers compare it with their own clock
    arn           TEXT NOT NULL,     -- who the key's holder is, as GetCallerIdentity tells
    user_id       TEXT NOT NULL,     -- its unique id, such as AROA…:session
    role          TEXT,              -- ARN of the assumed role; NULL for a user's or a federated session
    detail        TEXT NOT NULL      -- JSON: what the request set and nothing enforces yet, under AWS's names
) STRICT;
CREATE INDEX sts_session_account ON sts_session (account, expires);
CREATE INDEX sts_session_arn ON sts_session (arn, issued);
