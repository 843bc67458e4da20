-- Loops of stages that are played in rounds: where each stands, and what is counted by round.
CREATE TABLE loops (
    run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    uid INTEGER NOT NULL,
    round INTEGER NOT NULL,
    state TEXT NOT NULL,
    asking INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    PRIMARY KEY (run_id, uid)
) STRICT, WITHOUT ROWID;
ALTER TABLE attempts ADD COLUMN round INTEGER;
ALTER TABLE sheets ADD COLUMN cost_before REAL NOT NULL DEFAULT 0;
ALTER TABLE breakpoints ADD COLUMN passed INTEGER NOT NULL DEFAULT 0;
