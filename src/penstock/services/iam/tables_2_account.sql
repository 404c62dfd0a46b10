-- What an account has in IAM besides its entities: one row, made when something of it is first set.
CREATE TABLE iam_account (
    account         TEXT PRIMARY KEY,
    alias           TEXT UNIQUE,     -- no two accounts have the same
    password_policy TEXT,            -- JSON under AWS's member names; NULL: AWS's default
    report          TEXT,            -- the credential report, CSV; NULL: none was made
    reported        INTEGER          -- platform ms at which it was made
) STRICT;

-- That a user may sign in to the console. The password is checked against the policy and not stored: nobody signs in.
CREATE TABLE iam_login (
    owner   TEXT PRIMARY KEY,        -- iam_entity.id of the user
    account TEXT NOT NULL,
    created INTEGER NOT NULL,        -- platform ms
    changed INTEGER NOT NULL,        -- platform ms of the newest password
    reset   INTEGER NOT NULL         -- 1: PasswordResetRequired
) STRICT;

-- An identity provider, SAML or OpenID Connect: kept, because nobody's tokens are checked.
CREATE TABLE iam_provider (
    arn     TEXT PRIMARY KEY,
    account TEXT NOT NULL,
    kind    TEXT NOT NULL,           -- saml, oidc
    created INTEGER NOT NULL,        -- platform ms
    tags    TEXT NOT NULL,           -- JSON object, kept
    detail  TEXT NOT NULL            -- JSON: what only its kind has, under AWS's member names
) STRICT;
CREATE INDEX iam_provider_account ON iam_provider (account, kind);
