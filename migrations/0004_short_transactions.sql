-- What was one long transaction is several short ones now. What is left to do between them is on record here, and who
-- plans next does it first.

-- What a plan keeps back. Its steps named 'hold' are the removals that it may keep back: 'nothing' makes them removals
-- again, 'everything' leaves no other step. NULL: the steps are what they say.
ALTER TABLE runs ADD COLUMN hold  TEXT CHECK (hold IN ('nothing', 'removals', 'everything'));
CREATE INDEX plan_steps_held ON plan_steps (run_id, ip, context) WHERE change = 'hold';
-- The account in whose ledger the marks of the run's integration are still to become those of its plan.
ALTER TABLE runs ADD COLUMN marks INTEGER REFERENCES fusion_accounts (id);
CREATE INDEX runs_marks_pending ON runs (id) WHERE marks IS NOT NULL;
-- Said the same as dry_run.
ALTER TABLE runs DROP COLUMN repair;

-- SHA-256 over the set's rows: a report that says the same again need not be written again.
ALTER TABLE fact_sets ADD COLUMN digest BLOB;

-- Integrations that were deleted, and whose pairs that no other wants are still to leave the ledger, with the facts that
-- tell which.
CREATE TABLE departures (
    integration_id TEXT    PRIMARY KEY NOT NULL,
    fact_set       INTEGER REFERENCES fact_sets (id)
) STRICT;
