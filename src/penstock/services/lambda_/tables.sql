-- Lambda: functions, layers, mappings. Every row leads back to one account and region.

-- A function. There are no versions yet: each row is $LATEST.
CREATE TABLE lambda_function (
    account     TEXT NOT NULL,
    region      TEXT NOT NULL,
    name        TEXT NOT NULL,
    settings    TEXT NOT NULL,     -- JSON: what CreateFunction and UpdateFunctionConfiguration set, with defaults
    code_digest TEXT NOT NULL,     -- SHA-256 of the zip, hexadecimal: the name of the zip and its folder among the blobs
    code_size   INTEGER NOT NULL,  -- bytes of the zip
    unzipped    INTEGER NOT NULL,  -- bytes of its files
    revision    TEXT NOT NULL,     -- RevisionId: changes with every change of the function or its policy
    modified    INTEGER NOT NULL,  -- platform ms of the last change of code or configuration
    reserved    INTEGER,           -- reserved concurrency; NULL: shares the account's
    tags        TEXT NOT NULL,     -- JSON object
    policy      TEXT,              -- JSON list of statements; NULL: no policy
    PRIMARY KEY (account, region, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX lambda_function_code ON lambda_function (code_digest);

-- How asynchronous invokes of a function are retried and where their records go.
CREATE TABLE lambda_invoke_config (
    account         TEXT NOT NULL,
    region          TEXT NOT NULL,
    name            TEXT NOT NULL,     -- the function's
    retry_attempts  INTEGER,           -- MaximumRetryAttempts; NULL: two
    age_seconds     INTEGER,           -- MaximumEventAgeInSeconds; NULL: six hours
    on_success      TEXT,              -- ARN; NULL: none
    on_failure      TEXT,              -- ARN; NULL: none
    modified        INTEGER NOT NULL,  -- platform ms
    PRIMARY KEY (account, region, name)
) STRICT, WITHOUT ROWID;

-- A layer's counter: version numbers are never given out twice, also when the version was deleted.
CREATE TABLE lambda_layer (
    account TEXT NOT NULL,
    region  TEXT NOT NULL,
    name    TEXT NOT NULL,
    latest  INTEGER NOT NULL,
    PRIMARY KEY (account, region, name)
) STRICT, WITHOUT ROWID;

-- A version of a layer. Deleted ones stay, unseen, while a function uses them.
CREATE TABLE lambda_layer_version (
    account     TEXT NOT NULL,
    region      TEXT NOT NULL,
    name        TEXT NOT NULL,
    version     INTEGER NOT NULL,
    settings    TEXT NOT NULL,     -- JSON: description, compatible runtimes and architectures, licence
    code_digest TEXT NOT NULL,     -- as in lambda_function
    code_size   INTEGER NOT NULL,
    unzipped    INTEGER NOT NULL,
    created     INTEGER NOT NULL,  -- platform ms
    policy      TEXT,              -- JSON list of statements; NULL: no policy
    revision    TEXT NOT NULL,     -- RevisionId of the policy
    deleted     INTEGER NOT NULL,  -- 1: only functions that have it still see it
    PRIMARY KEY (account, region, name, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX lambda_layer_version_code ON lambda_layer_version (code_digest);

-- Which layer versions a function has, so that their code is kept.
CREATE TABLE lambda_function_layer (
    account   TEXT NOT NULL,
    region    TEXT NOT NULL,
    name      TEXT NOT NULL,     -- the function's
    place     INTEGER NOT NULL,  -- later layers are laid over earlier ones
    layer_arn TEXT NOT NULL,
    PRIMARY KEY (account, region, name, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX lambda_function_layer_arn ON lambda_function_layer (layer_arn);

-- Code that may have lost its last owner, or whose upload may not have been finished: swept when nobody uses it.
CREATE TABLE lambda_loose_code (
    digest TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- An event source mapping: a consumer of a queue. After a restart every enabled one goes on.
CREATE TABLE lambda_mapping (
    uuid     TEXT PRIMARY KEY,
    account  TEXT NOT NULL,
    region   TEXT NOT NULL,
    source   TEXT NOT NULL,     -- ARN of the queue
    function TEXT NOT NULL,     -- name of the function
    enabled  INTEGER NOT NULL,
    settings TEXT NOT NULL,     -- JSON: BatchSize, MaximumBatchingWindowInSeconds, FilterCriteria, ...
    tags     TEXT NOT NULL,     -- JSON object
    modified INTEGER NOT NULL   -- platform ms
) STRICT, WITHOUT ROWID;
CREATE INDEX lambda_mapping_function ON lambda_mapping (account, region, function);
CREATE INDEX lambda_mapping_source ON lambda_mapping (source);
