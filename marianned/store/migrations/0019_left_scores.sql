-- Scores that were in force, with what was done of them: whatever comes in between, they come back as they were.
CREATE TABLE left_scores (
    run_id INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
    shape TEXT NOT NULL,
    done TEXT NOT NULL,
    PRIMARY KEY (run_id, shape)
) STRICT, WITHOUT ROWID;
-- Where a sheet stood when it completed, and what it needed then; JSON.
ALTER TABLE sheets ADD COLUMN place TEXT;
ALTER TABLE sheets ADD COLUMN needed TEXT;
-- As what and where a sheet stood when a revision took it out.
ALTER TABLE past_sheets ADD COLUMN stood_as TEXT;
ALTER TABLE past_sheets ADD COLUMN place TEXT;
