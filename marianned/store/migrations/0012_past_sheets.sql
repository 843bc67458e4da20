-- Sheets that a revision took out of a run's score when they were done: none is done again when it comes back.
CREATE TABLE past_sheets (
    run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    uid INTEGER NOT NULL,
    definition TEXT NOT NULL,
    needs TEXT NOT NULL,
    row TEXT NOT NULL,
    PRIMARY KEY (run_id, uid)
) STRICT, WITHOUT ROWID;
