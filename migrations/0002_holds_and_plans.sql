-- Removals that wait for a person, plans that can be read afterwards, attempts on the record, and since when things are so.

ALTER TABLE runs ADD COLUMN attempt_log   TEXT    NOT NULL DEFAULT '[]';                -- JSON: when, phase, how each ended
ALTER TABLE runs ADD COLUMN report_choice TEXT    NOT NULL DEFAULT 'rerun' CHECK (report_choice IN ('rerun', 'last'));
ALTER TABLE runs ADD COLUMN repair        INTEGER NOT NULL DEFAULT 0 CHECK (repair IN (0, 1)); -- a verification writes right
ALTER TABLE runs ADD COLUMN approves      TEXT;                                         -- the held run that an approval applies
ALTER TABLE runs ADD COLUMN plan          TEXT    CHECK (plan IN ('kept', 'dropped'));  -- whether its steps are in plan_steps

-- A pair whose removal is kept back: the run that kept it, and the integration of that run.
ALTER TABLE ledger ADD COLUMN held_by  TEXT;
ALTER TABLE ledger ADD COLUMN held_for TEXT;
-- The last time that Fusion acknowledged another value than before, and the run that sent it.
ALTER TABLE ledger ADD COLUMN changed_at INTEGER;
ALTER TABLE ledger ADD COLUMN changed_by TEXT;

CREATE INDEX ledger_held ON ledger (held_for, held_by) WHERE held_for IS NOT NULL;

-- The time of the first report, of those without a gap up to this one, that had the asset.
ALTER TABLE facts ADD COLUMN first_seen_at INTEGER;

-- The steps of the newest real, dry and held plan of each integration.
CREATE TABLE plan_steps (
    run_id  TEXT NOT NULL REFERENCES runs (id),
    ip      BLOB NOT NULL,
    context TEXT NOT NULL CHECK (context IN ('cve', 'cvss_rating', 'cvss_score', 'vuln_count')),
    change  TEXT NOT NULL CHECK (change IN ('add', 'change', 'remove', 'hold')),
    before  TEXT,                                              -- a label a line, as in the ledger
    after   TEXT,
    PRIMARY KEY (run_id, ip, context)
) STRICT, WITHOUT ROWID;
