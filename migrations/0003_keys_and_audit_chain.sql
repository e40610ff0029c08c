-- Keys of the API, an audit log that only grows and proves it, and answers that are given once more.

-- Only hashes: a key itself is shown once, to whoever makes it. Its id is a part of its text.
CREATE TABLE api_keys (
    id           TEXT    PRIMARY KEY NOT NULL,
    name         TEXT    NOT NULL UNIQUE CHECK (name NOT IN ('', 'admin', 'scheduler', 'anonymous')),
    role         TEXT    NOT NULL CHECK (role IN ('admin', 'operator', 'readonly')),
    hash         BLOB    NOT NULL CHECK (length(hash) = 32),       -- SHA-256 of the key's whole text
    expires_at   INTEGER,
    last_used_at INTEGER,                                          -- within the hour
    created_at   INTEGER NOT NULL,
    created_by   TEXT    NOT NULL
) STRICT;

-- The id of the key that asked for a run; none for the key of the settings and the scheduler.
ALTER TABLE runs ADD COLUMN requested_by_key TEXT;

ALTER TABLE audit ADD COLUMN key_id        TEXT;
-- SHA-256 in hexadecimal digits: of the record before, and of this one with that inside. Records from before this migration
-- get theirs when the database is next opened.
ALTER TABLE audit ADD COLUMN previous_hash TEXT CHECK (length(previous_hash) = 64);
ALTER TABLE audit ADD COLUMN hash          TEXT CHECK (length(hash) = 64);

CREATE INDEX audit_unchained ON audit (number) WHERE hash IS NULL;

-- Where the log begins: the last record that was deleted for its age, and how many were.
CREATE TABLE audit_anchor (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    number   INTEGER NOT NULL,
    hash     TEXT    NOT NULL CHECK (length(hash) = 64),
    deleted  INTEGER NOT NULL CHECK (deleted >= 0),
    moved_at INTEGER
) STRICT;

INSERT INTO audit_anchor
VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000', 0, NULL);

CREATE TRIGGER audit_only_grows BEFORE INSERT ON audit
WHEN NEW.hash IS NULL
    OR NEW.previous_hash IS NOT coalesce(
        (SELECT hash FROM audit ORDER BY number DESC LIMIT 1), (SELECT hash FROM audit_anchor))
    OR EXISTS (SELECT 1 FROM audit WHERE id = NEW.id OR number = NEW.number)
BEGIN
    SELECT RAISE(ABORT, 'an audit record follows the last one');
END;

CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
WHEN OLD.hash IS NOT NULL OR NEW.hash IS NULL OR NEW.previous_hash IS NULL
    OR NEW.number IS NOT OLD.number OR NEW.id IS NOT OLD.id OR NEW.timestamp_ms IS NOT OLD.timestamp_ms
    OR NEW.class IS NOT OLD.class OR NEW.subclass IS NOT OLD.subclass OR NEW.action IS NOT OLD.action
    OR NEW.user IS NOT OLD.user OR NEW.description IS NOT OLD.description
    OR NEW.original_id IS NOT OLD.original_id OR NEW.original_object IS NOT OLD.original_object
    OR NEW.new_object IS NOT OLD.new_object OR NEW.request_id IS NOT OLD.request_id
    OR NEW.address IS NOT OLD.address OR NEW.key_id IS NOT OLD.key_id
BEGIN
    SELECT RAISE(ABORT, 'an audit record is never changed');
END;

-- What is too old goes from the beginning on: the anchor moves first, and only what lies before it can be deleted.
CREATE TRIGGER audit_goes_from_the_beginning BEFORE DELETE ON audit
WHEN OLD.number > (SELECT number FROM audit_anchor)
BEGIN
    SELECT RAISE(ABORT, 'an audit record is only deleted before the anchor');
END;

CREATE TRIGGER audit_anchor_moves_along BEFORE UPDATE ON audit_anchor
WHEN NEW.number <= OLD.number OR NEW.deleted <= OLD.deleted
    OR NEW.hash IS NOT (SELECT hash FROM audit WHERE number = NEW.number)
    OR NOT EXISTS (SELECT 1 FROM audit WHERE number > NEW.number)
BEGIN
    SELECT RAISE(ABORT, 'the anchor moves to a record that is there, and is not the last');
END;

CREATE TRIGGER audit_anchor_stays BEFORE DELETE ON audit_anchor
BEGIN
    SELECT RAISE(ABORT, 'the anchor stays');
END;

-- Something sealed, by which it shows whether the keys at hand are those of this database.
CREATE TABLE sealing_check (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    key_id TEXT NOT NULL,
    sealed BLOB NOT NULL
) STRICT;

-- Answers to calls with an Idempotency-Key, without secrets. The request is there as a keyed hash.
CREATE TABLE kept_answers (
    caller      TEXT    NOT NULL,                              -- the id of the API key, or 'settings'
    key         TEXT    NOT NULL,
    request_key TEXT    NOT NULL,                              -- the sealing key that the hash was made with
    request     BLOB    NOT NULL,
    status      INTEGER NOT NULL,
    headers     TEXT    NOT NULL,                              -- JSON
    body        BLOB    NOT NULL,
    kept_at     INTEGER NOT NULL,
    PRIMARY KEY (caller, key)
) STRICT;

CREATE INDEX kept_answers_by_age ON kept_answers (kept_at);
