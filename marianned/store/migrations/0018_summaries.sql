-- A run that has ended, as a list shows it: the JOB keys as JSON. One that an older version ended has none.
CREATE TABLE summaries (
    run_id INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE,
    shape TEXT NOT NULL,
    job BLOB NOT NULL
) STRICT;
