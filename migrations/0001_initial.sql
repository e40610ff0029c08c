-- Times are milliseconds since 1970 UTC. Ids are UUIDv7 as text. Addresses are one byte (4 or 6) and the octets, so that
-- they order IPv4 before IPv6, each by number.

CREATE TABLE installation (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    name       TEXT    NOT NULL CHECK (name <> ''),
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE integrations (
    id                   TEXT    PRIMARY KEY NOT NULL,
    name                 TEXT    NOT NULL UNIQUE,
    enabled              INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    update_interval_s    INTEGER NOT NULL CHECK (update_interval_s BETWEEN 86400 AND 604800),
    api_endpoint         TEXT    NOT NULL,
    token_url            TEXT    NOT NULL,
    client_id            TEXT    NOT NULL,
    client_secret        BLOB    NOT NULL,                     -- sealed: nonce, text, tag
    client_secret_key    TEXT    NOT NULL,                     -- id of the key that seals it
    client_secret_set_at INTEGER NOT NULL,
    tag                  INTEGER NOT NULL CHECK (tag > 0),     -- raised by every edit
    report_id            TEXT,                                 -- the report in Wiz
    report_asked         TEXT,                                 -- what that report was last asked
    last_started_at      INTEGER,                              -- last start that the schedule counts from
    successes            INTEGER NOT NULL DEFAULT 0 CHECK (successes >= 0), -- since the last full push
    created_at           INTEGER NOT NULL,
    updated_at           INTEGER NOT NULL
) STRICT;

-- The queue and the history are one table. A run outlives its integration, so there is no foreign key.
CREATE TABLE runs (
    id               TEXT    PRIMARY KEY NOT NULL,
    integration_id   TEXT    NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'held', 'failed', 'cancelled')),
    phase            TEXT,
    trigger          TEXT    NOT NULL,
    requested_by     TEXT    NOT NULL,
    approved_by      TEXT,
    dry_run          INTEGER NOT NULL CHECK (dry_run IN (0, 1)),
    full             INTEGER NOT NULL CHECK (full IN (0, 1)),
    attempts         INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    fruitless        INTEGER NOT NULL DEFAULT 0 CHECK (fruitless >= 0), -- attempts in a row without progress
    settings_tag     INTEGER,
    checkpoint       TEXT    NOT NULL DEFAULT '{}',            -- JSON: what need not be done again
    progress         TEXT    NOT NULL DEFAULT '{}',            -- JSON, as are the next five
    certificate      TEXT,
    counts           TEXT    NOT NULL DEFAULT '{}',
    skipped          TEXT    NOT NULL DEFAULT '{}',
    warnings         TEXT    NOT NULL DEFAULT '[]',
    failure          TEXT,
    cancel           TEXT,                                     -- JSON: by whom and why the run is to end
    lease_token      TEXT,
    lease_until      INTEGER,
    resume_at        INTEGER NOT NULL,
    queued_at        INTEGER NOT NULL,
    started_at       INTEGER,
    finished_at      INTEGER,
    CHECK ((state IN ('queued', 'running')) = (finished_at IS NULL)),
    CHECK ((lease_token IS NULL) = (lease_until IS NULL))
) STRICT;

CREATE UNIQUE INDEX runs_one_unfinished ON runs (integration_id) WHERE state IN ('queued', 'running');
CREATE INDEX runs_by_integration ON runs (integration_id, id);
CREATE INDEX runs_to_claim ON runs (resume_at, queued_at) WHERE state IN ('queued', 'running');

-- What one report says. In force: the labels follow from it. Staged: complete, but not planned with. Dry: what the last
-- dry run found.
CREATE TABLE fact_sets (
    id             INTEGER PRIMARY KEY,
    integration_id TEXT    NOT NULL,
    run_id         TEXT    NOT NULL,
    state          TEXT    NOT NULL CHECK (state IN ('staging', 'staged', 'in_force', 'dry', 'stale')),
    report_run_at  INTEGER NOT NULL,
    addresses      INTEGER NOT NULL DEFAULT 0,
    pairs          INTEGER NOT NULL DEFAULT 0,                 -- wanted, known once planned with
    created_at     INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX fact_sets_in_force ON fact_sets (integration_id) WHERE state = 'in_force';

CREATE TABLE facts (
    fact_set  INTEGER NOT NULL REFERENCES fact_sets (id),
    asset_no  INTEGER NOT NULL,                                -- within the set, in the order of the keys
    asset_key BLOB    NOT NULL,
    name      TEXT    NOT NULL,
    findings  INTEGER NOT NULL CHECK (findings > 0),
    score     INTEGER CHECK (score BETWEEN 0 AND 100),         -- tenths
    rating    INTEGER CHECK (rating BETWEEN 1 AND 4),          -- low to critical
    cves      BLOB    NOT NULL,                                -- ranked CVEs, 12 bytes each
    PRIMARY KEY (fact_set, asset_no)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX facts_by_key ON facts (fact_set, asset_key);

CREATE TABLE fact_addresses (
    fact_set INTEGER NOT NULL REFERENCES fact_sets (id),
    ip       BLOB    NOT NULL,
    asset_no INTEGER NOT NULL,
    PRIMARY KEY (fact_set, ip, asset_no)
) STRICT, WITHOUT ROWID;

CREATE TABLE fusion_accounts (
    id        INTEGER PRIMARY KEY,
    host      TEXT NOT NULL,
    shortname TEXT NOT NULL,
    UNIQUE (host, shortname)
) STRICT;

-- Per pair: what Fusion last acknowledged, and what was sent since without an answer (the pair is then in doubt).
CREATE TABLE ledger (
    account         INTEGER NOT NULL REFERENCES fusion_accounts (id),
    ip              BLOB    NOT NULL,
    context         TEXT    NOT NULL CHECK (context IN ('cve', 'cvss_rating', 'cvss_score', 'vuln_count')),
    acknowledged    TEXT    CHECK (acknowledged <> ''),        -- a label a line
    sent            TEXT,                                      -- likewise; '' is a removal
    doubted_before  INTEGER NOT NULL DEFAULT 0 CHECK (doubted_before IN (0, 1)), -- when it was sent, it was in doubt already
    run_id          TEXT    NOT NULL,                          -- the last run that sent it
    acknowledged_at INTEGER,
    PRIMARY KEY (account, ip, context),
    CHECK (acknowledged IS NOT NULL OR sent IS NOT NULL)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    number          INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT    NOT NULL UNIQUE,
    timestamp_ms    INTEGER NOT NULL,
    class           TEXT    NOT NULL,
    subclass        TEXT    NOT NULL,
    action          TEXT    NOT NULL,
    user            TEXT    NOT NULL,
    description     TEXT    NOT NULL,
    original_id     TEXT,
    original_object TEXT,
    new_object      TEXT,
    request_id      TEXT,
    address         TEXT
) STRICT;

CREATE INDEX audit_by_time ON audit (timestamp_ms, number);
