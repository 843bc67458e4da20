-- A key outlives the run it was used for, and its age is told by the clock of this boot (docs/design/control.md §4):
-- a request has no foreign key, no run where it is of none, and a moment of three parts.

CREATE TABLE requests_now (
    request TEXT PRIMARY KEY,
    uid INTEGER NOT NULL,
    method TEXT NOT NULL,
    key TEXT,
    params TEXT NOT NULL,
    run_id INTEGER,
    wish TEXT,
    hold INTEGER,
    revision INTEGER,
    brought INTEGER NOT NULL,
    caller TEXT NOT NULL,
    asked TEXT NOT NULL,
    reply BLOB,
    refusal BLOB,
    event INTEGER,
    asked_at INTEGER GENERATED ALWAYS AS (json_extract(asked, '$.at')) VIRTUAL,
    asked_boot TEXT GENERATED ALWAYS AS (json_extract(asked, '$.boot')) VIRTUAL,
    asked_boottime INTEGER GENERATED ALWAYS AS (json_extract(asked, '$.boottime')) VIRTUAL
) STRICT;

-- Of older requests the boot is not known: it is none of today's.
INSERT INTO requests_now (
    request, uid, method, key, params, run_id, wish, hold, revision, brought, caller, asked, reply, refusal, event
)
SELECT
    request, uid, method, key, params, run_id, wish, hold, revision, brought, caller,
    json_object('at', asked_at, 'boot', 'unknown', 'boottime', 0), reply, refusal, event
FROM requests;

DROP TABLE requests;
ALTER TABLE requests_now RENAME TO requests;

CREATE UNIQUE INDEX requests_by_key ON requests (uid, method, key) WHERE key IS NOT NULL;
CREATE INDEX requests_waiting ON requests (run_id) WHERE reply IS NULL AND refusal IS NULL;
CREATE INDEX requests_by_time ON requests (asked_at);
CREATE INDEX requests_by_boot ON requests (asked_boot, asked_boottime);

-- What still waits for an answer from a run goes with it; what was answered stays.
CREATE TRIGGER requests_of_removed_runs AFTER DELETE ON runs
BEGIN
    DELETE FROM requests WHERE run_id = OLD.run_id AND reply IS NULL AND refusal IS NULL;
END;
