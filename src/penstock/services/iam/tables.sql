-- A role, user, group or instance profile. IAM is one for all regions, so no row has one.
CREATE TABLE iam_entity (
    id      TEXT PRIMARY KEY,   -- AWS's unique id: AROA…, AIDA…, AGPA…, AIPA…
    account TEXT NOT NULL,
    kind    TEXT NOT NULL,      -- role, user, group, instance-profile: as in its ARN
    name    TEXT NOT NULL COLLATE NOCASE,  -- names that differ in case only are the same name
    path    TEXT NOT NULL,      -- begins and ends with /
    created INTEGER NOT NULL,   -- platform ms
    tags    TEXT NOT NULL,      -- JSON object, kept
    detail  TEXT NOT NULL,      -- JSON: what only its kind has, under AWS's member names
    UNIQUE (account, kind, name)
) STRICT;

-- A policy inside one role, user or group.
CREATE TABLE iam_inline (
    owner    TEXT NOT NULL,     -- iam_entity.id
    name     TEXT NOT NULL,
    document TEXT NOT NULL,     -- JSON as it was given
    PRIMARY KEY (owner, name)
) STRICT;

-- A managed policy of an account. AWS's own are not stored: their ARNs are accepted as they are.
CREATE TABLE iam_policy (
    arn             TEXT PRIMARY KEY,
    id              TEXT NOT NULL,     -- ANPA…
    account         TEXT NOT NULL,
    name            TEXT NOT NULL COLLATE NOCASE,
    path            TEXT NOT NULL,
    description     TEXT,
    created         INTEGER NOT NULL,  -- platform ms
    updated         INTEGER NOT NULL,  -- platform ms of the newest version
    default_version INTEGER NOT NULL,
    latest_version  INTEGER NOT NULL,  -- numbers are never used again
    tags            TEXT NOT NULL,     -- JSON object, kept
    UNIQUE (account, name)
) STRICT;

-- A version of a managed policy.
CREATE TABLE iam_policy_version (
    policy   TEXT NOT NULL,     -- iam_policy.arn
    version  INTEGER NOT NULL,  -- 3 is "v3"
    document TEXT NOT NULL,
    created  INTEGER NOT NULL,  -- platform ms
    PRIMARY KEY (policy, version)
) STRICT;

-- A managed policy attached to a role, user or group.
CREATE TABLE iam_attachment (
    owner  TEXT NOT NULL,       -- iam_entity.id
    policy TEXT NOT NULL,       -- ARN
    PRIMARY KEY (owner, policy)
) STRICT;
CREATE INDEX iam_attachment_policy ON iam_attachment (policy);

-- A user in a group, or a role in an instance profile.
CREATE TABLE iam_member (
    container TEXT NOT NULL,    -- iam_entity.id of the group or profile
    member    TEXT NOT NULL,    -- iam_entity.id of the user or role
    PRIMARY KEY (container, member)
) STRICT;
CREATE INDEX iam_member_member ON iam_member (member);

-- A user's key. It works until it is deleted or made inactive.
CREATE TABLE iam_access_key (
    id      TEXT PRIMARY KEY,   -- AKIA…
    owner   TEXT NOT NULL,      -- iam_entity.id of the user; the account's owner: "root:" and the account
    account TEXT NOT NULL,
    secret  TEXT NOT NULL,
    active  INTEGER NOT NULL,   -- 1 Active, 0 Inactive
    created INTEGER NOT NULL    -- platform ms
) STRICT;
CREATE INDEX iam_access_key_owner ON iam_access_key (owner);
